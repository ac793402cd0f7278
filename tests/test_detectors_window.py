"""Detectors in the window: the panel with all that are fitted, what an attack is to evade, and how good they are."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from workbench import TOY, Bench

from mirguard.clip import Clip, load_clip, save_clip
from mirguard.datasets.synthesis import compose
from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.kept import fitted_for, names_fitted_for
from mirguard.detectors.roc import roc
from mirguard.errors import FileError
from mirguard.experiment.detection_report import detection_report
from mirguard.models.catalogue import load_model
from mirguard.workbench.detection_requests import MeasureDetectors
from mirguard.workbench.detector_figures import NAMES, _words
from mirguard.workbench.dialogs.detectors_measured import DetectorsMeasuredDialog
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL
from mirguard.workbench.views.roc_plot import RocPlot
from mirguard.workbench.watching import SHARE, Watch
from mirguard.workbench.workshop import Workshop


@pytest.fixture
def bench(qtbot, tmp_path):
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path):
    """Four synthetic clips that no detector was fitted on."""
    place = tmp_path / "clips"
    place.mkdir()
    for number, instrument in enumerate(("organ", "brass", "flute", "drums")):
        sound = compose(instrument, 7_000_000 + number, 16_000, 1.5, split="test")
        save_clip(Clip(sound.samples[None], 16_000), place / f"{number}.wav")
    return place


def measured(bench: Bench) -> DetectorsMeasuredDialog:
    return next(one for one in reversed(bench.window.findChildren(DetectorsMeasuredDialog)) if one.isVisible())


def test_the_panel_has_every_fitted_detector_and_shows_the_chosen_one(bench, folder):
    panel = bench.window.detectors
    assert panel.figures_button.isHidden() and not bench.window.actions_by_name["measure-detectors"].isEnabled()
    bench.start()
    entry = bench.load(folder / "0.wav")
    bench.until(lambda: len(entry.readings.get(ORIGINAL, ())) >= 3)
    names = names_fitted_for(load_model(TOY))
    shown = [panel.table.topLevelItem(row).text(0) for row in range(panel.table.topLevelItemCount())]
    assert shown == [find_detector(name).title for name in names]
    reading = next(one for one in entry.readings[ORIGINAL] if one.detector != "kde" and one.score is not None)
    item = panel.table.topLevelItem(names.index(reading.detector))
    panel.table.setCurrentItem(item)
    assert find_detector(reading.detector).title in panel.help.text()
    np.testing.assert_allclose(sorted(panel.plot._clean), sorted(reading.clean_scores))
    assert item.text(2) == ("flagged" if reading.flagged else "passes")


def test_what_is_ticked_in_the_menu_is_evaded(bench, folder):
    bench.start()
    bench.load(folder / "0.wav")
    bench.until(lambda: bench.document.reference is not None)
    entries = {action.data(): action for action in bench.window.designer.also_evade.menu.actions()}
    entries["kde"].trigger()
    assert bench.document.design.evade == ("kde",)
    bench.document.change_design(level=20.0)
    bench.document.set_value("steps", 3)
    entry = bench.run()
    assert entry.outcome.experiment.evade == ("kde",)
    bench.until(lambda: ADVERSARIAL in entry.readings)


def test_the_dialog_shows_the_figures_of_the_report(bench, folder):
    bench.start()
    bench.until(lambda: bench.document.reference is not None)
    panel = bench.window.detectors
    names = names_fitted_for(load_model(TOY))
    panel.table.setCurrentItem(panel.table.topLevelItem(names.index("kde")))
    panel.table.itemActivated.emit(panel.table.currentItem(), 0)
    dialog = measured(bench)
    assert not dialog.text_button.isEnabled() and dialog.plot.empty
    form = dialog.form
    form.set_folder(folder)
    form.attack.setCurrentIndex(form.attack.findData("fgsm"))
    form.snr.setValue(5.0)
    form.detectors.setCurrentIndex(form.detectors.findData("kde"))
    dialog.run_button.click()
    assert dialog.run_button.text() == "Cancel" and not form.isEnabled()
    bench.until(lambda: dialog.report is not None)
    model = load_model(TOY)
    clips = {clip.hash: clip for clip in map(load_clip, sorted(folder.iterdir()))}
    expected = detection_report(model, list(clips.values()), [fitted_for(model, "kde")], ("fgsm",), snr=5.0)
    figure, told = expected.figure("kde", "fgsm"), dialog.report.figure("kde", "fgsm")
    # Clips are drawn in another order, on which only the interval depends.
    assert told.static.value == pytest.approx(figure.static.value)
    assert told.adaptive.value == pytest.approx(figure.adaptive.value)
    assert (told.caught, told.fooled, told.evaded) == (figure.caught, figure.fooled, figure.evaded)
    cells = [dialog.table.topLevelItem(0).text(column) for column in range(6)]
    assert cells[0] == find_detector("kde").title and cells[1:3] == [_words(told.static), _words(told.adaptive)]
    assert cells[5] == f"{figure.evaded} of 4"
    scores = dialog.report.scores["fgsm"]["kde"]
    fools = np.asarray(dialog.report.fools["fgsm"]["kde"]["attacked"])
    assert 0 < fools.sum() == expected.headings[0].fooled
    expected_curve = roc([*scores["clean"], *scores["noisy"]], np.asarray(scores["attacked"])[fools])
    np.testing.assert_allclose(dialog.plot.curves["static"], expected_curve)
    area = np.trapezoid(expected_curve[1], expected_curve[0])
    assert area == pytest.approx(figure.static.value)
    dialog.csv_button.click()
    written = list(csv.DictReader(io.StringIO(QApplication.clipboard().text())))
    assert tuple(written[0]) == NAMES
    assert float(written[0]["auc_adaptive"]) == pytest.approx(figure.adaptive.value)
    dialog.text_button.click()
    assert _words(told.static) in QApplication.clipboard().text()
    dialog.reject()
    bench.window.actions_by_name["measure-detectors"].trigger()
    assert measured(bench).report is not None, "the last report is still there"
    measured(bench).reject()


def test_escape_stops_a_report_and_a_second_one_closes(bench, folder):
    bench.start()
    bench.until(lambda: bench.document.reference is not None)
    bench.window.actions_by_name["measure-detectors"].trigger()
    dialog = measured(bench)
    assert dialog.form.source.currentText() == "Fresh synthetic clips"
    dialog.form.count.setValue(300)
    dialog.run_button.click()
    bench.until(lambda: "Composing" in dialog.state.text() or "clips" in dialog.state.text())
    dialog.reject()
    bench.until(lambda: dialog.run_button.text() == "Run")
    assert "nothing was kept" in dialog.state.text() and dialog.isVisible() and dialog.report is None
    dialog.reject()
    bench.until(lambda: not bench.window.bench.engine.holds("MeasureDetectors"))


def test_clips_that_a_detector_was_fitted_on_are_refused(bench, folder, monkeypatch):
    bench.start()
    bench.until(lambda: bench.document.reference is not None)
    kept = fitted_for(load_model(TOY), "kde")
    kept.about = replace(kept.about, hashes=(*kept.about.hashes, load_clip(folder / "1.wav").hash))
    monkeypatch.setattr(Workshop, "detectors", lambda self, _model: [kept])
    bench.window.actions_by_name["measure-detectors"].trigger()
    dialog = measured(bench)
    dialog.form.set_folder(folder)
    dialog.run_button.click()
    bench.until(lambda: dialog.run_button.text() == "Run")
    assert "use others, which it does not know" in dialog.state.text()
    assert dialog.state.property("role") == "danger"
    dialog.reject()


def test_a_request_takes_the_clips_it_is_given(folder):
    clips = tuple(load_clip(path) for path in sorted(folder.iterdir()))
    request = MeasureDetectors("m", "fgsm", 30.0, False, (), 3, clips=clips)
    assert request._clips(None, None) == list(clips[:3])


def test_the_low_rates_of_a_curve_can_be_spread(qtbot):
    plot = RocPlot()
    qtbot.addWidget(plot)
    assert plot.empty
    x, y = np.array([0.0, 0.0, 0.05, 0.5, 1.0]), np.array([0.0, 0.4, 0.6, 0.9, 1.0])
    plot.show_curves({"static": (x, y)})
    drawn = plot._drawn["static"]
    np.testing.assert_allclose(drawn.getData(), (x, y))
    plot.show_log(True)
    places, heights = drawn.getData()
    np.testing.assert_allclose(10**places, [0.05, 0.05, 0.5, 1.0])
    np.testing.assert_allclose(heights, [0.4, 0.6, 0.9, 1.0])
    assert "caught at 5 %" in plot.accessibleDescription()


class Slow:
    """A detector that takes its time, by a clock that is moved by hand."""

    layers = ("a",)

    def __init__(self, clock, seconds: float) -> None:
        self._clock, self._seconds, self.asked = clock, seconds, 0

    def digest(self, heard, logits):
        self.asked += 1
        self._clock[0] += self._seconds
        return logits

    def read(self, seen, decision, fpr):
        return len(seen)


def test_watching_takes_a_small_part_of_the_time(monkeypatch):
    import torch

    clock = [100.0]
    monkeypatch.setattr("mirguard.workbench.watching.time.perf_counter", lambda: clock[0])
    slow = Slow(clock, 0.02)
    watch = Watch([slow], 0.05)
    probe = watch.probes[0]
    logits = torch.zeros(3, 2)
    look = 0.01  # seconds
    for _ in range(1000):
        clock[0] += look
        seen = probe.digest({}, logits)
        progress = type("Progress", (), {"seen": (seen,), "decision": None})()
        watch.looked(progress)
    assert watch.readings == (3,)
    assert 10 <= slow.asked <= 1000 * look * 1.1 * SHARE / 0.02
    assert probe.layers == ("a",)


def test_one_damaged_detector_does_not_take_the_others_with_it(monkeypatch):
    def damaged(model, name):
        if name == "kde":
            raise FileError("kde.safetensors is not a fitted detector; fit it again.")
        return fitted_for(model, name)

    monkeypatch.setattr("mirguard.detectors.kept.fitted_for", damaged)
    model = load_model(TOY)
    found = [detector.name for detector in Workshop().detectors(model)]
    assert found and "kde" not in found and "pca-tail" in found
    monkeypatch.setattr("mirguard.detectors.kept.names_fitted_for", lambda _model: ("kde",))
    with pytest.raises(FileError, match="fit it again"):
        Workshop().detectors(model)
