"""The views as a person uses them: what is drawn, what the mouse does, what is said, in both themes."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QApplication, QPushButton, QWidget

from mirguard.analysis import peaks
from mirguard.analysis.spectrogram import SpectrogramSettings, code_of, compute
from mirguard.errors import UsageError
from mirguard.parameters import Parameter
from mirguard.resources import resource
from mirguard.workbench import theme
from mirguard.workbench.theme.colours import DARK, LIGHT, contrast
from mirguard.workbench.theme.style import style_sheet
from mirguard.workbench.views import formats
from mirguard.workbench.views.colourmaps import colours_of, table
from mirguard.workbench.views.label_bars import LabelBars
from mirguard.workbench.views.level_slider import LevelSlider
from mirguard.workbench.views.navigation import Navigation
from mirguard.workbench.views.score_plot import ScorePlot
from mirguard.workbench.views.spectrogram_stack import SpectrogramStack
from mirguard.workbench.views.spectrogram_view import SpectrogramView
from mirguard.workbench.views.surface_plot import SurfacePlot
from mirguard.workbench.views.trace_plot import TracePlot
from mirguard.workbench.views.waveform_strip import WaveformStrip

RATE = 22_050
NO_MODIFIER = Qt.KeyboardModifier.NoModifier
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
LEFT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton


@pytest.fixture(autouse=True)
def dark(qapp):
    theme.apply_theme(qapp, "dark")
    yield
    # Widgets that pytest-qt has closed are deleted by an event loop only; without one they would be restyled for ever.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    theme.apply_theme(qapp, "dark")


def white(seconds: float = 4.0, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def sine(hz: float, seconds: float = 4.0, level: float = 1.0) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def stack(qtbot) -> SpectrogramStack:
    made = SpectrogramStack()
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    qtbot.waitExposed(made)
    QApplication.processEvents()
    return made


@pytest.fixture
def filled(stack) -> SpectrogramStack:
    stack.set_spectrogram("original", compute(white(), RATE))
    stack.set_spectrogram("adversarial", compute(white() + white(level=1e-3, seed=1), RATE))
    stack.set_spectrogram("perturbation", compute(white(level=1e-3, seed=1), RATE))
    QApplication.processEvents()
    return stack


def x_of(view: SpectrogramView, seconds: float) -> int:
    navigation = view.navigation
    area = view.box.sceneBoundingRect()
    return round(area.left() + (seconds - navigation.t0) / (navigation.t1 - navigation.t0) * area.width())


def at(view: SpectrogramView, seconds: float, share: float = 0.5) -> QPoint:
    area = view.box.sceneBoundingRect()
    return QPoint(x_of(view, seconds), round(area.bottom() - share * area.height()))


def wheel(widget: QWidget, where: QPoint, notches: int, modifiers=NO_MODIFIER) -> None:
    target = widget.viewport() if hasattr(widget, "viewport") else widget
    event = QWheelEvent(
        QPointF(where),
        QPointF(target.mapToGlobal(where)),
        QPoint(),
        QPoint(0, 120 * notches),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(target, event)
    QApplication.processEvents()


def drag(qtbot, widget: QWidget, start: QPoint, stop: QPoint, button=LEFT, modifiers=NO_MODIFIER) -> None:
    target = widget.viewport() if hasattr(widget, "viewport") else widget
    qtbot.mousePress(target, button, modifiers, start)
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        where = start + (stop - start) * share
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            QPointF(where),
            QPointF(target.mapToGlobal(where)),
            Qt.MouseButton.NoButton,
            button,
            modifiers,
        )
        QApplication.sendEvent(target, event)
    qtbot.mouseRelease(target, button, modifiers, stop)
    QApplication.processEvents()


def colour_at(image: QImage, where: QPoint) -> tuple[int, int, int]:
    return QColor(image.pixel(where)).getRgb()[:3]


# -- Theme -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chosen", [DARK, LIGHT], ids=lambda chosen: chosen.name)
def test_text_can_be_read(chosen):
    surfaces = (chosen.window, chosen.base, chosen.raised, chosen.hover, chosen.pressed)
    for surface in surfaces:
        assert contrast(chosen.text, surface) >= 7
    for role in ("muted", "accent", "original", "adversarial", "perturbation", "danger", "warning", "good"):
        for surface in (chosen.window, chosen.base, chosen.raised):
            assert contrast(getattr(chosen, role), surface) >= 4.5, (role, surface)
    assert contrast(chosen.accent_text, chosen.accent) >= 4.5
    assert contrast(chosen.on_picture, chosen.picture) >= 7
    assert contrast(chosen.disabled, chosen.window) >= 2.4  # exempt, but to be seen


def test_contrast_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ff0000", "#ff0000") == 1


def test_a_theme_reaches_palette_sheet_and_listeners(qapp):
    heard = []
    theme.notifier().changed.connect(lambda: heard.append(theme.colours().name))
    theme.apply_theme(qapp, "light")
    assert qapp.palette().window().color().name() == LIGHT.window
    assert LIGHT.accent in qapp.styleSheet()
    assert "$" not in qapp.styleSheet()
    theme.apply_theme(qapp, "dark")
    assert qapp.palette().window().color().name() == DARK.window
    assert heard == ["light", "dark"]
    assert qapp.style().name().lower() in ("fusion", "") or "fusion" in qapp.style().objectName().lower()
    with pytest.raises(UsageError, match="solarized"):
        theme.apply_theme(qapp, "solarized")
    assert theme.effective_theme("system") in ("dark", "light")
    theme.apply_theme(qapp, "system")
    assert theme.colours().name == theme.effective_theme("system")


def test_the_sheet_names_only_files_that_exist():
    for chosen in (DARK, LIGHT):
        for path in re.findall(r'url\("([^"]+)"\)', style_sheet(chosen)):
            assert resource("icons", path.rsplit("/", 1)[1]).is_file()


@pytest.mark.parametrize("name", [*theme.ICONS, "mirguard"])
def test_every_icon_is_drawn_in_its_colour(qapp, name):
    drawn = theme.pixmap(name, 24, "#ff0000", 2.0).toImage()
    assert drawn.width() == 48
    seen = [QColor(drawn.pixelColor(x, y)) for x in range(48) for y in range(48)]
    inked = [colour for colour in seen if colour.alpha() > 200]
    assert 40 < len(inked) < 2000
    if name != "mirguard":
        assert all(colour.red() > 200 and colour.green() < 40 for colour in inked)
        edge = [drawn.pixelColor(x, y).alpha() for x in range(48) for y in (0, 47)]
        assert not any(edge), "the drawing touches the edge"


def test_icons_differ(qapp):
    drawn = {name: bytes(theme.pixmap(name, 24, "#000000", 1.0).toImage().constBits()) for name in theme.ICONS}
    assert len(set(drawn.values())) == len(drawn)


def test_an_icon_is_crisp_and_greyed_when_disabled(qapp):
    made = theme.icon("play")
    assert {size.width() for size in made.availableSizes()} >= {16, 20, 24, 32}
    plain = made.pixmap(24, 24).toImage().pixelColor(12, 12)
    grey = made.pixmap(24, 24, made.Mode.Disabled).toImage().pixelColor(12, 12)
    assert plain.name() == DARK.text
    assert grey.name() == DARK.disabled
    assert not theme.app_icon().isNull()


def test_a_bound_icon_follows_the_theme(qapp, qtbot):
    button = QPushButton()
    qtbot.addWidget(button)
    theme.bind_icon(button, "stop")

    def colour():
        return button.icon().pixmap(24, 24).toImage().pixelColor(12, 12).name()

    assert colour() == DARK.text
    theme.apply_theme(qapp, "light")
    assert colour() == LIGHT.text
    theme.bind_icon(button, "stop", "danger")
    assert colour() == LIGHT.danger
    theme.apply_theme(qapp, "dark")
    assert colour() == DARK.danger


# -- Numbers -----------------------------------------------------------------------------------------------------------


def test_numbers_are_written_as_people_do():
    assert formats.format_time(75) == "1:15"
    assert formats.format_time(59.999) == "1:00"
    assert formats.format_time(3_725.04, 0.01) == "1:02:05.04"
    assert formats.format_time(12.3456, 0.001) == "0:12.346"
    assert formats.format_time(-0.2, 0.1) == "−0:00.2"
    assert [formats.format_hz(hz) for hz in (31.25, 440, 999.7, 1500, 12_345)] == [
        *("31.2 Hz", "440 Hz", "1.00 kHz", "1.50 kHz", "12.3 kHz"),
    ]
    assert formats.format_db(-42.4) == "−42 dB"
    assert formats.format_db(-0.3) == "0 dB"
    assert formats.format_db(math.nan) == formats.format_db(None) == "– dB"
    assert [formats.format_tick(text) for text in ("-0.5", "2", "-5e-05", "1e+06")] == ["−0.5", "2", "−5·10⁻⁵", "1·10⁶"]
    assert [formats.format_figures(value) for value in (0, 0.002, 0.00012345, 40, 123_456, 1e-7, math.inf)] == [
        *("0", "0.002", "0.000123", "40", "123456", "1e−07", "∞"),
    ]
    assert [formats.format_percent(p) for p in (0, 1e-5, 0.0312, 0.7, 0.9999, 1)] == [
        *("0 %", "<0.1 %", "3.1 %", "70 %", ">99 %", "100 %"),
    ]
    assert formats.readout(12.3456, 1200, -42) == "0:12.346   1.20 kHz   −42 dB"


# -- Navigation --------------------------------------------------------------------------------------------------------


@pytest.fixture
def navigation(qapp) -> Navigation:
    made = Navigation()
    made.set_sound(100.0, 11_025.0)
    made.flush()
    return made


def test_a_view_stays_inside_the_sound(navigation):
    navigation.zoom_time(10, 0.0)
    assert (navigation.t0, navigation.t1) == (0.0, pytest.approx(10.0))
    navigation.pan(-50)
    assert (navigation.t0, navigation.t1) == (0.0, pytest.approx(10.0))
    navigation.pan(1000)
    assert (navigation.t0, navigation.t1) == (pytest.approx(90.0), pytest.approx(100.0))
    navigation.zoom_time(0.001)
    assert (navigation.t0, navigation.t1) == (0.0, 100.0)
    navigation.zoom_time(1e9, 33.0)
    assert navigation.t0 < 33.0 < navigation.t1
    assert navigation.t1 - navigation.t0 == pytest.approx(0.02)
    navigation.show_times(40, 60)
    assert (navigation.t0, navigation.t1) == (40.0, 60.0)
    navigation.page_to(70.0)
    assert navigation.t0 < 70.0 < navigation.t0 + 0.1 * 20


def test_zooming_keeps_the_point_under_the_cursor(navigation):
    navigation.show_times(20, 60)
    navigation.zoom_time(2.0, 30.0)
    assert (30.0 - navigation.t0) / (navigation.t1 - navigation.t0) == pytest.approx(0.25)
    before = (navigation.v0, navigation.v1)
    centre = before[0] + 0.75 * (before[1] - before[0])
    navigation.zoom_frequency(2.0, centre)
    assert (centre - navigation.v0) / (navigation.v1 - navigation.v0) == pytest.approx(0.75)


def test_another_scale_keeps_the_frequencies(navigation):
    navigation.show_frequencies(200, 4000)
    for name in ("linear", "mel", "log"):
        navigation.set_scale(name)
        assert navigation.low_hz == pytest.approx(200, rel=1e-6)
        assert navigation.high_hz == pytest.approx(4000, rel=1e-6)
    navigation.fit()
    navigation.set_scale("linear")
    assert navigation.low_hz == 0  # everything stays everything, also where a scale begins elsewhere


def test_many_moves_are_one_change(navigation, qtbot):
    heard = []
    navigation.changed.connect(lambda: heard.append(True))
    for _ in range(20):
        navigation.zoom_time(1.1)
        navigation.pan(0.1)
    assert not heard
    qtbot.waitUntil(lambda: bool(heard))
    QApplication.processEvents()
    assert len(heard) == 1


# -- Spectrogram panes -------------------------------------------------------------------------------------------------


def test_the_table_of_colours_is_the_range():
    settings = SpectrogramSettings(floor_db=-80, ceiling_db=-20, colours="grey")
    made = table(settings)
    assert made.dtype == np.uint8
    assert made.shape == (256, 3)
    assert not made[: int(code_of(-80)) + 1].any()
    assert (made[int(np.ceil(code_of(-20))) :] == 255).all()
    assert made[round(code_of(-50))][0] == pytest.approx(127.5, abs=2)
    louder = table(settings, 30.0)
    assert louder[round(code_of(-80))][0] == pytest.approx(127.5, abs=2)
    stale = table(SpectrogramSettings(), 0.0, grey=True)
    assert (stale[:, 0] == stale[:, 1]).all()
    for name in ("magma", "inferno", "viridis", "cividis", "grey"):
        lightness = colours_of(name).astype(float) @ [0.299, 0.587, 0.114]
        assert lightness[-1] - lightness[0] > 150
        assert (np.diff(lightness) > -1.5).all()


def test_a_pane_gets_bytes_and_a_table_and_draws_its_colours(filled):
    view = filled.views["original"]
    assert view.image.image.dtype == np.uint8
    assert view.image.image.ndim == 2
    filled.grab()
    assert view.image.qimage.format() == QImage.Format.Format_Indexed8
    # One pixel a pixel of the screen, so that nothing is scaled.
    ratio = view.devicePixelRatioF()
    assert view.image.image.shape == (
        math.ceil(view.box.rect().height() * ratio),
        math.ceil(view.box.rect().width() * ratio),
    )
    # Every code comes out in its own colour of the table.
    wanted = table(view.settings)
    codes = view.image.image
    row, column = codes.shape[0] // 2, codes.shape[1] // 2
    expected = tuple(int(part) for part in wanted[codes[row, column]])
    assert colour_at(view.image.qimage, QPoint(column, row)) == expected


def test_a_tone_is_seen_where_its_frequency_is(stack, qtbot):
    stack.set_settings(SpectrogramSettings(floor_db=-60, ceiling_db=0, colours="grey"))
    for name in ("linear", "log", "mel"):
        stack.set_settings(stack.settings.changed(scale=name))
        stack.set_spectrogram("original", compute(sine(2000), RATE))
        QApplication.processEvents()
        view = stack.views["original"]
        grabbed = view.grab().toImage()
        area = view.box.sceneBoundingRect()
        x = round(area.center().x())
        column = [colour_at(grabbed, QPoint(x, y))[0] for y in range(int(area.top()) + 1, int(area.bottom()))]
        bright = [y for y, value in enumerate(column) if value == max(column)]
        y = area.top() + 1 + np.mean(bright)
        _, hz = view.point(QPointF(x, y))
        assert hz == pytest.approx(2000, abs=150)


def test_panes_are_aligned_and_linked(filled):
    boxes = [view.box.sceneBoundingRect() for view in filled.views.values()]
    assert len({(box.left(), box.width()) for box in boxes}) == 1
    assert max(box.height() for box in boxes) - min(box.height() for box in boxes) <= 1
    view = filled.views["adversarial"]
    wheel(view, at(view, 2.0), 3)
    ranges = {tuple(map(tuple, np.round(v.box.viewRange(), 9))) for v in filled.views.values()}
    assert len(ranges) == 1
    assert filled.visible_times()[1] - filled.visible_times()[0] == pytest.approx(4 / 1.25**3)


def test_the_wheel_zooms_about_the_cursor_and_pans(filled):
    view, navigation = filled.views["original"], filled.navigation
    wheel(view, at(view, 1.0), 4)
    assert navigation.t0 < 1.0 < navigation.t1
    assert (1.0 - navigation.t0) / (navigation.t1 - navigation.t0) == pytest.approx(0.25, abs=0.01)
    times, band = filled.visible_times(), (navigation.v0, navigation.v1)
    wheel(view, at(view, 1.0), 2, CONTROL)
    assert filled.visible_times() == times
    assert navigation.v1 - navigation.v0 == pytest.approx((band[1] - band[0]) / 1.25**2)
    wheel(view, at(view, 1.0), -1, SHIFT)
    assert filled.visible_times()[0] == pytest.approx(times[0] + 0.1 * (times[1] - times[0]))


def test_a_drag_pans_both_ways(filled, qtbot):
    view, navigation = filled.views["perturbation"], filled.navigation
    navigation.show_times(1.0, 3.0)
    navigation.zoom_frequency(2.0)
    navigation.flush()
    start = at(view, 2.0)
    _, hz = view.point(QPointF(start))
    drag(qtbot, view, start, start + QPoint(-100, 20))
    moved, hz_now = view.point(QPointF(start + QPoint(-100, 20)))
    assert moved == pytest.approx(2.0, abs=0.02)
    assert hz_now == pytest.approx(hz, rel=0.03)
    assert filled.visible_times()[0] > 1.0


def test_a_click_seeks(filled, qtbot):
    view = filled.views["adversarial"]
    with qtbot.waitSignal(filled.seekRequested) as heard:
        qtbot.mouseClick(view.viewport(), LEFT, NO_MODIFIER, at(view, 1.5))
    assert heard.args[0] == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize(("button", "modifiers"), [(LEFT, SHIFT), (MIDDLE, NO_MODIFIER)])
def test_a_shift_drag_or_middle_drag_selects_everywhere(filled, qtbot, button, modifiers):
    view = filled.views["original"]
    before = filled.visible_times()
    with qtbot.waitSignal(filled.regionSelected) as heard:
        drag(qtbot, view, at(view, 3.0), at(view, 1.0), button, modifiers)
    assert heard.args == [pytest.approx(1.0, abs=0.02), pytest.approx(3.0, abs=0.02)]
    assert filled.visible_times() == before
    for other in filled.views.values():
        assert other._loop.isVisible()
        assert other._loop.getRegion() == (pytest.approx(1.0, abs=0.02), pytest.approx(3.0, abs=0.02))


def test_a_region_from_outside_says_nothing_back(filled):
    heard = []
    filled.regionSelected.connect(lambda *region: heard.append(region))
    filled.set_region((1.0, 2.0))
    assert filled.views["perturbation"]._loop.isVisible()
    filled.set_region(None)
    assert not filled.views["perturbation"]._loop.isVisible()
    assert not heard


def test_the_loops_end_can_be_dragged(filled, qtbot):
    filled.set_region((1.0, 2.0))
    view = filled.views["original"]
    with qtbot.waitSignal(filled.regionSelected) as heard:
        drag(qtbot, view, at(view, 2.0), at(view, 2.8))
    assert heard.args == [pytest.approx(1.0), pytest.approx(2.8, abs=0.05)]


def test_the_ruler_seeks_selects_and_clears(filled, qtbot):
    ruler = filled.ruler

    def there(seconds):
        return QPoint(round(ruler._x(seconds)), 10)

    with qtbot.waitSignal(filled.seekRequested) as heard:
        qtbot.mouseClick(ruler, LEFT, NO_MODIFIER, there(2.5))
    assert heard.args[0] == pytest.approx(2.5, abs=0.01)
    assert there(2.5).x() == pytest.approx(x_of(filled.views["original"], 2.5), abs=1)  # it stands above its time
    with qtbot.waitSignal(filled.regionSelected) as heard:
        drag(qtbot, ruler, there(1.0), there(2.0))
    assert heard.args == [pytest.approx(1.0, abs=0.01), pytest.approx(2.0, abs=0.01)]
    with qtbot.waitSignal(filled.regionSelected) as heard:
        drag(qtbot, ruler, there(1.0), there(0.5))
    assert heard.args == [pytest.approx(0.5, abs=0.02), pytest.approx(2.0, abs=0.02)]
    with qtbot.waitSignal(filled.regionCleared):
        qtbot.mouseDClick(ruler, LEFT, NO_MODIFIER, there(1.5))
    assert not filled.views["original"]._loop.isVisible()


def test_hovering_reads_time_hz_and_db(stack, qtbot):
    stack.set_spectrogram("original", compute(sine(1000, level=0.1), RATE))
    stack.set_spectrogram("perturbation", compute(sine(1000, level=0.001), RATE))
    stack.navigation.show_frequencies(900, 1100)
    QApplication.processEvents()
    view = stack.views["original"]
    heard = []
    stack.hovered.connect(lambda *reading: heard.append(reading))
    qtbot.mouseMove(view.viewport(), at(view, 2.0, 0.51))
    qtbot.waitUntil(lambda: bool(heard))
    time, hz, db = heard[-1]
    assert time == pytest.approx(2.0, abs=0.01)
    assert hz == pytest.approx(1000, abs=10)
    assert db == pytest.approx(-20, abs=1.5)
    readings = stack.readings(time, hz)
    assert readings["perturbation"] == pytest.approx(-60, abs=1.5)  # as it is, not as it is shown
    assert readings["adversarial"] is None
    assert stack.views["perturbation"]._cursor.isVisible()
    with qtbot.waitSignal(stack.hoverEnded):
        QApplication.sendEvent(view, QEvent(QEvent.Type.Leave))
    assert not stack.views["perturbation"]._cursor.isVisible()


def test_playhead_and_cursor_draw_no_picture_anew(filled, qtbot):
    QApplication.processEvents()
    before = [view.pictures for view in filled.views.values()]
    view = filled.views["original"]
    for step in range(30):
        filled.set_playhead(0.1 * step)
        qtbot.mouseMove(view.viewport(), at(view, 0.1 * step))
        QApplication.processEvents()
    filled.set_settings(filled.settings.changed(floor_db=-70.0))  # colours and range neither
    QApplication.processEvents()
    assert [view.pictures for view in filled.views.values()] == before
    assert view._playhead.value() == pytest.approx(2.9, abs=0.01)


def test_the_page_turns_with_the_playhead_unless_one_looks_elsewhere(filled):
    filled.show_times(0.0, 1.0)
    filled.set_playhead(0.9)
    filled.set_playhead(1.05)
    assert filled.visible_times()[0] == pytest.approx(1.02, abs=0.01)
    filled.show_times(3.0, 4.0)  # away from it
    filled.set_playhead(1.1)
    assert filled.visible_times() == (3.0, 4.0)
    filled.show_times(1.0, 2.0)
    filled.follow = False
    filled.set_playhead(1.5)
    filled.set_playhead(2.5)
    assert filled.visible_times() == (1.0, 2.0)


def test_zoom_fit_and_pan_by_command(filled):
    filled.set_playhead(1.0)
    filled.zoom(2.0)
    start, stop = filled.visible_times()
    assert (stop - start, (1.0 - start) / (stop - start)) == (pytest.approx(2.0), pytest.approx(0.25))
    filled.pan(0.5)
    assert filled.visible_times()[0] == pytest.approx(start + 1.0)
    heard = []
    filled.viewChanged.connect(lambda *times: heard.append(times))
    filled.fit()
    filled.navigation.flush()
    assert heard == [(0.0, pytest.approx(4.0))]


def test_a_quiet_perturbation_is_shown_louder_and_says_so(filled):
    gain = filled.perturbation_gain_db
    assert gain in (20.0, 30.0)
    assert filled.views["perturbation"].label.text == f"Perturbation, shown +{gain:.0f} dB"
    assert filled.views["original"].gain_db == 0
    # A small change of level leaves the gain alone, a large one does not, and a chosen one is kept.
    filled.set_spectrogram("perturbation", compute(white(level=4e-4, seed=1), RATE))
    assert filled.perturbation_gain_db == gain
    filled.set_spectrogram("perturbation", compute(white(level=1e-5, seed=1), RATE))
    assert filled.perturbation_gain_db >= gain + 30
    filled.set_settings(filled.settings.changed(perturbation_gain_db=12.0))
    assert filled.views["perturbation"].label.text == "Perturbation, shown +12 dB"


def test_a_stale_pane_is_grey_and_says_so(filled):
    view = filled.views["perturbation"]

    def colourful():
        grabbed = view.grab().toImage()
        sampled = [colour_at(grabbed, at(view, t, share)) for t in (1, 2, 3) for share in (0.1, 0.3, 0.6)]
        return any(max(colour) - min(colour) > 20 for colour in sampled)

    assert colourful()
    filled.set_stale("perturbation", True)
    assert "computing…" in view.label.text
    assert not colourful()
    filled.set_stale("perturbation", False)
    assert "computing…" not in view.label.text
    assert colourful()


def test_empty_panes_say_what_to_do(stack, filled):
    stack.set_spectrogram("adversarial", None)
    assert stack.views["adversarial"]._empty.isVisible()
    assert "attack" in stack.views["adversarial"]._empty.text
    assert not stack.views["original"]._empty.isVisible()
    stack.set_spectrogram("original", None)
    stack.set_empty_text("original", "Loading …")
    assert stack.views["original"]._empty.text == "Loading …"


def test_a_new_sound_resets_the_view_and_the_same_extent_does_not(filled):
    filled.show_times(1.0, 2.0)
    filled.set_spectrogram("original", compute(white(seed=5), RATE))
    filled.set_spectrogram("adversarial", compute(white(seed=6), RATE))
    assert filled.visible_times() == (1.0, 2.0)
    filled.set_spectrogram("original", compute(white(seconds=7.0), RATE))
    assert filled.visible_times() == (0.0, pytest.approx(7.0))


def test_the_colour_bar_changes_the_range(filled, qtbot):
    bar = filled.bar
    middle = bar.width() // 2
    heard = []
    filled.settingsChanged.connect(heard.append)
    drag(qtbot, bar, QPoint(middle, 10), QPoint(middle, 110))
    assert heard[-1].ceiling_db == pytest.approx(-90 * 100 / (bar.height() - 2), abs=1.5)
    assert heard[-1].floor_db == SpectrogramSettings().floor_db
    assert filled.views["original"].settings == filled.settings == heard[-1]
    qtbot.mouseDClick(bar, LEFT, NO_MODIFIER, QPoint(middle, 100))
    assert filled.settings.ceiling_db == SpectrogramSettings().ceiling_db
    for _ in range(40):
        wheel(bar, QPoint(middle, 100), 1)
    assert filled.settings.floor_db < filled.settings.ceiling_db
    for _ in range(80):
        wheel(bar, QPoint(middle, 100), -1)
    assert filled.settings.ceiling_db - filled.settings.floor_db >= 12


def test_ticks_are_labelled_and_none_is_cut(filled):
    for name in ("linear", "log", "mel"):
        filled.set_settings(filled.settings.changed(scale=name))
        QApplication.processEvents()
        axis, navigation = filled.views["original"].axis, filled.navigation
        height = filled.views["original"].box.height()
        (_, major), _ = axis.tickValues(navigation.v0, navigation.v1, height)
        assert len(major) >= 3
        texts = axis.tickStrings(major, 1.0, 1.0)
        assert all(re.fullmatch(r"\d+(\.\d+)?k?", text) for text in texts), texts
        assert len(set(texts)) == len(texts)
        places = (np.array(major) - navigation.v0) / (navigation.v1 - navigation.v0) * height
        assert places.min() >= 7
        assert places.max() <= height - 7


def test_a_failing_picture_is_reported_and_does_not_end_the_program(filled, caplog, monkeypatch):
    image = filled.views["original"].image

    def broken(*arguments):
        raise RuntimeError("broken")

    monkeypatch.setattr(image, "_paint", broken)
    filled.views["original"].grab()
    filled.views["original"].grab()
    assert [record.message for record in caplog.records] == ["A spectrogram could not be painted"]


def test_the_theme_changes_under_a_living_stack(filled, qapp):
    theme.apply_theme(qapp, "light")
    QApplication.processEvents()
    corner = colour_at(filled.grab().toImage(), QPoint(2, filled.height() - 3))
    assert corner == QColor(LIGHT.window).getRgb()[:3]


# -- Overview ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def strip(filled, qtbot) -> WaveformStrip:
    made = WaveformStrip(filled.navigation)
    qtbot.addWidget(made)
    made.resize(400, 48)
    made.set_peaks(peaks.compute(np.concatenate([np.zeros(2 * RATE, np.float32), sine(100, 2.0)]), RATE))
    made.show()
    qtbot.waitExposed(made)
    return made


def test_the_strip_shows_the_outline(strip):
    grabbed = strip.grab().toImage()
    wave = QColor(DARK.original).getRgb()[:3]
    assert colour_at(grabbed, QPoint(300, 10)) == wave
    assert colour_at(grabbed, QPoint(100, 10)) != wave


def test_the_strip_seeks_pans_and_zooms(strip, filled, qtbot):
    with qtbot.waitSignal(strip.seekRequested) as heard:
        qtbot.mouseClick(strip, LEFT, NO_MODIFIER, QPoint(100, 20))
    assert heard.args[0] == pytest.approx(1.0, abs=0.02)
    filled.show_times(0.0, 1.0)
    with qtbot.assertNotEmitted(strip.seekRequested):
        drag(qtbot, strip, QPoint(50, 20), QPoint(150, 20))
    assert filled.visible_times() == (pytest.approx(1.0, abs=0.02), pytest.approx(2.0, abs=0.02))
    wheel(strip, QPoint(150, 20), 2)
    start, stop = filled.visible_times()
    assert stop - start == pytest.approx(1 / 1.25**2, rel=0.02)


def test_the_strip_marks_playhead_and_what_is_visible(strip, filled):
    filled.show_times(1.0, 2.0)
    strip.set_playhead(3.0)
    grabbed = strip.grab().toImage()
    assert colour_at(grabbed, QPoint(300, 2)) == QColor(DARK.text).getRgb()[:3]
    shaded, plain = colour_at(grabbed, QPoint(350, 10)), QColor(DARK.original).getRgb()[:3]
    assert shaded != plain
    strip.set_peaks(None)
    strip.grab()


# -- Labels ------------------------------------------------------------------------------------------------------------

BEFORE = [("pop", 0.2), ("rock", 0.6), ("folk", 0.05), ("jazz", 0.15)]
AFTER = [("pop", 0.1), ("rock", 0.2), ("folk", 0.65), ("jazz", 0.05)]


@pytest.fixture
def bars(qtbot) -> LabelBars:
    made = LabelBars()
    qtbot.addWidget(made)
    made.resize(320, 300)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_labels_before_and_after(bars):
    assert "appear here" in bars.accessibleDescription()
    bars.set_readings(BEFORE)
    assert not bars.flipped
    assert bars.rows() == [("rock", 0.6, None), ("pop", 0.2, None), ("jazz", 0.15, None), ("folk", 0.05, None)]
    bars.set_readings(BEFORE, AFTER, "folk")
    assert bars.flipped
    assert bars.rows()[0] == ("rock", 0.6, 0.2)
    assert bars.accessibleDescription() == (
        "Original: rock 60 %; adversarial: folk 65 %, the decision has changed; target: folk"
    )
    bars.set_readings(BEFORE, BEFORE, "folk")
    assert "the decision stands" in bars.accessibleDescription()
    bars.set_readings(None)
    assert bars.rows() == []


def test_the_new_top_label_and_the_target_always_have_a_row(bars):
    before = [(f"label {index}", 1 / (index + 2)) for index in range(50)]
    after = [(label, probability if label != "label 49" else 0.99) for label, probability in before]
    bars.set_readings(before, after, "label 40")
    shown = [label for label, _, _ in bars.rows()]
    assert {"label 0", "label 49", "label 40"} <= set(shown)
    assert len(shown) == min(8, (300 - 34) // 30)


def test_bars_are_as_long_as_the_probabilities(bars):
    bars.set_readings(BEFORE, AFTER)
    grabbed = bars.grab().toImage()

    def length(which, row):
        wanted = QColor(getattr(DARK, which)).getRgb()[:3]
        y = 34 + row * 30 + (9 if which == "original" else 20)
        return sum(
            colour_at(grabbed, QPoint(x, y)) == wanted for x in range(int(bars._columns()[0]), int(bars._columns()[1]))
        )

    whole = bars._columns()[1] - bars._columns()[0] - 8
    assert length("original", 0) / whole == pytest.approx(0.6, abs=0.03)
    assert length("adversarial", 0) / whole == pytest.approx(0.2, abs=0.03)
    assert length("adversarial", 3) / whole == pytest.approx(0.65, abs=0.03)


# -- Scores ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def scores(qtbot) -> ScorePlot:
    made = ScorePlot()
    qtbot.addWidget(made)
    made.resize(320, 180)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_a_score_is_read_against_the_clean_ones(scores):
    assert "appears here" in scores.accessibleDescription()
    clean = np.arange(100.0)
    scores.set_reading(clean, 94.5, 50.0, 120.0, "5 % false positives")
    assert not scores.flagged("original")
    assert scores.flagged("adversarial")
    assert scores.percentile("original") == 50
    assert scores.accessibleDescription() == (
        "Original: score 50, above 50 % of 100 clean scores, passes; Adversarial: score 120, above 100 % of 100 clean "
        "scores, flagged; threshold 94.5 (5 % false positives)"
    )
    scores.set_reading(clean, 94.5, 94.5)
    assert not scores.flagged("original")  # at the threshold is not above it
    scores.set_reading(None, None)
    assert scores.percentile("original") is None


def test_flagged_is_seen(scores):
    def seen(role):
        """Whether the marker's line of text has strokes about in that colour."""
        grabbed, wanted = scores.grab().toImage(), np.array(QColor(getattr(DARK, role)).getRgb()[:3])
        pixels = np.array([colour_at(grabbed, QPoint(x, y)) for x in range(320) for y in range(6, 26)])
        return bool((np.abs(pixels - wanted).max(axis=1) < 30).any())

    scores.set_reading(np.arange(100.0), None, 50.0)
    assert (seen("good"), seen("danger")) == (False, False)
    scores.set_reading(np.arange(100.0), 94.5, 50.0)
    assert (seen("good"), seen("danger")) == (True, False)
    scores.set_reading(np.arange(100.0), 94.5, 99.0)
    assert (seen("good"), seen("danger")) == (False, True)


