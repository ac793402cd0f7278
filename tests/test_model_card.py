"""Cards of models, models that are added and removed, the grouped menu, and models without gradients."""

from __future__ import annotations

import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QComboBox, QLabel, QMessageBox
from workbench import TOY, Bench

from mirguard.clip import save_clip
from mirguard.models.catalogue import ModelInfo, find_model
from mirguard.models.model_file import ModelFile
from mirguard.workbench import workshop
from mirguard.workbench.control.adding import is_model
from mirguard.workbench.dialogs.figures import TestFigures
from mirguard.workbench.dialogs.model_card import ModelCard
from mirguard.workbench.facts import ModelFacts
from mirguard.workbench.panels.designer import fill_models

LABELS = ("rock", "pop", "jazz")
CARD = {
    "made": "trained",
    "method": "svm",
    "seed": 3,
    "seconds": 12.5,
    "lineage": ["musicnn-msd " + "a" * 64],
    "parameters": {"fine_tune": False, "strength": 0.5},
    "data": {
        "name": "My songs",
        "source": "/music",
        "clips": {"train": 30, "validation": 5, "test": 10},
        "split": "by artist",
        "skipped": 2,
        "warnings": ["Few clips of jazz."],
    },
    "test": {
        "clips": 10,
        "clips_right": 8,
        "clip_accuracy": 0.8,
        "clip_interval": [0.49, 0.94],
        "windows": 40,
        "window_accuracy": 0.75,
        "window_interval": [0.44, 0.92],
        "confusion": [[4, 0, 0], [1, 3, 0], [1, 0, 1]],
    },
    "gradient": {
        "reaches": False,
        "verdict": "none",
        "sentence": "No gradients: only attacks that need none can be used.",
    },
    "version": "0.1.0",
}


@pytest.fixture
def bench(qtbot, tmp_path):
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


def info(**changes) -> ModelInfo:
    facts = {
        "name": "mine",
        "title": "My model",
        "task": "single-label",
        "sample_rate": 16000,
        "window": 32000,
        "labels": LABELS,
        "note": "Knows three kinds of music.",
        "kind": "yours",
        "gradients": False,
        "card": CARD,
        "path": "/data/models/mine/model.toml",
    }
    return ModelInfo(**facts | changes)


def text(widget) -> str:
    return "\n".join(part.text() for part in widget.findChildren(QLabel))


# -- cards -------------------------------------------------------------------------------------------------------------


def test_a_card_says_all_there_is(qtbot):
    card = ModelCard(info())
    qtbot.addWidget(card)
    facts = dict(card.facts)
    assert facts["Kind"] == "Yours"
    assert facts["3 labels"] == "rock, pop, jazz"
    assert facts["Hears"] == "windows of 2 s (32,000 samples) at 16 kHz"
    assert facts["Trained"] == "by svm, seed 3, in 12 s"
    assert facts["Settings"] == "fine tune no, strength 0.5"
    assert facts["Data"] == "My songs · /music"
    assert facts["Clips"] == "30 train, 5 validation, 10 test, split by artist"
    assert facts["Left out"] == "2 files"
    assert facts["Lineage"] == "musicnn-msd aaaaaaaaaaaa…"
    assert facts["Kept in"] == "/data/models/mine/model.toml"
    said = text(card)
    for words in ("My model", "Knows three kinds", "No gradients: only attacks", "Few clips of jazz."):
        assert words in said
    assert card.accuracy.lines["By clip"][1].text() == "80 %"
    assert "8 of 10 clips · 95 % interval 49 to 94 %" in said
    assert card.confusion.table.counts.data(card.confusion.table.counts.index(1, 0)) == "1"


@pytest.mark.parametrize(
    ("verdict", "sentence"), [("pass", "It is right to 0.1 %."), ("fail", "It is wrong by 12 %."), ("none", "")]
)
def test_a_card_tells_what_the_gradient_check_found(qtbot, verdict, sentence):
    found = {"reaches": True, "verdict": verdict, "sentence": sentence}
    card = ModelCard(info(gradients=True, card={"gradient": found}))
    qtbot.addWidget(card)
    assert (sentence or "every attack can be used on it") in card.gradient.accessibleName()
    assert card.accuracy is None


@pytest.mark.parametrize("name", ["musicnn-mtt", TOY])
def test_the_models_that_come_along_have_cards(qtbot, name):
    known = find_model(name)
    card = ModelCard(known, in_use=True)
    qtbot.addWidget(card)
    assert not card.remove_button.isVisibleTo(card)
    assert not card.use_button.isVisibleTo(card)
    assert f"{len(known.labels)} labels" in dict(card.facts)


