"""One spectrogram pane."""

from __future__ import annotations

import logging
import math

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QWidget

from mirguard.analysis.spectrogram import Spectrogram, SpectrogramSettings
from mirguard.workbench.theme import colours, notifier
from mirguard.workbench.views.area import Area, area_between, drawn_area
from mirguard.workbench.views.axes import FrequencyAxis, small_font
from mirguard.workbench.views.colourmaps import overlay_table, table
from mirguard.workbench.views.navigation import Navigation
from mirguard.workbench.views.overlay import EmptyState, PaneTitle
from mirguard.workbench.views.permitted_area import PermittedArea

log = logging.getLogger(__name__)
WHEEL_NOTCH = 120.0
ZOOM_PER_NOTCH = 1.25


class PixelImage(pg.ImageItem):
    """An image that has as many pixels as the screen has for it, and so is copied to the screen and not scaled.

    (Scaling a picture of one byte a pixel takes Qt 7 ms a pane, copying it 1.) Its painting may fail but never throws:
    an exception out of a paint override can end the process.
    """

    form = QImage.Format.Format_RGB32
    _upright: QImage | None = None
    _failed = False

    def render(self) -> None:
        super().render()
        self._upright = None

    def paint(self, painter, *args) -> None:
        try:
            self._paint(painter, *args)
        except Exception:
            if not self._failed:
                log.exception("A spectrogram could not be painted")
            self._failed = True

    def _paint(self, painter, *args) -> None:
        if self.image is None:
            return
        if self._renderRequired:
            self.render()
        area = painter.worldTransform().mapRect(self.boundingRect())
        ratio = painter.device().devicePixelRatioF()
        if (
            self.qimage is None
            or abs(area.width() * ratio - self.qimage.width()) > 1.5
            or abs(area.height() * ratio - self.qimage.height()) > 1.5
        ):
            super().paint(painter, *args)
            return
        if self._upright is None or self._upright.devicePixelRatio() != ratio:
            self._upright = self.qimage.convertToFormat(self.form).mirrored(False, True)
            self._upright.setDevicePixelRatio(ratio)
        painter.save()
        painter.resetTransform()
        painter.drawImage(QPointF(round(area.left() * ratio) / ratio, round(area.top() * ratio) / ratio), self._upright)
        painter.restore()


class Overlay(PixelImage):
    """The same, see-through."""

    form = QImage.Format.Format_ARGB32_Premultiplied


class NavigatingBox(pg.ViewBox):
    """A view box whose mouse moves the shared navigation: wheel zooms, drag pans, shift-drag or middle-drag selects. While `draws`
    is set, the left button draws an area."""

    clicked = Signal(float)
    selecting = Signal(float, float, bool)  # from, to, finished
    drawing = Signal(object, object, str, bool)  # from, to, "time" or "band" where only that is meant, finished

    def __init__(self, navigation: Navigation) -> None:
        super().__init__(enableMenu=False, defaultPadding=0.0)
        self._navigation = navigation
        self.draws = False
        self.disableAutoRange()
        self.setMouseEnabled(False, False)

    def wheelEvent(self, event, axis=None) -> None:
        notches = event.delta() / WHEEL_NOTCH
        here = self.mapToView(event.pos())
        modifiers = event.modifiers()
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self._navigation.zoom_frequency(ZOOM_PER_NOTCH**notches, here.y())
        elif modifiers & Qt.KeyboardModifier.ShiftModifier or event.orientation() == Qt.Orientation.Horizontal:
            self._navigation.pan_by(-0.1 * notches)
        else:
            self._navigation.zoom_time(ZOOM_PER_NOTCH**notches, here.x())
        event.accept()

    def mouseClickEvent(self, event) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            event.accept()
            self.clicked.emit(self.mapToView(event.pos()).x())

    def mouseDragEvent(self, event, axis=None) -> None:
        left, middle = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton
        if event.button() not in (left, middle):
            event.ignore()
            return
        event.accept()
        if self.draws and event.button() == left:
            self._draw(event)
            return
        if event.isStart():
            shifted = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._selects = event.button() == middle or shifted
        if self._selects:
            start, stop = self.mapToView(event.buttonDownPos()).x(), self.mapToView(event.pos()).x()
            self.selecting.emit(min(start, stop), max(start, stop), event.isFinish())
        else:
            rect = self.rect()
            moved = event.pos() - event.lastPos()
            navigation = self._navigation
            navigation.pan(
                -moved.x() * (navigation.t1 - navigation.t0) / max(1.0, rect.width()),
                moved.y() * (navigation.v1 - navigation.v0) / max(1.0, rect.height()),
            )

    def _draw(self, event) -> None:
        keys, start, end = event.modifiers(), self.mapToView(event.buttonDownPos()), self.mapToView(event.pos())
        shifted, controlled = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
        only = "time" if keys & shifted else "band" if keys & controlled else ""
        self.drawing.emit((start.x(), start.y()), (end.x(), end.y()), only, event.isFinish())