@pytest.mark.parametrize("clean", [[3.0], [1.0, 1.0, 1.0], [0.1, 0.2, 0.3], list(np.linspace(-1e6, 1e6, 500))])
@pytest.mark.parametrize("score", [0.0, 1e9, -1e9, math.inf, -math.inf, math.nan])
def test_any_score_can_be_drawn(scores, clean, score):
    scores.set_reading(clean, 2.0, score, score)
    scores.set_stale(True)
    low, high = scores._span()
    assert math.isfinite(low)
    assert math.isfinite(high)
    assert low < high
    assert high - low <= 8 * ((max(clean) - min(clean)) or max(abs(clean[0]), 1) * 0.1)
    assert not scores.grab().isNull()


# -- Trace -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(qtbot) -> TracePlot:
    made = TracePlot()
    qtbot.addWidget(made)
    made.resize(360, 200)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_a_trace_grows_and_is_drawn_seldom(trace, qtbot, monkeypatch):
    drawn = []
    redraw = trace.redraw
    trace._timer.timeout.disconnect()
    trace._timer.timeout.connect(lambda: (drawn.append(True), redraw()))
    for step in range(1000):
        trace.append(step, loss=1 / (step + 1), margin=None if step < 10 else step / 10)
    qtbot.waitUntil(lambda: bool(drawn))
    assert len(drawn) == 1
    x, y = trace._curves["left"].getData()
    np.testing.assert_array_equal(x, np.arange(1000))
    assert y[-1] == pytest.approx(1e-3)
    x, y = trace._curves["right"].getData()
    assert len(x) == 990
    assert trace.accessibleDescription() == "Iteration 999: Loss 0.001, Margin 99.9"
    assert trace.getPlotItem().getAxis("right").isVisible()