def test_a_card_that_makes_no_sense_is_shown_without_its_figures(qtbot):
    odd = {"test": {"clips": "many"}, "data": "somewhere", "lineage": "unknown", "parameters": 3, "seconds": "long"}
    card = ModelCard(info(card=odd))
    qtbot.addWidget(card)
    assert card.accuracy is None
    assert dict(card.facts)["Data"] == "somewhere"


def test_an_unusable_model_says_why_and_can_only_be_removed(qtbot):
    card = ModelCard(
        info(state="unusable", how="Its weights are not there.", labels=(), card={}, sample_rate=0, window=0)
    )
    qtbot.addWidget(card)
    assert "Its weights are not there." in text(card)
    assert not card.use_button.isVisibleTo(card)
    assert card.remove_button.isVisibleTo(card)


def test_figures_without_an_interval_get_wilson_s():
    figures = TestFigures.from_card({"clips": 10, "clips_right": 8})
    assert figures.clip.share == 0.8
    assert figures.clip.interval == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert figures.window is None
    assert TestFigures.from_card({"clips": 0, "clips_right": 0}) is None


def test_the_card_of_the_chosen_model_opens_from_beside_the_menu(bench):
    bench.start()
    bench.until(lambda: TOY in [info.name for info in bench.document.models])
    bench.window.designer.card_button.click()
    bench.until(lambda: cards(bench))
    card = cards(bench)[0]
    assert card.info.name == TOY
    card.reject()
    bench.until(lambda: not cards(bench))
    assert bench.window.actions_by_name["model-card"].isEnabled()


def test_the_card_can_be_asked_for_where_the_model_is_there_before_the_list(bench):
    bench.start()
    bench.until(lambda: bench.document.models)
    models, action = bench.document.models, bench.window.actions_by_name["model-card"]
    bench.document.set_models(())
    assert bench.document.model is not None and not action.isEnabled()
    bench.document.set_models(models)
    assert action.isEnabled()


# -- the menu ----------------------------------------------------------------------------------------------------------


def test_the_menu_groups_models_and_tells_their_states(qtbot):
    menu = QComboBox()
    qtbot.addWidget(menu)
    models = [
        info(name="a", title="A", kind="yours", gradients=True),
        info(name="b", title="B", kind="published", state="to be fetched", gradients=True, how="Fetched at first use."),
        info(name="c", title="C", kind="bundled", gradients=False),
        info(name="d", title="D", kind="yours", state="unusable", how="Broken."),
    ]
    fill_models(menu, models)
    entries = [(menu.itemText(row), menu.itemData(row)) for row in range(menu.count())]
    assert entries == [
        ("Published", None),
        ("B (to be fetched)", "b"),
        ("Bundled", None),
        ("C (no gradients)", "c"),
        ("Yours", None),
        ("A", "a"),
        ("D (unusable)", "d"),
    ]
    enabled = [bool(menu.model().item(row).flags() & Qt.ItemFlag.ItemIsEnabled) for row in range(menu.count())]
    assert enabled == [False, True, False, True, False, True, False]
    fill_models(menu, models[:1])
    assert menu.count() == 1, "one group needs no heading"


# -- without gradients -------------------------------------------------------------------------------------------------


def facts_without_gradients(bench) -> ModelFacts:
    return ModelFacts(
        **{name: getattr(bench.document.model, name) for name in ModelFacts.__dataclass_fields__}
        | {"differentiable": False, "title": "Tree"}
    )


def test_attacks_that_need_gradients_are_refused_with_a_sentence(bench, tmp_path, noise):
    bench.start()
    bench.load(save_clip(noise(seconds=3.0), tmp_path / "a.wav"))
    bench.document.change_design(attack="pgd")
    designer = bench.window.designer
    assert designer.run_row.run_button.isEnabled()
    bench.document.set_model(facts_without_gradients(bench))
    assert "gives no gradients" in designer.attack_note.text()
    assert "no gradients" in designer.model_note.text()
    assert "choose another attack" in designer.run_row.state.text()
    assert not designer.run_row.run_button.isEnabled()
    assert not bench.window.actions_by_name["run"].isEnabled()
    rows = {designer.attack.itemData(row): designer.attack.model().item(row) for row in range(designer.attack.count())}
    assert not rows["pgd"].isEnabled()
    assert "gives no gradients" in rows["pgd"].toolTip()
    assert rows["noise"].isEnabled()
    bench.window.attacking.run()
    assert bench.document.run is None
    assert "choose an attack that needs none" in bench.sentences("warning")[0]
    bench.document.change_design(attack="noise")
    assert designer.run_row.run_button.isEnabled()
    assert bench.document.attack_trouble == ""