class SpectrogramView(pg.GraphicsView):
    """A pane: picture, frequency axis, title, playhead, loop region; times and frequencies come from a Navigation.

    Only what is visible is drawn, one byte a pixel at the screen's own resolution, and only when the view, the
    spectrogram, the settings or the size have changed: moving the cursor or the playhead repaints a few pixels.
    """

    hovered = Signal(float, float, float)  # seconds, Hz, dB re full scale (NaN outside the sound)
    hoverEnded = Signal()
    seekRequested = Signal(float)
    regionSelected = Signal(float, float)
    areaDrawn = Signal(object, bool)  # Area (None: went nowhere), finished; unfinished ones come while the mouse moves

    def __init__(
        self,
        which: str = "original",
        title: str = "Original",
        navigation: Navigation | None = None,
        empty: str = "Drop a song here",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.which, self.title = which, title
        self.navigation = navigation or Navigation(self)
        self.settings = SpectrogramSettings()
        self.gain_db = 0.0
        self.spectrogram: Spectrogram | None = None
        self._stale, self._moment = False, ""
        self._region: tuple[float, float] | None = None
        self._frequencies: tuple | None = None
        self.pictures = 0  # drawn so far; a test counts them

        self.setAccessibleName(f"{title} spectrogram")
        self.viewport().setAccessibleName(f"{title} spectrogram, picture")
        self.setMinimumSize(160, 60)
        self.setMouseTracking(True)
        self.axis = FrequencyAxis(self.navigation)
        self.axis.setTickFont(small_font(self.font()))
        self.box = NavigatingBox(self.navigation)
        self.plot = pg.PlotItem(viewBox=self.box, axisItems={"left": self.axis}, enableMenu=False)
        self.plot.hideAxis("bottom")
        self.plot.hideButtons()
        self.plot.layout.setContentsMargins(0, 0, 0, 0)
        self.plot.layout.setSpacing(0)
        self.setCentralItem(self.plot)

        self.image = PixelImage(axisOrder="row-major")
        self.image.setAutoDownsample(False)
        self.box.addItem(self.image, ignoreBounds=True)
        self._overlay = Overlay(axisOrder="row-major")
        self._overlay.setZValue(1)
        self._overlay.setAutoDownsample(False)
        self._overlay.hide()
        self.box.addItem(self._overlay, ignoreBounds=True)
        self._over: Spectrogram | None = None
        self._opacity = 0.8
        self._loop = pg.LinearRegionItem(movable=False, swapMode="sort")
        self._loop.setZValue(5)
        for line in self._loop.lines:
            line.setMovable(True)
        self._loop.sigRegionChangeFinished.connect(self._loop_dragged)
        self._loop.hide()
        self.box.addItem(self._loop, ignoreBounds=True)
        self._area, self._permitted = Area(), PermittedArea()
        self._permitted.dragged.connect(self._edge_dragged)
        self.box.addItem(self._permitted, ignoreBounds=True)
        self._playhead = self._line(10)
        self._cursor = self._line(9)
        self._level = self._line(9, angle=0)

        self.label = PaneTitle(which, title, self)
        self._empty = EmptyState(self, "clip" if which == "original" else which)
        self._empty.set_text(empty)
        self.label.raise_()

        self.box.clicked.connect(self._clicked)
        self.box.selecting.connect(self._selecting)
        self.box.drawing.connect(self._drawing)
        self.box.sigResized.connect(self._resized)
        self.scene().sigMouseMoved.connect(self._mouse_moved)
        self.navigation.changed.connect(self._moved)
        notifier().changed.connect(self.restyle)
        self.restyle()
        self._show_content()

    # -- what to show ----------------------------------------------------------------------------------------------

    def set_spectrogram(self, spectrogram: Spectrogram | None) -> None:
        """Show this, or the empty state."""
        self.spectrogram = spectrogram
        if spectrogram is not None:
            self.navigation.set_sound(
                max(self.navigation.duration, spectrogram.duration)
                if self.navigation.duration and self.which != "original"
                else spectrogram.duration,
                spectrogram.nyquist,
            )
        self._show_content()
        self.refresh()

    def set_settings(self, settings: SpectrogramSettings, gain_db: float = 0.0) -> None:
        """Colours and range at once; the scale belongs to the navigation and is set there."""
        self.settings, self.gain_db = settings, gain_db
        self._colour()
        if self.navigation.scale.name != settings.scale:
            self.navigation.set_scale(settings.scale)
        self._say()

    def set_overlay(self, overlay: Spectrogram | None, opacity: float = 0.8) -> None:
        """Lay a picture of the same sound over this one, the stronger the more opaque; None takes it away."""
        self._over, self._opacity = overlay, opacity
        self._overlay.setVisible(overlay is not None)
        self._colour()
        self.refresh()

    def set_empty_text(self, text: str, icon_name: str | None = None) -> None:
        """What the pane says without a spectrogram."""
        self._empty.set_text(text, icon_name)

    def set_stale(self, stale: bool) -> None:
        """Grey the picture: it belongs to settings that are no longer the chosen ones, and a new one is being made."""
        if stale != self._stale:
            self._stale = stale
            self._colour()
            self._say()

    def set_moment(self, words: str) -> None:
        """Say that what is shown is not the result but something else for a while; "" when it is the result."""
        if words != self._moment:
            self._moment = words
            self._say()

    def set_playhead(self, seconds: float | None) -> None:
        """Move the playhead; None hides it."""
        self._place(self._playhead, seconds)

    def set_cursor(self, seconds: float | None) -> None:
        """Mark a time with a fine line (the mouse is over another pane, or nowhere)."""
        self._place(self._cursor, seconds)

    def set_region(self, region: tuple[float, float] | None) -> None:
        """Show the loop from start to end seconds, or none."""
        self._region = region
        self._loop.blockSignals(True)
        if region is None:
            self._loop.hide()
        else:
            self._loop.setRegion(region)
            self._loop.show()
        self._loop.blockSignals(False)

    def set_area(self, area: Area) -> None:
        """Shade what lies outside these times and frequencies."""
        self._area = area
        self._place_area()

    def set_drawing(self, on: bool) -> None:
        """Let the left button draw an area instead of moving the view."""
        self.box.draws = on
        self.box.setCursor(Qt.CursorShape.CrossCursor if on else Qt.CursorShape.ArrowCursor)

    def _place_area(self) -> None:
        navigation = self.navigation
        view = QRectF(navigation.t0, navigation.v0, navigation.t1 - navigation.t0, navigation.v1 - navigation.v0)
        none = self.spectrogram is None
        self._permitted.place(view, (Area() if none else self._area).edges(navigation))

    def _pixel(self) -> tuple[float, float]:
        navigation = self.navigation
        return self._second_per_pixel(), (navigation.v1 - navigation.v0) / max(1.0, self.box.height())

    def _colour(self) -> None:
        self.image.setLookupTable(table(self.settings, self.gain_db, self._stale or self._over is not None))
        if self._over is not None:
            loudest = int(self._over.levels[-1].max())
            self._overlay.setLookupTable(overlay_table(loudest, self._opacity))

    def _line(self, depth: int, angle: int = 90) -> pg.InfiniteLine:
        line = pg.InfiniteLine(angle=angle, movable=False)
        line.setZValue(depth)
        line.hide()
        self.box.addItem(line, ignoreBounds=True)
        return line

    def _place(self, line: pg.InfiniteLine, value: float | None) -> None:
        if value is None or self.spectrogram is None:
            if line.isVisible():
                line.hide()
            return
        if abs(line.value() - value) >= 0.25 * self._second_per_pixel() or not line.isVisible():
            line.setPos(value)
            line.show()

    def _second_per_pixel(self) -> float:
        return (self.navigation.t1 - self.navigation.t0) / max(1.0, self.box.width())

    def _show_content(self) -> None:
        shown = self.spectrogram is not None
        self._empty.setVisible(not shown)
        self._place_area()
        self.image.setVisible(shown)
        self._say()

    def _say(self) -> None:
        notes = [self._moment] if self._moment else []
        if self.spectrogram is not None and self.gain_db:
            notes.append(f"shown {self.gain_db:+.0f} dB".replace("-", "\u2212"))
        if self._stale:
            notes.append("computing…")
        self.label.set_note(", ".join(notes))

    # -- painting --------------------------------------------------------------------------------------------------

    def restyle(self) -> None:
        """Take the theme's colours."""
        if self.closed:
            return
        chosen = colours()
        self.setBackground(chosen.window)
        self.box.setBackgroundColor(chosen.picture)
        self.axis.restyle()
        fine = self.devicePixelRatioF()  # pens count the screen's own pixels
        self._playhead.setPen(pg.mkPen("#ffffff", width=fine))
        self._cursor.setPen(pg.mkPen((255, 255, 255, 110), width=fine))
        self._level.setPen(pg.mkPen((255, 255, 255, 70), width=fine))
        accent = "#43c6b9"  # over a picture that is dark in both themes
        self._loop.setBrush(pg.mkBrush(67, 198, 185, 26))
        for line in self._loop.lines:
            line.setPen(pg.mkPen(accent, width=fine))
            line.setHoverPen(pg.mkPen(accent, width=3 * fine))
        self._empty.update()
        self.label.update()

    def refresh(self) -> None:
        """Draw the visible part anew."""
        if self.spectrogram is None:
            return
        navigation, ratio = self.navigation, self.devicePixelRatioF()
        area = self.box.rect()
        width, height = math.ceil(area.width() * ratio), math.ceil(area.height() * ratio)
        if width < 2 or height < 2:
            return
        place = QRectF(navigation.t0, navigation.v0, navigation.t1 - navigation.t0, navigation.v1 - navigation.v0)
        self.pictures += 1
        for image, source in ((self.image, self.spectrogram), (self._overlay, self._over)):
            if source is None:
                continue
            low, high, scale = navigation.low_hz, navigation.high_hz, navigation.scale.name
            picture = source.render(navigation.t0, navigation.t1, width, low, high, height, scale)
            # One byte a pixel and a table of 256 colours: the levels say that code c has colour c.
            image.setImage(picture, levels=(0, 256), autoLevels=False)
            image.setRect(place)

    def _moved(self) -> None:
        navigation = self.navigation
        frequencies = (navigation.scale.name, navigation.v0, navigation.v1)
        if frequencies != self._frequencies:
            self._frequencies = frequencies
            self.axis.picture = None  # its ticks are another scale's, even where the coordinates are the same
            self.axis.update()
        self.box.setRange(
            xRange=(navigation.t0, navigation.t1), yRange=(navigation.v0, navigation.v1), padding=0, update=True
        )
        self._place_area()
        self.box.updateMatrix()  # now, and not while painting, which would paint everything twice
        self.refresh()

    def _resized(self) -> None:
        self._arrange()
        self._moved()

    def _arrange(self) -> None:
        corner = self.mapFromScene(self.box.sceneBoundingRect().topLeft())
        self.label.move(corner.x() + 8, corner.y() + 7)
        self._empty.setGeometry(
            corner.x(), corner.y(), math.ceil(self.box.width()) + 1, math.ceil(self.box.height()) + 1
        )

    def paintEvent(self, event) -> None:
        self.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        super().paintEvent(event)

    # -- the mouse -------------------------------------------------------------------------------------------------

    def point(self, position: QPointF) -> tuple[float, float]:
        """Seconds and Hz at a position in this widget."""
        there = self.box.mapSceneToView(self.mapToScene(position.toPoint()))
        return there.x(), float(self.navigation.scale.inverse(there.y()))

    def _mouse_moved(self, scene_position: QPointF) -> None:
        if self.spectrogram is None:
            return
        if not self.box.sceneBoundingRect().contains(scene_position):
            self._end_hover()
            return
        there = self.box.mapSceneToView(scene_position)
        hz = float(self.navigation.scale.inverse(there.y()))
        level = self.spectrogram.at(there.x(), hz)
        self._level.setPos(there.y())
        self._level.show()
        self.set_cursor(there.x())
        self.hovered.emit(there.x(), hz, math.nan if level is None else level)

    def leaveEvent(self, event) -> None:
        self._end_hover()
        super().leaveEvent(event)

    def _end_hover(self) -> None:
        if self._level.isVisible() or self._cursor.isVisible():
            self._level.hide()
            self._cursor.hide()
            self.hoverEnded.emit()

    def _clicked(self, seconds: float) -> None:
        if self.spectrogram is not None:
            self.seekRequested.emit(min(max(seconds, 0.0), self.navigation.duration))

    def _selecting(self, start: float, stop: float, finished: bool) -> None:
        if self.spectrogram is None:
            return
        start, stop = max(0.0, start), min(self.navigation.duration, stop)
        if stop - start < 3 * self._second_per_pixel():
            self.set_region(self._region)
            return
        self._loop.blockSignals(True)
        self._loop.setRegion((start, stop))
        self._loop.show()
        self._loop.blockSignals(False)
        if finished:
            self._region = (start, stop)
            self.regionSelected.emit(start, stop)

    def _drawing(self, start: tuple[float, float], end: tuple[float, float], only: str, finished: bool) -> None:
        if self.spectrogram is None:
            return
        area = drawn_area(start, end, self.navigation, self._pixel(), only)
        if area is not None or finished:
            self.areaDrawn.emit(area, finished)

    def _edge_dragged(self, edges: dict[str, float | None], finished: bool) -> None:
        self.areaDrawn.emit(area_between(edges, self.navigation, self._pixel()), finished)

    def _loop_dragged(self) -> None:
        start, stop = self._loop.getRegion()
        start, stop = max(0.0, start), min(self.navigation.duration, stop)
        if stop > start:
            self._region = (start, stop)
            self.regionSelected.emit(start, stop)