def test_a_trace_without_losses_shows_no_numbers_of_the_one_before(trace):
    axis, nan = trace.getPlotItem().getAxis("left"), float("nan")
    assert axis.tickStrings([-0.5, 0.0], 1.0, 0.5) == ["−0.5", "0"]
    trace.follow([(40.0, -1.0, 60.0), (30.0, 0.5, 60.0)])
    trace.redraw()
    assert axis.style["showValues"]
    assert len(trace._marks) == 1
    trace.follow([(nan, -1.0, 60.0), (nan, -0.5, 60.0), (nan, -0.2, 60.0)], "Query")
    trace.redraw()
    assert not axis.style["showValues"]
    assert trace._marks == []
    assert trace.getPlotItem().getAxis("bottom").labelText == "Query"
    assert trace.accessibleDescription() == "Query 3: Margin −0.2"


def test_an_empty_surface_has_no_axes(qtbot):
    made = SurfacePlot()
    qtbot.addWidget(made)
    made.restyle()
    assert not any(made.getPlotItem().getAxis(side).isVisible() for side in ("left", "bottom"))


def test_a_trace_is_forgotten(trace):
    trace.append(0, loss=1.0)
    trace.append(1, loss=float("nan"))
    trace.mark(1, "flipped")
    trace.redraw()
    assert len(trace._curves["left"].getData()[0]) == 1
    assert not trace.getPlotItem().getAxis("right").isVisible()
    trace.grab()
    trace.reset()
    assert "appears here" in trace.accessibleDescription()
    assert not trace.getPlotItem().getAxis("left").isVisible()
    trace.grab()


