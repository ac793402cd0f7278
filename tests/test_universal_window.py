"""Making a universal perturbation in the window: the dialog, the long job behind it, and what the designer has afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from workbench import Bench

from mirguard.attacks.universal_file import load_universal
from mirguard.workbench.dialogs.universal import UniversalDialog


@pytest.fixture
def bench(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path / "data"))
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "clips"
    place.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        sound = 0.2 * np.sin(2 * np.pi * 220 * 1.5**number * np.arange(40_000) / 16_000)
        soundfile.write(place / f"{number}.wav", sound + 0.01 * rng.standard_normal(40_000), 16_000)
    return place


def dialog_of(bench: Bench) -> UniversalDialog:
    bench.window.actions_by_name["universal"].trigger()
    return bench.window.findChildren(UniversalDialog)[-1]


def test_a_perturbation_is_made_kept_and_chosen_in_the_designer(bench, folder, tmp_path):
    action = bench.window.actions_by_name["universal"]
    assert not action.isEnabled()
    bench.start(model="toy-magnitude-mlp")
    assert action.isEnabled()
    dialog = dialog_of(bench)
    assert not dialog.make_button.isEnabled()  # no clips yet
    dialog.set_folder(folder)
    dialog.target.setCurrentIndex(dialog.target.findData("brass"))
    dialog.name.setText("mine")
    shown = []
    bench.window.generalising.working.connect(lambda sentence, _done: shown.append(sentence))
    dialog.make_button.click()
    assert not dialog.name.isEnabled() and not dialog.progress.isHidden()
    assert dialog.close_button.text() == "Cancel"
    design = bench.document
    bench.until(lambda: design.design.attack == "universal")
    made = load_universal("mine")
    assert (made.model, made.target, made.follows) == ("toy-magnitude-mlp", "brass", True)
    assert [rate.held_out for rate in made.rates] == [False, True]
    assert design.design.own_values()["perturbation"] == "mine"
    assert "held-out" in dialog.state.text() and dialog.close_button.text() == "Close"
    assert any("windows" in sentence for sentence in shown) and shown[-1] == ""
    row = bench.window.designer.parameters.rows["perturbation"]
    assert row.menu.currentText() == "mine" and row.menu.findData("toy-any-other") >= 0
    row.menu.setCurrentIndex(row.menu.findData("toy-any-other"))
    row.menu.activated.emit(row.menu.currentIndex())
    assert bench.document.design.own_values()["perturbation"] == "toy-any-other"
    row.say("mine")
    entry = bench.load(folder / "0.wav")
    bench.run()
    assert entry.outcome.experiment.values["perturbation"] == "mine"
    dialog.reject()


def test_escape_stops_the_making_and_keeps_nothing(bench, folder, tmp_path):
    bench.start()
    dialog = dialog_of(bench)
    dialog.set_folder(folder)
    dialog.name.setText("never")
    dialog.make_button.click()
    bench.until(lambda: "windows" in dialog.state.text())
    dialog.reject()  # Esc
    bench.until(lambda: dialog.close_button.text() == "Close")
    assert "nothing was kept" in dialog.state.text() and dialog.isVisible()
    assert dialog.state.property("role") == "muted"  # what a person asked for is no trouble
    assert not (tmp_path / "data" / "universal").exists()
    assert bench.document.design.attack != "universal"
    dialog.reject()


def test_what_cannot_be_done_is_told_in_the_dialog(bench, folder, tmp_path):
    bench.start(model="toy-magnitude-mlp")
    dialog = dialog_of(bench)
    dialog.set_folder(folder)
    dialog.name.setText("../no name")
    dialog.make_button.click()
    assert "cannot be a perturbation's name" in dialog.state.text()
    assert dialog.state.property("role") == "danger"
    empty = tmp_path / "empty"
    empty.mkdir()
    dialog.set_folder(empty)
    dialog.name.setText("name")
    dialog.make_button.click()
    bench.until(lambda: "holds no" in dialog.state.text())
    dialog.reject()


def test_the_folder_of_last_time_or_the_open_clips_are_what_is_shown(bench, folder, tmp_path):
    bench.start(model="toy-magnitude-mlp")
    bench.load(folder / "0.wav")
    dialog = dialog_of(bench)
    assert dialog.source.currentIndex() < 0 and not dialog.make_button.isEnabled(), "one clip is too few"
    dialog.reject()
    bench.settings.set_folder("universal", folder)
    dialog = dialog_of(bench)
    assert dialog.source.currentText() == str(folder) and dialog.make_button.isEnabled()
    dialog.reject()
    bench.load(folder / "1.wav")
    dialog = dialog_of(bench)
    wishes = []
    dialog.wanted.disconnect()
    dialog.wanted.connect(wishes.append)
    assert dialog.source.currentText() == "The 2 clips that are open"
    dialog.make_button.click()
    assert wishes[0].folder is None and len(wishes[0].clips) == 2
    dialog.reject()
