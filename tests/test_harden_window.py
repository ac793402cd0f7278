"""Hardening a model in the window: the dialog, the long job behind it, what comes of it, and what a stop leaves."""

from __future__ import annotations

import pytest
from hardening import LABELS, _trained, kept
from labelled_sounds import make_tones
from workbench import Bench

from mirguard.defences.catalogue import list_defences
from mirguard.models.catalogue import find_model
from mirguard.resources import data_folder
from mirguard.workbench.defence_requests import HardenModel
from mirguard.workbench.dialogs.harden import RESULT, SETUP, STOPPED, TRAINING, HardenDialog
from mirguard.workbench.dialogs.model_card import ModelCard


@pytest.fixture
def bench(qtbot, own_data, tmp_path):
    kept(own_data / "models", "tiny", _trained())
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path):
    make_tones(tmp_path / "tones", labels=LABELS, train=6, validation=1, test=2)
    return tmp_path / "tones"


def opened(bench: Bench) -> HardenDialog:
    bench.window.actions_by_name["harden"].trigger()
    return next(one for one in reversed(bench.window.findChildren(HardenDialog)) if one.isVisible())


def ready(bench: Bench, folder, epochs: int) -> HardenDialog:
    bench.start(model="tiny")
    dialog = opened(bench)
    setup = dialog.setup
    setup.set_folder(folder)
    for name, value in (("epochs", epochs), ("batch", 8)):
        setup.form.changed.emit(name, value)
    return dialog


def test_a_model_is_hardened_comes_into_the_menu_and_is_used(bench, folder):
    dialog = ready(bench, folder, 2)
    setup = dialog.setup
    assert setup.list.count() == len(list_defences())
    assert setup.model.currentData() == "tiny" and setup.name_field.text() == "tiny-adversarial-training"
    assert "Goodfellow" in setup.reference.text() and setup.title.text() == "Adversarial training"
    assert setup.toy.isHidden(), "a model of other labels learns nothing from toy clips"
    setup.name_field.setText("tiny")
    setup.name_field.textEdited.emit("tiny")
    assert not dialog.next_button.isEnabled() and "already" in setup.name_words.text()
    setup.name_field.setText("tough")
    setup.name_field.textEdited.emit("tough")
    assert dialog.next_button.isEnabled()
    dialog.next_button.click()
    assert dialog.page == TRAINING and dialog.back_button.text() == "Cancel"
    bench.until(lambda: dialog.page == RESULT)
    assert len(dialog.training.curves.values["loss"]) == 2
    card = find_model("tough").card
    assert card["defence"]["name"] == "adversarial-training" and card["lineage"][0].startswith("tiny (")
    assert card["parameters"]["epochs"] == 2 and card["parameters"]["batch"] == 8
    assert "tough" in dialog.result.place.text()
    bench.until(lambda: any(info.name == "tough" for info in bench.document.models))
    dialog.card_button.click()
    assert bench.window.findChild(ModelCard) is not None
    bench.window.findChild(ModelCard).reject()
    dialog.next_button.click()
    bench.until(lambda: bench.document.model is not None and bench.document.model.name == "tough")
    assert not (data_folder() / "unfinished").exists() and not bench.settings.unfinished


def test_what_was_stopped_leaves_no_model_and_can_go_on(bench, folder):
    dialog = ready(bench, folder, 400)
    dialog.next_button.click()
    bench.until(lambda: len(bench.window.hardening.course.epochs) >= 2)
    dialog.reject()  # Esc
    bench.until(lambda: not bench.window.hardening.course.training)
    assert dialog.training.stage.text() == STOPPED and dialog.isVisible()
    assert not (data_folder() / "models" / "tiny-adversarial-training").exists()
    dialog.reject()
    dialog = opened(bench)
    assert dialog.page == SETUP and "was interrupted after" in dialog.setup.offer_words.text()
    (left,) = bench.window.hardening.interrupted()
    assert left.epochs >= 2 and left.wish.parent == "tiny" and left.wish.folder == folder
    assert dict(left.wish.settings) == {"epochs": 400, "batch": 8}
    dialog.setup.resume_button.click()
    assert bench.window.hardening.course.wanted.resume
    bench.until(lambda: bench.window.hardening.course.epochs)
    assert bench.window.hardening.course.epochs[0].number > 1, "it goes on, not from the beginning"
    dialog.back_button.click()  # Cancel
    bench.until(lambda: not bench.window.hardening.course.training)
    dialog.back_button.click()
    assert dialog.setup.offer.isVisibleTo(dialog)
    dialog.setup.discard_button.click()
    assert not dialog.setup.offer.isVisibleTo(dialog) and not bench.settings.unfinished
    assert not (data_folder() / "unfinished" / "tiny-adversarial-training").exists()
    dialog.reject()


def test_sounds_with_other_labels_are_refused_in_a_sentence(bench, folder):
    (folder / "high").rename(folder / "shrill")
    dialog = ready(bench, folder, 2)
    dialog.next_button.click()
    bench.until(lambda: not bench.window.hardening.course.training)
    assert "does not know" in dialog.training.stage.text() and dialog.back_button.text() == "Back"
    assert not bench.settings.unfinished and not bench.window.hardening.interrupted()
    dialog.reject()


def test_toy_models_are_offered_the_toy_clips(bench):
    bench.start()
    dialog = opened(bench)
    setup = dialog.setup
    assert setup.source.currentText() == "Synthetic toy clips" and not setup.toy.isHidden()
    setup.toy.setValue(200)
    setup.list.setCurrentRow(1)
    wish = setup.wish()
    assert wish == HardenModel(
        "toy-instruments", f"toy-instruments-{list_defences()[1].name}", list_defences()[1].name, None, 200
    )
    dialog.reject()