def test_a_late_series_starts_where_it_starts(trace):
    trace.set_series("loss", "snr_db")
    trace.append(0, loss=1.0)
    trace.append(1, loss=0.5, snr_db=40.0)
    trace.redraw()
    assert trace._curves["right"].getData()[0].tolist() == [1.0]


# -- Sliders -----------------------------------------------------------------------------------------------------------


def slider(qtbot, *arguments, **options) -> LevelSlider:
    made = LevelSlider(*arguments, **options)
    qtbot.addWidget(made)
    made.resize(320, 50)
    made.show()
    qtbot.waitExposed(made)
    return made


def test_slider_and_field_stay_in_step(qtbot):
    made = slider(qtbot, "Epsilon", 1e-5, 1e-1, 1e-3, scale="log", about="The largest |δ|")
    assert made.slider.value() == 500
    assert made.field.text() == "0.001"
    heard = []
    made.valueChanged.connect(heard.append)
    made.slider.setValue(750)
    assert made.value() == pytest.approx(0.01)
    assert made.field.text() == "0.01"
    made.set_value(3e-5)
    assert made.field.text() == "0.00003"
    made.set_value(3e-5)
    made.set_value(7.0)
    assert made.value() == 0.1
    assert heard == [pytest.approx(0.01), 3e-5, 0.1]


