"""The three spectrograms with their toolbar, the readout under the cursor and the overview of the whole sound."""

from __future__ import annotations

import math

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QToolBar, QToolButton, QVBoxLayout, QWidget

from mirguard.analysis.spectrogram import COLOUR_MAPS, SpectrogramSettings
from mirguard.workbench.actions import tip
from mirguard.workbench.facts import SIDES
from mirguard.workbench.panels.parts import Elided, check, combo, named, silently, tool_button
from mirguard.workbench.panels.saliency_bar import SaliencyBar
from mirguard.workbench.theme import bind_icon
from mirguard.workbench.views.axes import AXIS_WIDTH
from mirguard.workbench.views.colourbar import WIDTH as BAR_WIDTH
from mirguard.workbench.views.formats import format_db, format_hz, format_time
from mirguard.workbench.views.spectrogram_stack import SpectrogramStack
from mirguard.workbench.views.waveform_strip import WaveformStrip

WINDOWS = (256, 512, 1024, 2048, 4096, 8192)


class SpectrogramsPanel(QWidget):
    """Shows pictures; asks for other transform lengths, for jumps and for loops."""

    seek_wanted = Signal(float)
    loop_chosen = Signal(object)  # (start, end) in seconds, or None
    window_chosen = Signal(object)  # samples, or None for automatic
    settings_changed = Signal(object)  # SpectrogramSettings
    drawing_wanted = Signal(bool)
    saliency_wanted = Signal(bool)

    def __init__(self, settings: SpectrogramSettings | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._drawing = False
        self.stack = SpectrogramStack()
        self.strip = WaveformStrip(self.stack.navigation)
        self.readout = Elided()
        self.readout.setProperty("role", "muted")
        named(self.readout, "Under the cursor")
        self.bar = self._toolbar()
        self.saliency_button = tool_button("target", "Saliency", "Show what a label hangs on, over the original", True)
        self.saliency_button.setText("Saliency")
        self.saliency_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.saliency_button.toggled.connect(self._show_saliency_bar)
        self.saliency = SaliencyBar()
        self.saliency.hide()
        self.saliency.opacity_chosen.connect(lambda opacity: self.show_saliency(self._overlay, None, opacity))
        self._overlay, self._opacity = None, 0.8
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 0, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.bar)
        layout.addWidget(self.saliency)
        layout.addWidget(self.stack, 1)
        # Under the pictures and as wide as they: with the whole sound on screen a moment is at one place in all of them.
        overview = QHBoxLayout()
        overview.setContentsMargins(AXIS_WIDTH, 0, BAR_WIDTH, 0)
        overview.addWidget(self.strip)
        layout.addLayout(overview)
        foot = QHBoxLayout()
        foot.setContentsMargins(2, 0, 2, 0)
        foot.addWidget(self.readout, 1)
        foot.addWidget(self.restrict)  # here, since the toolbar is full in a window 1280 pixels wide
        foot.addWidget(self.saliency_button)
        layout.addLayout(foot)
        self.stack.hovered.connect(self._hover)
        self.stack.hoverEnded.connect(self._idle)
        self.stack.seekRequested.connect(self.seek_wanted)
        self.strip.seekRequested.connect(self.seek_wanted)
        self.stack.regionSelected.connect(lambda start, end: self.loop_chosen.emit((start, end)))
        self.stack.regionCleared.connect(lambda: self.loop_chosen.emit(None))
        self.stack.settingsChanged.connect(self._dragged)
        if settings is not None:
            self.stack.set_settings(settings)
            self._show_settings(settings)
        self._idle()

    def _toolbar(self) -> QToolBar:
        bar = QToolBar()
        named(bar, "Spectrogram settings")
        bar.setIconSize(QSize(18, 18))
        self.scale = combo("Frequency scale", "How frequencies are laid out", 5)
        for name, text in (("linear", "Linear"), ("log", "Log"), ("mel", "Mel")):
            self.scale.addItem(text, name)
        self.colours = combo("Colour map", "Colours from quiet to loud", 6)
        for name in COLOUR_MAPS:
            self.colours.addItem(name.capitalize(), name)
        help = "Samples per transform. Long: fine in frequency; short: fine in time. Auto: 2048, below 32 kHz 1024."
        self.window_menu = combo("Transform length", help, 5)
        self.window_menu.addItem("FFT auto", None)
        for window in WINDOWS:
            self.window_menu.addItem(f"FFT {window}", window)
        for menu in (self.scale, self.colours, self.window_menu):
            widest = max(menu.fontMetrics().horizontalAdvance(menu.itemText(i)) for i in range(menu.count()))
            menu.setFixedWidth(widest + 33)
        self.floor = self._level("Quietest level shown", -140, 0)
        self.ceiling = self._level("Loudest level shown", -130, 6)
        self.scale.activated.connect(lambda: self._change(scale=self.scale.currentData()))
        self.colours.activated.connect(lambda: self._change(colours=self.colours.currentData()))
        self.window_menu.activated.connect(lambda: self.window_chosen.emit(self.window_menu.currentData()))
        self.floor.valueChanged.connect(self._ranged)
        self.ceiling.valueChanged.connect(self._ranged)
        self.zoom_in = tool_button("zoom-in", "Zoom in", tip("zoom-in"))
        self.zoom_out = tool_button("zoom-out", "Zoom out", tip("zoom-out"))
        self.fit = tool_button("fit", "Fit", tip("fit"))
        self.zoom_in.clicked.connect(lambda: self.stack.zoom(2.0))
        self.zoom_out.clicked.connect(lambda: self.stack.zoom(0.5))
        self.fit.clicked.connect(self.stack.fit)
        self.panes: dict[str, QToolButton] = {}
        for side in SIDES:
            button = tool_button(side, f"Show the {side}", f"Show or hide the {side}", checkable=True)
            bind_icon(button, side, side)
            button.setChecked(True)
            button.toggled.connect(lambda on, side=side: self._pane(side, on))
            self.panes[side] = button
        self.restrict = tool_button("restrict", "Draw where it may be", tip("restrict"), checkable=True)
        self.restrict.clicked.connect(self.drawing_wanted)
        for part in (self.zoom_in, self.zoom_out, self.fit):
            bar.addWidget(part)
        bar.addSeparator()
        for button in self.panes.values():
            bar.addWidget(button)
        bar.addSeparator()
        for part in (self.scale, self.window_menu, self.colours):
            bar.addWidget(part)
        bar.addSeparator()
        levels = QWidget()
        row = QHBoxLayout(levels)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for part in (self.floor, QLabel("to"), self.ceiling):
            row.addWidget(part)
        bar.addWidget(levels)
        # In a narrow panel what does not fit comes up behind this button.
        rest = bar.findChild(QToolButton, "qt_toolbar_ext_button")
        named(rest, "More spectrogram settings", "More spectrogram settings")
        rest.setStyleSheet("padding: 0px; border: none;")  # Qt gives it 12 pixels, whatever the style says
        bind_icon(rest, "settings")
        return bar

    @staticmethod
    def _level(name: str, low: int, high: int) -> QDoubleSpinBox:
        made = QDoubleSpinBox()
        made.setRange(low, high)
        made.setDecimals(0)
        made.setSingleStep(5)
        made.setSuffix(" dB")
        made.setKeyboardTracking(False)
        made.setFixedWidth(made.fontMetrics().horizontalAdvance("−140 dB") + 28)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return named(made, name, f"{name}, re full scale")

    # --- what is shown ---

    def show_picture(self, side: str, spectrogram) -> None:
        self.stack.set_spectrogram(side, spectrogram)

    def show_saliency(self, overlay, words: str | None, opacity: float | None = None) -> None:
        """Lay a saliency map over the original, or none; say so in these words."""
        self._overlay, self._opacity = overlay, self._opacity if opacity is None else opacity
        self.stack.set_overlay(overlay, self._opacity)
        if words is not None:
            self.saliency.state.setText(words)

    def _show_saliency_bar(self, on: bool) -> None:
        self.saliency.setVisible(on)
        self.saliency_wanted.emit(on)

    def show_outline(self, outline) -> None:
        self.strip.set_peaks(outline)

    def show_playhead(self, seconds: float | None) -> None:
        self.stack.set_playhead(seconds)
        self.strip.set_playhead(seconds)

    def show_loop(self, loop: tuple[float, float] | None) -> None:
        self.stack.set_region(loop)
        self.strip.set_region(loop)

    def show_drawing(self, on: bool) -> None:
        """Whether the mouse draws where the perturbation may be."""
        check(self.restrict, on)
        self.stack.set_drawing(on)
        self._drawing = on
        self._idle()

    def set_waiting(self, texts: dict[str, str]) -> None:
        """What panes without a picture say."""
        for side, text in texts.items():
            self.stack.set_empty_text(side, text)

    @property
    def settings(self) -> SpectrogramSettings:
        return self.stack.settings

    def _show_settings(self, settings: SpectrogramSettings) -> None:
        silently(self.scale, self.scale.setCurrentIndex, self.scale.findData(settings.scale))
        silently(self.colours, self.colours.setCurrentIndex, self.colours.findData(settings.colours))
        silently(self.floor, self.floor.setValue, settings.floor_db)
        silently(self.ceiling, self.ceiling.setValue, settings.ceiling_db)

    def _change(self, **changes) -> None:
        self.stack.set_settings(self.stack.settings.changed(**changes))
        self.settings_changed.emit(self.stack.settings)

    def _ranged(self) -> None:
        floor, ceiling = self.floor.value(), self.ceiling.value()
        if ceiling - floor < 10:
            # The end that was not moved gives way.
            moved = self.sender()
            if moved is self.floor:
                ceiling = min(self.ceiling.maximum(), floor + 10)
                floor = ceiling - 10
            else:
                floor = max(self.floor.minimum(), ceiling - 10)
                ceiling = floor + 10
            silently(self.floor, self.floor.setValue, floor)
            silently(self.ceiling, self.ceiling.setValue, ceiling)
        self._change(floor_db=floor, ceiling_db=ceiling)

    def _dragged(self, settings: SpectrogramSettings) -> None:
        self._show_settings(settings)
        self.settings_changed.emit(settings)

    def _pane(self, side: str, on: bool) -> None:
        if not on and not any(button.isChecked() for button in self.panes.values()):
            check(self.panes[side], True)  # one pane always stays
            return
        self.stack.set_pane_visible(side, on)

    # --- the readout ---

    def _hover(self, time: float, hz: float, db: float) -> None:
        words = [format_time(time, 0.001), format_hz(hz)]
        if not math.isnan(db):
            found = self.stack.readings(time, hz)
            words += [f"{side} {format_db(level)}" for side, level in found.items() if level is not None]
        self.readout.setText("  ·  ".join(words))

    def _idle(self) -> None:
        if self._drawing:
            self.readout.setText(
                "Drag: where the perturbation may be · Shift+drag: times only · Ctrl+drag: frequencies only"
            )
            return
        self.readout.setText("Wheel: zoom in time · Ctrl+wheel: in frequency · drag: move · Shift+drag: choose a loop")