# -- adding and removing -----------------------------------------------------------------------------------------------


class Loud(torch.nn.Module):
    """Three logits of a waveform's energy."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = torch.nn.Conv1d(1, 3, 16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 10 * self.filters(x[:, None]).square().mean(-1)


@pytest.fixture
def brought(tmp_path) -> Path:
    """The model.toml of a TorchScript model that somebody brings."""
    folder = tmp_path / "brought"
    folder.mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.jit.trace(Loud().eval(), torch.zeros(2, 1600)).save(str(folder / "loud.pt"))
    return ModelFile(folder, "loud", "loud.pt", 16000, 1600, "single-label", LABELS, title="Loudness").write()


def cards(bench) -> list[ModelCard]:
    return [card for card in bench.window.findChildren(ModelCard) if card.isVisible()]


def drop(window, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    keys = Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_model_is_dropped_checked_used_and_removed(own_data, bench, brought, monkeypatch):
    bench.start()
    drop(bench.window, brought)
    bench.until(lambda: cards(bench))
    card = cards(bench)[0]
    assert "It was added to your models." in text(card)
    assert card.info.card["gradient"]["verdict"] == "pass"
    assert card.info.card["gradient"]["sentence"] in text(card)
    assert Path(card.info.path).is_file()
    bench.until(lambda: "loud" in [info.name for info in bench.document.models])
    card.use_button.click()
    bench.until(lambda: bench.document.model.name == "loud")

    # Once more: it gets another name.
    bench.window.adding.add(brought)
    bench.until(lambda: cards(bench))
    assert "added as loud-2" in text(cards(bench)[0])
    cards(bench)[0].reject()

    bench.window.deeds.model_card("loud")
    card = cards(bench)[0]
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    card.remove_button.click()
    assert Path(card.info.path).is_file()
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    card.remove_button.click()
    bench.until(lambda: bench.document.model.name == TOY and bench.heard("loud was removed"))
    bench.until(lambda: [info.name for info in bench.document.models if info.kind == "yours"] == ["loud-2"])
    assert not (own_data / "models" / "loud").exists()


@pytest.mark.parametrize("content", ["nonsense = ", 'name = "x"', ""])
def test_a_model_that_makes_no_sense_is_one_sentence(own_data, bench, tmp_path, content):
    path = tmp_path / "model.toml"
    path.write_text(content)
    bench.window.adding.add(path)
    bench.until(lambda: bench.sentences("error"))
    assert bench.said[-1][2] == "", "no traceback: this is the file's fault"
    assert not bench.window.busy.isVisible()
    assert not list((own_data / "models").glob("*")) if (own_data / "models").is_dir() else True


def test_adding_is_cancelled_with_escape(own_data, bench, tmp_path, monkeypatch):
    seen = []

    def slowly(self, source, job):
        while True:
            job.progress(("Checking its gradient …", 0.4))
            seen.append(True)
            time.sleep(0.01)
            job.rest()

    monkeypatch.setattr(workshop.Workshop, "add_model", slowly)
    bench.window.adding.add(tmp_path / "model.toml")
    bench.until(lambda: seen and "gradient" in bench.window.status.text())
    assert bench.window.busy.isVisible()
    bench.window.actions_by_name["cancel"].trigger()
    bench.until(lambda: not bench.window.busy.isVisible())
    assert bench.sentences() == []


def test_what_is_dropped_is_a_model_or_a_sound(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert not is_model(folder)
    (folder / "model.toml").write_text("")
    assert is_model(folder)
    assert is_model(folder / "model.toml")
    with zipfile.ZipFile(tmp_path / "a.zip", "w"):
        pass
    assert is_model(tmp_path / "a.zip")
    assert not is_model(tmp_path / "song.wav")


def test_the_card_of_an_unknown_model_does_nothing(bench):
    bench.document.set_models((SimpleNamespace(name="x", title="", note="", state="ready", kind="yours"),))
    bench.window.deeds.model_card("y")
    assert cards(bench) == []