@pytest.mark.parametrize("value", [1e-5, 1.23e-5, 4.56e-4, 0.0789, 0.1])
def test_what_is_set_is_kept_exactly(qtbot, value):
    made = slider(qtbot, "Epsilon", 1e-5, 1e-1, 1e-3, scale="log")
    made.set_value(value)
    assert made.value() == value


def test_numbers_can_be_typed_as_people_write_them(qtbot):
    made = slider(qtbot, "Epsilon", 1e-5, 1e-1, 1e-3, scale="log", unit="FS")
    for typed, wanted in (("2e-3", 0.002), ("0,05", 0.05), ("0.0042", 0.0042), ("9", 0.1), ("abc", 0.1), ("0", 1e-5)):
        made.field.setFocus()
        made.field.selectAll()
        qtbot.keyClicks(made.field, typed)
        qtbot.keyClick(made.field, Qt.Key.Key_Return)
        assert made.value() == pytest.approx(wanted), typed
    assert made.field.text().endswith(" FS")


def test_keys_step_by_a_ratio_or_round_numbers(qtbot):
    made = slider(qtbot, "Epsilon", 1e-5, 1e-1, 1e-3, scale="log")
    for _ in range(20):
        qtbot.keyClick(made.slider, Qt.Key.Key_Right)
    assert made.value() == pytest.approx(1e-2)
    steps = slider(qtbot, "Steps", 1, 500, 3, scale="log", integer=True)
    qtbot.keyClick(steps.field, Qt.Key.Key_Up)
    assert steps.value() == 4
    qtbot.keyClick(steps.slider, Qt.Key.Key_Left)
    qtbot.keyClick(steps.slider, Qt.Key.Key_Left)
    assert steps.value() == 2
    snr = slider(qtbot, "SNR", 0, 80, 40.3, unit="dB")
    qtbot.keyClick(snr.slider, Qt.Key.Key_Up)
    assert snr.value() == 41
    qtbot.keyClick(snr.slider, Qt.Key.Key_PageDown)
    assert snr.value() == 31


