"""The main window with the bundled model: the whole way through, cancelling, bad input, what is remembered."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRect, Qt, QUrl
from PySide6.QtGui import QDropEvent, QKeySequence
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog, QWidget
from workbench import TOY, Bench

from mirguard.clip import Clip, load_clip, save_clip
from mirguard.errors import MirguardError
from mirguard.resources import resource
from mirguard.workbench import workshop
from mirguard.workbench.actions import DEEDS, MENUS, SEPARATOR
from mirguard.workbench.dialogs.export import ExportDialog
from mirguard.workbench.facts import ADVERSARIAL, ORIGINAL, PERTURBATION, SIDES
from mirguard.workbench.wording import sentence


@pytest.fixture
def bench(qtbot, tmp_path):
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def song(tmp_path, noise, tone) -> Path:
    """Four seconds, stereo, 22.05 kHz: quick to attack."""
    clip = Clip(
        tone(seconds=4.0, channels=2, level=0.3).samples + noise(seconds=4.0, channels=2, level=0.01).samples, 22050
    )
    return save_clip(clip, tmp_path / "song.wav")


def attackable(bench, song):
    """The clip loaded, and a budget within which the attack certainly succeeds."""
    bench.start()
    entry = bench.load(song)
    bench.document.change_design(held="snr", level=10.0)
    return entry


# -- the whole way through ---------------------------------------------------------------------------------------------


def test_load_run_read_listen_and_export(bench, song, tmp_path, qtbot):
    entry = attackable(bench, song)
    window = bench.window
    bench.until(lambda: ORIGINAL in entry.readings)
    bench.until(lambda: window.spectrograms.stack.spectrogram(ORIGINAL) is not None)
    bench.run()
    outcome = entry.outcome
    assert outcome.success, "a budget of 10 dB is plenty"
    assert outcome.exported.decision.label != entry.decision.label
    bench.until(lambda: ADVERSARIAL in entry.readings)
    bench.until(lambda: all(window.spectrograms.stack.spectrogram(side) is not None for side in SIDES))
    assert window.labels.bars.flipped
    assert "heard as" in window.labels.verdict.text()
    assert len(entry.trace) == len(outcome.trace["loss"])

    assert window.listening.names == SIDES
    assert window.listening.heard is outcome.clip.samples
    window.actions_by_name["play"].trigger()
    bench.until(lambda: window.listening.player.position > 0.2)
    window.actions_by_name["swap"].trigger()
    assert window.listening.player.selected == ADVERSARIAL
    assert window.playback.sources.button(1).isChecked()
    window.actions_by_name["hear-perturbation"].trigger()
    assert window.listening.player.selected == PERTURBATION
    bench.until(lambda: window.listening.player.perturbation_gain_db > 0)
    window.actions_by_name["play"].trigger()
    assert not window.listening.player.playing

    window.actions_by_name["export"].trigger()
    dialog = next(child for child in window.findChildren(QDialog) if isinstance(child, ExportDialog))
    out = tmp_path / "out"
    out.mkdir()
    dialog.folder.setText(str(out))
    qtbot.mouseClick(dialog.export_button, Qt.MouseButton.LeftButton)
    bench.until(lambda: "survives" in dialog.results[ADVERSARIAL].text())
    bench.until(lambda: "Written" in dialog.results[PERTURBATION].text())
    dialog.reject()
    exported = load_clip(out / "song.pgd.adversarial.wav")
    np.testing.assert_array_equal(exported.samples, outcome.clip.samples)
    difference = load_clip(out / "song.pgd.perturbation.wav").samples
    np.testing.assert_allclose(difference, outcome.clip.samples - entry.clip.samples, atol=2**-15)
    assert bench.sentences("error") == []


def test_progress_is_shown_while_the_attack_runs(bench, song):
    entry = attackable(bench, song)
    bench.document.change_design(level=45.0, values={"steps": 60, "stop_early": False})
    seen = {"traces": set(), "pictures": set(), "readings": 0, "sounds": 0}
    window = bench.window
    bench.until(lambda: bench.document.reference is not None)
    window.picturing.pictured.connect(lambda side, picture: seen["pictures"].add(side) if bench.document.run else None)
    window.picturing.sounded.connect(lambda key, samples: seen.__setitem__("sounds", seen["sounds"] + 1))

    def live() -> None:
        last = bench.document.run.last
        seen["traces"].add(len(bench.document.run.trace))
        seen["readings"] += bool(last.readings)
        assert str(last.gradients) in window.designer.run_row.state.text()

    bench.document.watch("live", live)
    bench.run()
    assert len(seen["traces"]) > 2
    assert seen["readings"] > 2
    assert seen["sounds"] > 0
    assert {ADVERSARIAL, PERTURBATION} <= seen["pictures"]
    assert entry.outcome.gradients == 60


def test_escape_cancels_and_keeps_the_best_so_far(bench, song, qtbot):
    entry = attackable(bench, song)
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run.last is not None and bench.document.run.last.gradients > 5)
    qtbot.keyClick(bench.window, Qt.Key.Key_Escape)
    assert bench.document.run.cancelling
    bench.until(lambda: bench.document.run is None)
    assert entry.outcome.status == "cancelled"
    assert 5 < entry.outcome.gradients < 5000
    assert "Cancelled" in bench.window.labels.verdict.text()
    bench.until(lambda: not bench.window.bench.engine.busy)


def test_a_second_escape_gives_the_result_up(bench, song):
    entry = attackable(bench, song)
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run.last is not None)
    bench.window.attacking.cancel()
    bench.window.attacking.cancel()
    bench.until(lambda: bench.document.run is None)
    assert entry.outcome is None
    assert bench.sentences() == []


def test_a_clip_dropped_during_an_attack_is_classified_meanwhile(bench, song, tmp_path, tone):
    attackable(bench, song)
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run.last is not None)
    other = save_clip(tone(seconds=3.0, frequency=1000.0), tmp_path / "other.flac")
    drop(bench.window, other)
    bench.until(lambda: bench.document.find(other) is not None)
    entry = bench.document.find(other)
    bench.until(lambda: entry.decision is not None)
    assert bench.document.run is not None, "the attack goes on"
    assert bench.document.current is entry
    bench.until(lambda: bench.window.spectrograms.stack.spectrogram(ORIGINAL) is not None)
    assert bench.window.spectrograms.stack.spectrogram(ADVERSARIAL) is None, (
        "of the other clip's attack nothing is shown"
    )
    assert bench.window.listening.names == (ORIGINAL,)


def test_removing_the_attacked_clip_ends_the_attack(bench, song):
    entry = attackable(bench, song)
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run.last is not None)
    bench.window.actions_by_name["close-clip"].trigger()
    assert bench.document.run is None
    assert entry.key not in bench.document.entries
    bench.until(lambda: not bench.window.bench.engine.busy)
    assert bench.window.clips.pages.currentWidget() is bench.window.clips.drop_zone
    assert bench.window.listening.names == ()


def test_live_runs_again_after_each_change_and_the_last_one_wins(bench, song):
    entry = attackable(bench, song)
    bench.document.change_design(attack="fgsm", level=40.0)
    bench.window.actions_by_name["live"].trigger()
    bench.until(lambda: entry.outcome is not None)
    for level in (35.0, 30.0, 25.0, 20.0):
        bench.document.change_design(level=level)
    bench.until(lambda: bench.document.run is None and not bench.document.stale(entry))
    assert dict(entry.outcome.experiment.parameters)["epsilon"] == pytest.approx(entry.rms * 0.1)
    bench.window.actions_by_name["live"].trigger()
    bench.document.change_design(level=15.0)
    assert "run again" in bench.window.designer.run_row.state.text()
    assert bench.document.stale(entry)


# -- bad input ---------------------------------------------------------------------------------------------------------


def bad_files(folder: Path) -> dict[Path, str]:
    """Files that cannot be used, and what the message has to say."""
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no sound")
    import soundfile

    samples = np.zeros(8000, np.float32)
    samples[100] = np.nan
    soundfile.write(folder / "nan.wav", samples, 8000, subtype="FLOAT")
    whole = folder / "whole.flac"
    soundfile.write(whole, np.random.default_rng(0).uniform(-0.5, 0.5, 40000), 8000)
    (folder / "torn.flac").write_bytes(whole.read_bytes()[:20000])
    (folder / "nothing").mkdir()
    return {
        folder / "empty.wav": "empty",
        folder / "text.wav": "text.wav",
        folder / "nan.wav": "NaN",
        folder / "torn.flac": "torn.flac",
        folder / "absent.wav": "no file",
        folder / "nothing": "no sound files",
    }


def test_files_that_cannot_be_used_become_messages(bench, tmp_path):
    bench.start()
    for path, words in bad_files(tmp_path).items():
        bench.said.clear()
        bench.window.loading.open([path])
        bench.until(lambda: bench.said)
        (kind, sentence, details), *more = bench.said
        assert (kind, details, more) == ("error", "", []), path
        assert words in sentence
        assert "Traceback" not in sentence
    assert bench.document.entries == {}
    assert bench.settings.recent == []


def test_a_folder_loads_what_it_can(bench, tmp_path, tone):
    bench.start()
    folder = tmp_path / "music"
    (folder / "deep").mkdir(parents=True)
    save_clip(tone(), folder / "b.wav")
    save_clip(tone(), folder / "deep" / "a.flac")
    (folder / "c.wav").write_bytes(b"")
    (folder / "notes.txt").write_text("no sound")
    drop(bench.window, folder)
    bench.until(lambda: len(bench.document.entries) == 2 and not bench.window.loading.busy)
    assert [entry.name for entry in bench.document.entries.values()] == ["b.wav", "a.flac"]
    assert len(bench.sentences("error")) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": "own label"}, "already"),
        ({"held": "epsilon", "level": 0.0}, "ε"),
        ({"held": "epsilon", "level": -1.0}, "ε"),
        ({"held": "snr", "level": 400.0}, "SNR"),
    ],
)
def test_an_attack_that_makes_no_sense_becomes_a_message(bench, song, change, words):
    entry = attackable(bench, song)
    if "target" in change:
        change = {"target": entry.decision.label}
    bench.document.change_design(**change)
    bench.run()
    assert entry.outcome is None
    (sentence,) = bench.sentences("error")
    assert words in sentence
    assert bench.said[0][2] == "", "no traceback: it was foreseen"


def test_a_silent_clip_has_no_snr_but_an_amplitude(bench, tmp_path):
    bench.start()
    silent = save_clip(Clip(np.zeros((1, 64000), np.float32), 16000), tmp_path / "silent.wav")
    entry = bench.load(silent)
    assert not bench.window.designer.budget.snr.isEnabled()
    assert "no SNR" in bench.window.designer.budget.note.text()
    bench.run()
    assert "silent" in bench.sentences("error")[0]
    bench.document.change_design(held="epsilon", level=0.01)
    bench.run()
    assert entry.outcome.snr_db is None
    assert "none (silent)" in bench.window.labels.figures.text().replace("\u00a0", " ").replace("\u00a0", " ")


def test_a_tenth_of_a_second_can_be_attacked(bench, tmp_path, tone):
    bench.start()
    entry = bench.load(save_clip(tone(rate=8000, seconds=0.1), tmp_path / "short.wav"))
    bench.run()
    assert entry.outcome is not None
    assert bench.sentences("error") == []


def test_a_model_that_does_not_exist_is_replaced_by_the_bundled_one(bench):
    bench.start(model="no-such-model")
    assert bench.document.model.name == TOY
    (sentence,) = bench.sentences("warning")
    assert "no-such-model" in sentence
    assert TOY in sentence


def test_a_model_that_cannot_be_fetched_is_replaced_by_the_bundled_one(bench, monkeypatch):
    from mirguard.models import catalogue

    real = catalogue.load_model

    def without_network(name, progress=None):
        if name != TOY:
            raise MirguardError("musicnn cannot be fetched: there is no network. Connect, then choose it again.")
        return real(name, progress)

    monkeypatch.setattr(catalogue, "load_model", without_network)
    bench.window.start([], "musicnn-mtt")
    bench.until(lambda: bench.document.model is not None)
    assert bench.document.model.name == TOY
    assert bench.heard("no network")
    # A model in use stays when another one cannot be had.
    bench.said.clear()
    bench.window.modelling.choose("musicnn-msd")
    bench.until(lambda: bench.said)
    assert bench.document.model.name == TOY
    assert bench.window.designer.model.currentData() == TOY


def test_what_was_not_foreseen_becomes_a_message_with_details(bench, song, monkeypatch, caplog):
    entry = attackable(bench, song)

    def broken(self, request, job):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr(workshop.Workshop, "attack", broken)
    bench.run()
    (message,) = bench.window.messages.shown
    assert "deep inside" in message.sentence
    assert "Traceback" in message.details
    assert entry.outcome is None
    monkeypatch.undo()
    bench.run()
    assert entry.outcome is not None, "the lane has survived"


def test_a_folder_that_cannot_be_written_is_a_message(bench, song, tmp_path):
    attackable(bench, song)
    bench.run()
    assert not bench.window.exporting.export(ADVERSARIAL, tmp_path / "no" / "such" / "a.wav", "PCM_16")
    assert "no folder" in bench.sentences("error")[0]
    assert not bench.window.exporting.export(ADVERSARIAL, tmp_path / "a.mp3", "PCM_16")
    assert list(tmp_path.glob("a.*")) == []


def test_nothing_to_export_or_to_attack_is_said(bench):
    bench.start()
    bench.window.deeds.export()
    bench.window.attacking.run()
    assert len(bench.sentences("warning")) == 2


# -- the detector ------------------------------------------------------------------------------------------------------


def test_a_rate_the_reference_is_too_small_for_is_refused_with_a_sentence(own_data, bench, song, tmp_path, noise):
    bench.start()
    entry = bench.load(song)
    bench.until(lambda: ORIGINAL in entry.readings)
    folder = tmp_path / "clean"
    folder.mkdir()
    for number in range(4):
        save_clip(noise(rate=16000, seconds=2.5, seed=number), folder / f"{number}.wav")
    (folder / "torn.wav").write_text("no sound")
    bench.window.detecting.build(folder)
    bench.until(lambda: bench.document.reference is not None and bench.document.reference.size == 4)
    assert bench.heard("torn.wav")
    assert "needs at least 19" in bench.document.reference.main.trouble
    assert "needs at least 19" in bench.window.detectors.note.text()
    assert all(one.detector != "kde" for one in entry.readings.get(ORIGINAL, ()))
    bench.window.detectors.fpr_chosen.emit(0.25)
    bench.until(lambda: any(one.detector == "kde" for one in entry.readings.get(ORIGINAL, ())))
    assert entry.readings[ORIGINAL][0].fpr == 0.25
    assert bench.settings.fpr == 0.25


def test_another_rate_moves_the_threshold(bench, song):
    bench.start()
    entry = bench.load(song)
    bench.until(lambda: ORIGINAL in entry.readings)
    strict = entry.readings[ORIGINAL][0]
    bench.window.detectors.fpr_chosen.emit(0.3)
    bench.until(lambda: ORIGINAL in entry.readings and entry.readings[ORIGINAL][0] is not strict)
    loose = entry.readings[ORIGINAL][0]
    assert loose.score == pytest.approx(strict.score)
    assert loose.threshold < strict.threshold


# -- the frame ---------------------------------------------------------------------------------------------------------


def drop(window: QWidget, *paths: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(
        QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    window.dropEvent(event)
    assert event.isAccepted()


def test_the_demonstration_clip_opens(bench):
    bench.start()
    bench.window.actions_by_name["demo"].trigger()
    bench.until(lambda: bench.document.current is not None)
    assert bench.document.current.clip.source == resource("demo", "demo.flac")


def test_opening_a_file_twice_shows_the_one_that_is_there(bench, song, tmp_path, tone):
    bench.start()
    entry = bench.load(song)
    bench.load(save_clip(tone(), tmp_path / "other.wav"))
    assert bench.document.current is not entry
    bench.window.loading.open([song])
    assert bench.document.current is entry
    assert len(bench.document.entries) == 2
    assert [path.name for path in bench.settings.recent] == ["other.wav", "song.wav"]


def focusable(window: QWidget) -> list[QWidget]:
    """What Tab can reach in the window and its dialogs; lists that pop up from menus belong to their menus."""
    return [
        child
        for child in window.findChildren(QWidget)
        if child.focusPolicy() & Qt.FocusPolicy.TabFocus
        and (child.window() is window or isinstance(child.window(), QDialog))
    ]


def test_every_focusable_widget_has_a_name(bench, song):
    attackable(bench, song)
    bench.run()
    bench.window.deeds.export()
    bench.window.deeds.table()["keys"]()
    found = focusable(bench.window)
    nameless = [
        f"{type(child).__name__} in {type(child.parent()).__name__}"
        for child in found
        if not child.accessibleName() and not getattr(child, "text", str)() and child.focusProxy() is None
    ]
    assert len(found) > 30
    assert nameless == []
    for dialog in bench.window.findChildren(QDialog):
        dialog.reject()


def test_tab_reaches_every_panel(bench, qtbot):
    bench.start()
    window = bench.window
    window.activateWindow()
    seen = set()
    window.designer.model.setFocus()
    for _ in range(120):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        widget = QApplication.focusWidget()
        while widget is not None and widget not in window.docks.values():
            widget = widget.parentWidget()
        seen.add(None if widget is None else widget.objectName())
    assert {"clips", "designer", "detectors", "spectrograms", "playback"} <= seen


def test_no_key_means_two_things_and_every_deed_is_in_a_menu():
    keys = [QKeySequence(key).toString() for deed in DEEDS.values() for key in deed.keys]
    assert len(keys) == len(set(keys))
    listed = [name for _, names in MENUS for name in names if name != SEPARATOR]
    assert set(DEEDS) <= set(listed)
    assert len(listed) == len(set(listed))


def test_letters_belong_to_a_text_field_that_has_the_focus(bench, song, qtbot):
    entry = attackable(bench, song)
    bench.run()
    window = bench.window
    window.activateWindow()
    window.spectrograms.stack.setFocus()
    qtbot.keyClick(window, Qt.Key.Key_X)
    assert window.listening.player.selected == ADVERSARIAL
    field = window.designer.budget.snr.field
    field.setFocus()
    for key in (Qt.Key.Key_X, Qt.Key.Key_1, Qt.Key.Key_Space):
        qtbot.keyClick(field, key)
    assert window.listening.player.selected == ADVERSARIAL
    assert not window.listening.player.playing
    assert entry is bench.document.current


def test_space_presses_a_button_reached_by_tab_and_return_ends_a_number(bench, song, qtbot):
    attackable(bench, song)
    window = bench.window
    window.activateWindow()
    window.designer.parameters.more.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.keyClick(window.designer.parameters.more, Qt.Key.Key_Space)
    assert window.designer.parameters.more.isChecked()
    assert not window.listening.player.playing
    field = window.designer.budget.snr.field
    field.setFocus()
    field.selectAll()
    qtbot.keyClicks(field, "33")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert bench.document.design.level == 33.0
    assert QApplication.focusWidget() is not field


def test_the_budget_has_two_faces_that_follow_each_other(bench, song):
    entry = attackable(bench, song)
    budget = bench.window.designer.budget
    budget.snr.set_value(40.0)
    assert budget.epsilon.value() == pytest.approx(entry.rms / 100, rel=1e-6)
    budget.epsilon.set_value(entry.rms / 10)
    assert budget.snr.value() == pytest.approx(20.0)
    assert bench.document.design.held == "epsilon"


def test_automatic_parameters_follow_and_set_ones_stay(bench, song):
    attackable(bench, song)
    window = bench.window
    row = window.designer.parameters.rows["step_size"]
    before = row.slider.value()
    window.designer.parameters.rows["steps"].slider.set_value(80)
    assert row.slider.value() == pytest.approx(before / 2, rel=0.01)
    assert row.auto.isChecked()
    row.slider.set_value(0.01)
    assert not row.auto.isChecked()
    assert bench.document.design.values["step_size"] == pytest.approx(0.01)
    row.auto.click()
    assert "step_size" not in bench.document.design.values


@pytest.mark.parametrize("attack", ["noise", "pgd", "spectral", "minimal-l2", "boundary"])
def test_the_designer_shows_what_each_attack_declares(bench, attack, qtbot):
    bench.start()
    bench.document.change_design(attack=attack)
    declared = {p.name for p in bench.document.design.declaration.parameters} - {"epsilon"}
    assert set(bench.window.designer.parameters.rows) == declared
    designer = bench.window.designer
    assert sentence(bench.document.design.declaration.reference) in designer.attack_note.text()
    bench.window.resize(1280, 720)
    qtbot.wait(20)
    assert designer.attack_note.isVisible(), "what an attack does is said in low windows too"
    assert designer.trace.isHidden() or designer.trace.height() >= designer.trace.minimumHeight(), "no squeezed plot"


def test_a_target_is_searched_by_typing_and_nonsense_goes_back(bench, song, qtbot):
    attackable(bench, song)
    target = bench.window.designer.target
    label = bench.document.model.labels[3]
    target.lineEdit().setFocus()
    target.lineEdit().setText(label.upper())
    target.lineEdit().editingFinished.emit()
    assert bench.document.design.target == label
    target.lineEdit().setText("no such label")
    target.lineEdit().editingFinished.emit()
    assert target.lineEdit().text() == label
    assert bench.document.design.target == label


def test_a_loop_is_chosen_shown_and_ended(bench, song):
    attackable(bench, song)
    window = bench.window
    window.spectrograms.stack.regionSelected.emit(1.0, 2.0)
    assert window.listening.loop == pytest.approx((1.0, 2.0), abs=1e-3)
    assert window.actions_by_name["loop"].isChecked()
    window.listening.seek(1.5)
    window.actions_by_name["loop-start"].trigger()
    assert window.listening.loop == pytest.approx((1.5, 2.0), abs=1e-3)
    window.actions_by_name["loop"].trigger()
    assert window.listening.loop is None
    assert not window.playback.loop_button.isChecked()


def test_window_and_docks_come_back_where_they_were(qtbot, tmp_path):
    first = Bench(qtbot, tmp_path)
    first.window.docks["detectors"].hide()
    first.window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, first.window.docks["clips"])
    first.window.set_theme("light")
    first.close()
    second = Bench(qtbot, tmp_path)
    try:
        assert not second.settings.geometry.isEmpty()
        assert not second.window.docks["detectors"].isVisible()
        area = second.window.dockWidgetArea(second.window.docks["clips"])
        assert area == Qt.DockWidgetArea.RightDockWidgetArea
        assert second.settings.theme == "light"
        second.window.actions_by_name["reset-layout"].trigger()
        assert second.window.docks["detectors"].isVisible()
        assert second.window.dockWidgetArea(second.window.docks["clips"]) == Qt.DockWidgetArea.LeftDockWidgetArea
    finally:
        second.window.set_theme("dark")
        second.close()


def test_settings_that_make_no_sense_are_replaced(qtbot, tmp_path):
    (tmp_path / "settings.ini").write_text(
        "[General]\nversion=nonsense\nmodel=\n[sound]\nvolume=loud\n[spectrogram]\nscale=bark\n"
        "[window]\ntheme=pink\ndocks=xyz\n[detector]\nfpr=7\n"
    )
    bench = Bench(qtbot, tmp_path)
    assert bench.settings.volume == 0.8
    assert bench.settings.theme == "system"
    assert bench.settings.fpr == 0.5
    assert bench.window.spectrograms.settings.scale == "log"
    bench.close()


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720), (1024, 700)])
def test_nothing_is_cut_off(bench, song, size, qtbot):
    """Every widget that is shown lies inside its parent: scroll areas may scroll, nothing else hides parts."""
    attackable(bench, song)
    bench.window.resize(*size)
    bench.window.arrange()
    bench.run()
    qtbot.wait(50)
    assert (bench.window.width(), bench.window.height()) == size
    cut = []
    for name, dock in bench.window.docks.items():
        panel = dock.widget()
        if not panel.isVisible():
            continue
        hint = panel.minimumSizeHint()
        if panel.width() < hint.width() or panel.height() < hint.height():
            cut.append((name, panel.size().toTuple(), hint.toTuple()))
        if dock.geometry().right() > bench.window.width() or dock.geometry().bottom() > bench.window.height():
            cut.append((name, dock.geometry().getRect(), size))
    assert cut == []


def test_what_the_window_grows_by_goes_to_the_pictures(bench, song, qtbot):
    attackable(bench, song)
    bench.window.resize(1280, 720)
    bench.window.arrange()
    qtbot.wait(50)
    before = bench.window.docks["playback"].height(), bench.window.docks["spectrograms"].height()
    bench.window.resize(1280, 1000)
    qtbot.wait(50)
    assert bench.window.docks["playback"].height() == before[0]
    assert bench.window.docks["spectrograms"].height() == before[1] + 280


def test_the_levels_shown_are_in_sight_in_a_small_window(bench, qtbot):
    bench.window.resize(1280, 720)
    bench.window.arrange()
    qtbot.wait(50)
    assert bench.window.spectrograms.floor.isVisible()
    assert bench.window.spectrograms.ceiling.isVisible()


def test_messages_lie_over_no_button(bench, qtbot):
    bench.window.bench.say("A note.", "note")
    bench.window.docks["browser"].show()
    for dock in ("spectrograms", "browser", "transfer"):
        bench.window.docks[dock].raise_()
        qtbot.wait(20)
        (message,) = bench.window.messages.shown
        for button in bench.window.docks[dock].findChildren(QAbstractButton):
            corner = button.mapTo(bench.window, QPoint(0, 0))
            covered = button.isVisible() and QRect(corner, button.size()).intersects(message.geometry())
            assert not covered, (dock, button.accessibleName())


def test_messages_pile_up_without_flooding(bench):
    for _ in range(5):
        bench.window.bench.say("The same.", "error")
    assert len(bench.window.messages.shown) == 1
    assert "× 5" in bench.window.messages.shown[0].text.text()
    for number in range(10):
        bench.window.bench.say(f"Message {number}.", "note")
    assert len(bench.window.messages.shown) == 4
    assert bench.window.messages.shown[0].sentence == "The same.", "errors stay, notes go first"
    bench.window.actions_by_name["cancel"].trigger()
    assert bench.window.messages.shown == []


def test_closing_during_an_attack_ends_everything(bench, song):
    attackable(bench, song)
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run.last is not None)
    bench.window.close()
    names = [thread.name for thread in threading.enumerate() if thread.name.startswith("mirguard-")]
    assert names == []
