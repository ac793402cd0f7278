"""Drawing where the perturbation may be: from the mouse to seconds and Hz on every scale, edges, fields, one document."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from workbench import Bench

from mirguard.analysis.scales import scale
from mirguard.attacks.restriction import FREE, Restriction
from mirguard.clip import Clip, save_clip
from mirguard.workbench.panels.restriction import RestrictionBox
from mirguard.workbench.views.area import Area, area_between, drawn_area
from mirguard.workbench.wording import where

SECONDS, TOP = 4.0, 11_025.0
SCALES = ("linear", "log", "mel")


class Sight:
    """As much of a Navigation as areas look at."""

    def __init__(self, name: str) -> None:
        self.scale, self.duration, self.top_hz = scale(name), SECONDS, TOP

    def pixel(self) -> tuple[float, float]:
        bottom, top = self.scale.span(TOP)
        return SECONDS / 800, (top - bottom) / 300


@pytest.mark.parametrize("name", SCALES)
@given(
    times=st.tuples(st.floats(0.1, 3.9), st.floats(0.1, 3.9)),
    hertz=st.tuples(st.floats(200.0, 9000.0), st.floats(200.0, 9000.0)),
)
def test_a_drag_gives_the_times_and_frequencies_it_goes_over(name, times, hertz):
    sight = Sight(name)
    start, end = ((t, float(sight.scale.forward(hz))) for t, hz in zip(times, hertz, strict=True))
    area = drawn_area(start, end, sight, sight.pixel())
    wide, high = sight.pixel()
    if area is None:
        assert abs(end[0] - start[0]) < 6 * wide and abs(end[1] - start[1]) < 6 * high
        return
    if area.time is not None:
        assert area.time == pytest.approx(sorted(times), abs=6e-4)
    if area.band is not None:
        assert area.band == pytest.approx(sorted(hertz), abs=0.51)
        edges = area.edges(sight)
        assert edges["bottom"] == pytest.approx(float(sight.scale.forward(area.band[0])))


@pytest.mark.parametrize("name", SCALES)
def test_edges_at_the_sound_s_own_are_none(name):
    sight = Sight(name)
    bottom, top = sight.scale.span(TOP)
    middle = float(sight.scale.forward(1000.0))
    assert drawn_area((0.001, bottom), (SECONDS, top), sight, sight.pixel()) == Area()
    assert drawn_area((-5.0, bottom - 1), (1.0, middle), sight, sight.pixel()) == Area((0.0, 1.0), (0.0, 1000.0))
    assert drawn_area((1.0, middle), (9.0, top + 1), sight, sight.pixel()) == Area((1.0, SECONDS), (1000.0, TOP))


def test_a_line_or_a_key_leaves_the_other_direction_open():
    sight = Sight("mel")
    low, high = (float(sight.scale.forward(hz)) for hz in (500.0, 2000.0))
    assert drawn_area((1.0, low), (2.0, low), sight, sight.pixel()) == Area((1.0, 2.0), None)
    assert drawn_area((1.0, low), (1.0, high), sight, sight.pixel()) == Area(None, (500.0, 2000.0))
    assert drawn_area((1.0, low), (2.0, high), sight, sight.pixel(), "time") == Area((1.0, 2.0), None)
    assert drawn_area((1.0, low), (2.0, high), sight, sight.pixel(), "band") == Area(None, (500.0, 2000.0))
    assert drawn_area((1.0, low), (1.0, low), sight, sight.pixel()) is None


def test_edges_dragged_past_each_other_change_places():
    sight = Sight("linear")
    edges = {"left": 3.0, "right": 2.0, "bottom": None, "top": None}
    assert area_between(edges, sight, sight.pixel()) == Area((2.0, 3.0), None)
    for together in (0.0, 2.0, SECONDS):
        edges |= {"left": together, "right": together}
        begin, end = area_between(edges, sight, sight.pixel()).time
        assert 0.0 <= begin < end <= SECONDS


# --- the fields ---


@pytest.fixture
def box(qtbot):
    made = RestrictionBox()
    qtbot.addWidget(made)
    made.show_restriction(FREE, SECONDS, TOP)
    made.changed.connect(lambda restriction: made.show_restriction(restriction, SECONDS, TOP))
    return made


def test_fields_and_boxes_make_the_restriction(box, qtbot):
    changes = []
    box.changed.connect(changes.append)
    box.time.click()
    assert changes[-1] == Restriction(time=(0.0, SECONDS)) and box.begin.isEnabled() and not box.low.isEnabled()
    box.begin.setValue(1.2)
    box.end.setValue(3.45)
    box.band.click()
    box.high.setValue(4000.0)
    box.low.setValue(500.0)
    box.loud.click()
    box.level.setValue(-20.0)
    box.masked.click()
    assert changes[-1] == Restriction((1.2, 3.45), (500.0, 4000.0), -20.0, True)
    assert where(changes[-1]) == "1.20–3.45 s, 500–4000 Hz, above −20 dB, masked"
    box.begin.setValue(3.9)  # the end gives way
    begin, end = changes[-1].time
    assert begin == 3.9 and end > begin
    changes[-1].check(SECONDS, 22050)
    box.clear_button.click()
    assert changes[-1] == FREE and not box.clear_button.isEnabled() and where(FREE) == "the whole sound"


# --- the panes ---


@pytest.fixture
def bench(qtbot, tmp_path, tone, noise):
    bench = Bench(qtbot, tmp_path)
    song = save_clip(
        Clip(tone(seconds=SECONDS, level=0.3).samples + noise(seconds=SECONDS, level=0.02).samples, 22050),
        tmp_path / "a.wav",
    )
    bench.start()
    bench.load(song)
    stack = bench.window.spectrograms.stack
    bench.until(lambda: stack.spectrogram("original") is not None)
    stack.navigation.flush()
    yield bench
    bench.close()


def pixel_of(view, seconds: float, hz: float) -> QPoint:
    there = view.box.mapViewToScene(QPointF(seconds, float(view.navigation.scale.forward(hz))))
    return view.mapFromScene(there)


def drag(view, start: QPoint, end: QPoint, keys=Qt.KeyboardModifier.NoModifier) -> None:
    """Press, move in steps, let go, with the modifiers that `mouseMove` of QTest leaves out."""
    target, left, none = view.viewport(), Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton

    def send(kind, point, button, buttons) -> None:
        at = QPointF(point)
        QApplication.sendEvent(target, QMouseEvent(kind, at, target.mapToGlobal(at), button, buttons, keys))
        QTest.qWait(12)  # pyqtgraph looks at the mouse a hundred times a second

    send(QEvent.Type.MouseMove, start, none, none)
    send(QEvent.Type.MouseButtonPress, start, left, left)
    for step in np.linspace(0.1, 1.0, 10):
        send(QEvent.Type.MouseMove, start + (end - start) * float(step), none, left)
    send(QEvent.Type.MouseButtonRelease, end, left, none)


@pytest.mark.parametrize("name", SCALES)
def test_a_rectangle_drawn_on_a_pane_is_the_restriction(bench, name):
    window = bench.window
    stack = window.spectrograms.stack
    stack.set_settings(stack.settings.changed(scale=name))
    stack.navigation.flush()
    view = stack.views["original"]
    window.actions_by_name["restrict"].trigger()
    start, end = pixel_of(view, 1.0, 4000.0), pixel_of(view, 2.5, 500.0)
    wanted = [view.point(QPointF(point)) for point in (start, end)]
    seen = (stack.navigation.t0, stack.navigation.t1)
    drag(view, start, end)
    found = bench.document.design.restriction
    assert found.time == pytest.approx((wanted[0][0], wanted[1][0]), abs=0.02)
    assert found.band == pytest.approx((wanted[1][1], wanted[0][1]), rel=0.05)
    assert (stack.navigation.t0, stack.navigation.t1) == seen  # nothing was moved
    for other in stack.views.values():
        if other.spectrogram is not None:
            assert other._permitted.isVisible()
    assert window.designer.restriction.begin.value() == pytest.approx(found.time[0], abs=0.006)
    assert window.designer.where.words.text() == where(found)


def test_keys_choose_the_direction_and_the_other_settings_stay(bench):
    window, view = bench.window, bench.window.spectrograms.stack.views["original"]
    bench.document.change_design(restriction=Restriction(masked=True))
    window.deeds.restrict(True)
    start, end = pixel_of(view, 1.0, 4000.0), pixel_of(view, 2.5, 500.0)
    drag(view, start, end, Qt.KeyboardModifier.ShiftModifier)
    found = bench.document.design.restriction
    assert found.time is not None and found.band is None and found.masked
    drag(view, start, end, Qt.KeyboardModifier.ControlModifier)
    found = bench.document.design.restriction
    assert found.time is None and found.band is not None and found.masked
    drag(view, start, start + QPoint(2, 2))  # nowhere: nothing changes
    assert bench.document.design.restriction == found
    window.actions_by_name["unrestrict"].trigger()
    assert bench.document.design.restriction == FREE and not view._permitted.isVisible()


def test_edges_are_dragged_without_the_tool_and_elsewhere_the_view_moves(bench):
    window, view = bench.window, bench.window.spectrograms.stack.views["original"]
    bench.document.change_design(restriction=Restriction((1.0, 3.0), (200.0, 4000.0)))
    QApplication.processEvents()
    drag(view, pixel_of(view, 1.0, 1000.0), pixel_of(view, 1.5, 1000.0))
    found = bench.document.design.restriction
    assert found.time == pytest.approx((1.5, 3.0), abs=0.03) and found.band == pytest.approx((200.0, 4000.0), rel=0.01)
    drag(view, pixel_of(view, 3.0, 4000.0), pixel_of(view, 3.5, 8000.0))  # a corner
    found = bench.document.design.restriction
    assert found.time == pytest.approx((1.5, 3.5), abs=0.03) and found.band == pytest.approx((200.0, 8000.0), rel=0.06)
    window.spectrograms.stack.zoom(2.0)
    window.spectrograms.stack.navigation.flush()
    before = window.spectrograms.stack.navigation.t0
    middle = window.spectrograms.stack.visible_times()
    at = sum(middle) / 2
    drag(view, pixel_of(view, at, 1000.0), pixel_of(view, at - 0.3, 1000.0))
    assert bench.document.design.restriction == found
    assert window.spectrograms.stack.navigation.t0 == pytest.approx(before + 0.3, abs=0.05)


def test_button_key_and_menu_agree_on_whether_the_mouse_draws(bench):
    window = bench.window
    buttons = (window.spectrograms.restrict, window.designer.restriction.draw_button)
    window.actions_by_name["restrict"].trigger()
    assert all(button.isChecked() for button in buttons)
    assert "times only" in window.spectrograms.readout.text()
    window.designer.restriction.draw_button.click()
    assert not window.actions_by_name["restrict"].isChecked()
    assert not any(button.isChecked() for button in buttons)
    assert "zoom" in window.spectrograms.readout.text()
    window.actions_by_name["restrict"].trigger()
    window.actions_by_name["cancel"].trigger()
    assert not any(button.isChecked() for button in buttons)