def test_a_double_click_goes_back(qtbot):
    made = slider(qtbot, "SNR", 0, 80, 40, unit="dB")
    made.set_value(10)
    with qtbot.waitSignal(made.committed) as heard:
        qtbot.mouseDClick(made.label, LEFT)
    assert heard.args == [40.0]
    made.set_default(20)
    qtbot.mouseDClick(made.slider, LEFT)
    assert made.value() == 20


def test_committed_comes_when_a_drag_ends(qtbot):
    made = slider(qtbot, "SNR", 0, 80, 40)
    committed, changed = [], []
    made.committed.connect(committed.append)
    made.valueChanged.connect(changed.append)
    made.slider.setSliderDown(True)
    for position in (510, 530, 560):
        made.slider.setSliderPosition(position)
    assert len(changed) == 3
    assert not committed
    made.slider.setSliderDown(False)
    assert committed == [changed[-1]]


def test_the_wheel_passes_over_unless_focused(qtbot):
    made = slider(qtbot, "SNR", 0, 80, 40)
    for part in (made.slider, made.field):
        made.setFocus()
        part.clearFocus()
        wheel(part, QPoint(5, 5), 3)
        assert made.value() == 40


def test_a_sliders_parts_have_names(qtbot):
    made = slider(qtbot, "SNR", 0, 80, 40, unit="dB", about="Signal to noise")
    assert made.slider.accessibleName() == "SNR, slider"
    assert made.field.accessibleName() == "SNR, value"
    assert made.field.accessibleDescription() == "Signal to noise"
    assert "40 dB" in made.slider.toolTip()
    assert made.label.buddy() is made.field


def test_a_slider_comes_from_a_declaration(qtbot):
    declared = Parameter("step_size", "How far a step goes", minimum=1e-5, maximum=1.0, default=0.01, scale="log")
    made = LevelSlider.from_parameter(declared)
    qtbot.addWidget(made)
    assert (made.minimum, made.maximum, made.value(), made.scale) == (1e-5, 1.0, 0.01, "log")
    assert made.label.text() == declared.title
    with pytest.raises(ValueError, match="both ends"):
        LevelSlider.from_parameter(Parameter("steps", "n", kind=int, default=10, minimum=1))
    steps = LevelSlider.from_parameter(Parameter("steps", "n", kind=int, default=10, minimum=1), maximum=200)
    qtbot.addWidget(steps)
    assert steps.integer
    for wrong in ({"minimum": 2, "maximum": 1}, {"minimum": 0, "maximum": 1, "scale": "log"}):
        with pytest.raises(ValueError):
            LevelSlider("x", default=1, **wrong)


def test_a_range_can_move(qtbot):
    made = slider(qtbot, "Epsilon", 1e-5, 1e-1, 1e-1, scale="log")
    with qtbot.waitSignal(made.valueChanged):
        made.set_range(1e-4, 1e-2)
    assert made.value() == 1e-2
    assert made.slider.value() == 1000


# -- All of them -------------------------------------------------------------------------------------------------------


def test_everything_that_takes_focus_has_a_name(filled, strip, bars, scores, trace, qtbot):
    made = slider(qtbot, "SNR", 0, 80, 40)
    for top in (filled, strip, bars, scores, trace, made):
        for widget in [top, *top.findChildren(QWidget)]:
            inner = widget.objectName().startswith("qt_") or widget.parent() is made.field
            if widget.focusPolicy() != Qt.FocusPolicy.NoFocus and not inner:
                assert widget.accessibleName(), widget


def test_every_view_looks_different_in_the_other_theme(filled, strip, bars, scores, trace, qapp):
    bars.set_readings(BEFORE, AFTER, "folk")
    scores.set_reading(np.arange(50.0), 40.0, 10.0, 60.0)
    trace.append(0, loss=1.0)
    trace.append(1, loss=0.5)
    trace.redraw()
    views = (filled, strip, bars, scores, trace)
    before = [view.grab().toImage() for view in views]
    theme.apply_theme(qapp, "light")
    QApplication.processEvents()
    for view, image in zip(views, before, strict=True):
        assert view.grab().toImage() != image


def test_a_ruler_painted_in_pieces_is_the_ruler_painted_whole(filled):
    ruler = filled.ruler
    filled.set_region((1.0, 2.5))
    for times in ((0.0, 4.0), (1.23, 1.9)):
        filled.show_times(*times)
        filled.navigation.flush()
        ruler.set_playhead(1.5)
        whole = ruler.grab().toImage()
        for left in range(0, ruler.width() - 17, 13):
            piece = ruler.grab(QRect(left, 0, 17, ruler.height())).toImage()
            assert piece == whole.copy(left, 0, 17, ruler.height()), left
