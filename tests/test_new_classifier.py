"""The wizard that makes a classifier of a folder: with stand-ins for the heavy work, and once in earnest."""

from __future__ import annotations

import importlib
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget
from workbench import TOY, Bench

from mirguard.clip import save_clip
from mirguard.errors import Cancelled, FileError
from mirguard.models.catalogue import find_model
from mirguard.models.model_file import ModelFile
from mirguard.models.training.methods import list_methods
from mirguard.models.training.report import Report
from mirguard.workbench import workshop
from mirguard.workbench.data_requests import CheckData
from mirguard.workbench.dialogs.model_card import ModelCard
from mirguard.workbench.dialogs.new_classifier import DATA, METHOD, RESULT, TRAINING
from mirguard.workbench.model_names import free_name, model_name_trouble
from mirguard.workbench.views.confusion_table import ConfusionTable, cell_colours
from mirguard.workbench.views.learning_curves import LOSS, VALIDATION, LearningCurves

palettes = importlib.import_module("mirguard.workbench.theme.colours")  # the package has a function of that name
CLASSES = ("bright", "dark", "noisy")


@pytest.fixture
def bench(qtbot, tmp_path):
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def folder(tmp_path, tone, noise) -> Path:
    """Three classes of five clips of a second; one file is no sound."""
    root = tmp_path / "My Sounds"
    for number in range(5):
        clips = {
            "bright": tone(rate=16000, frequency=2000.0 + 150 * number),
            "dark": tone(rate=16000, frequency=110.0 + 15 * number),
            "noisy": noise(rate=16000, seed=number),
        }
        for name, clip in clips.items():
            (root / name).mkdir(parents=True, exist_ok=True)
            save_clip(clip, root / name / f"{name}{number}.wav")
    return root


@dataclass(frozen=True)
class Said:
    """As models.training's TrainingProgress."""

    stage: str
    fraction: float | None
    sentence: str
    epoch: object = None


REPORT = Report(CLASSES, ((2, 0, 0), (1, 1, 0), (0, 0, 2)), 6, 5, 12, 10)


class FakeTraining:
    """In the place of the workshop's training: epochs until told to end, cancelled like the real one."""

    def __init__(self) -> None:
        self.requests, self.let_end, self.saw_cancel = [], False, False

    def __call__(self, _workshop, request, job):
        self.requests.append(request)
        try:
            for number in range(1, 100_000):
                epoch = SimpleNamespace(
                    number=min(number, 8), of=8, loss=2.0 / number, accuracy=0.5, validation=0.4, seconds=1.0
                )
                job.progress(Said("train", min(1.0, number / 8), f"Epoch {number}", epoch if number <= 8 else None))
                if self.let_end and number >= 8:
                    break
                time.sleep(0.005)
                job.rest()
        except Cancelled:
            self.saw_cancel = True
            raise
        file = ModelFile(
            Path("/somewhere/models") / request.name,
            request.name,
            "weights.safetensors",
            16000,
            16000,
            "single-label",
            CLASSES,
            title="My classifier",
            card={"made": "trained", "seconds": 12.0, "test": REPORT.card(), "data": {"warnings": ["Few clips."]}},
        )
        return SimpleNamespace(file=file, report=REPORT, classifier=None)


@pytest.fixture
def training(monkeypatch) -> FakeTraining:
    fake = FakeTraining()
    monkeypatch.setattr(workshop.Workshop, "train", lambda self, request, job: fake(self, request, job))
    return fake


@pytest.fixture
def unchecked(monkeypatch):
    """No comparing of sounds."""
    monkeypatch.setattr(CheckData, "perform", lambda self, job: (leakage("Nothing comes twice."), self.dataset))


def leakage(sentence: str, *duplicates) -> SimpleNamespace:
    return SimpleNamespace(
        duplicates=duplicates, straddling={}, artists={}, silent=(), unreadable=(), sentences=(sentence,)
    )


def opened(bench, folder: Path | None = None):
    bench.window.deeds.new_classifier(folder)
    dialog = bench.window.deeds._wizard
    if folder is not None:
        bench.until(lambda: bench.window.learning.course.divided is not None)
    return dialog


def to_method(dialog):
    dialog.next_button.click()
    assert dialog.page == METHOD


# -- the way through ---------------------------------------------------------------------------------------------------


def test_from_a_folder_to_a_result(bench, folder, training, unchecked, monkeypatch):
    (folder / "dark" / "torn.txt").write_text("no sound")
    dialog = opened(bench)
    assert dialog.page == DATA
    assert not dialog.next_button.isEnabled()
    dialog.scan(folder)
    bench.until(lambda: bench.window.learning.course.divided is not None)
    assert "3 classes, 15 clips" in dialog.data.headline.text()
    rows = {dialog.data.table.item(row, 0).text(): dialog.data.table.item(row, 1).text() for row in range(3)}
    assert rows == dict.fromkeys(CLASSES, "5")

    to_method(dialog)
    assert dialog.method.name == "my-sounds"
    table = dialog.method.division
    parts = [[int(table.item(row, column).text()) for column in (1, 2, 3)] for row in range(table.rowCount())]
    assert [sum(part) for part in parts] == [5, 5, 5, 15]
    dialog.method.choose("log-mel-cnn")
    dialog.method.form.rows["epochs"].slider.set_value(8)
    dialog.next_button.click()
    assert dialog.page == TRAINING
    bench.until(lambda: len(dialog.training.curves.values[LOSS]) == 8)
    assert "Epoch 8 of 8" in dialog.training.curves.summary
    assert dialog.training.key.isVisible()
    training.let_end = True
    bench.until(lambda: dialog.page == RESULT)
    request = training.requests[0]
    assert (request.method, request.name, dict(request.settings)) == ("log-mel-cnn", "my-sounds", {"epochs": 8})
    assert all(item.split for item in request.dataset.items)

    assert "My classifier was made in 12 s" in dialog.result.headline.text()
    figures = dialog.result.accuracy.lines["By clip"]
    assert figures[1].text() == "83.3 %"
    assert "5 of 6 clips · 95 % interval 44 to 97 %" in figures[2].text()
    cells = dialog.result.confusion.table.counts
    assert cells.data(cells.index(1, 0)) == "1"
    assert "dark heard as bright: 1 of 2 clips" in cells.data(cells.index(1, 0), Qt.ItemDataRole.ToolTipRole)
    assert "Few clips." in dialog.result.notices.sentences
    assert "/somewhere/models" in dialog.result.place.text()
    dialog.back_button.click()
    assert (dialog.page, dialog.method.name) == (METHOD, "my-sounds-2"), "another one can be trained at once"
    dialog._go(RESULT)
    chosen = []
    monkeypatch.setattr(bench.window.modelling, "choose", chosen.append)
    dialog.use_wanted.disconnect()
    dialog.use_wanted.connect(bench.window.modelling.choose)
    dialog.next_button.click()
    assert chosen == ["my-sounds"]
    assert not dialog.isVisible()


def test_using_a_model_from_its_card_ends_the_wizard_that_made_it(bench, folder, training, unchecked, monkeypatch):
    dialog = opened(bench, folder)
    to_method(dialog)
    monkeypatch.setattr(bench.window.modelling, "choose", lambda name: None)
    training.let_end = True
    for page, shown in ((METHOD, True), (RESULT, False)):
        if page == RESULT:
            dialog.next_button.click()
            bench.until(lambda: dialog.page == RESULT)
        bench.window.deeds.show_card(find_model(TOY))
        card = bench.window.findChild(ModelCard)
        card._use()
        assert dialog.isVisible() is shown, "a wizard that still has work to do stays"


def test_escape_cancels_the_training_and_leaves_the_wizard_open(bench, folder, training, unchecked, qtbot):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    bench.until(lambda: not bench.window.learning.course.training)
    assert training.saw_cancel
    assert dialog.isVisible()
    assert "nothing was kept" in dialog.training.stage.text()
    dialog.back_button.click()
    assert dialog.page == METHOD
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


def test_escape_in_the_window_cancels_the_training_too(bench, folder, training, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    bench.window.actions_by_name["cancel"].trigger()
    bench.until(lambda: not bench.window.learning.course.training)
    assert training.saw_cancel


def test_closing_the_wizard_ends_what_it_was_doing(bench, folder, training, unchecked, monkeypatch):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Cancel)
    dialog.close()
    assert dialog.isVisible()
    assert bench.window.learning.course.training, "it was not meant"
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    dialog.close()
    assert not dialog.isVisible()
    bench.until(lambda: training.saw_cancel and not bench.window.bench.engine.busy)
    assert bench.window.learning.course.source is None


def test_quitting_asks_first_where_a_training_runs(bench, folder, training, unchecked, monkeypatch):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    asked = []
    monkeypatch.setattr(QMessageBox, "question", lambda *_: asked.append(1) or QMessageBox.StandardButton.Cancel)
    bench.window.actions_by_name["quit"].trigger()
    assert asked and bench.window.isVisible()
    assert bench.window.learning.course.training
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    bench.window.actions_by_name["quit"].trigger()
    assert training.saw_cancel
    assert not bench.window.isVisible()


def test_a_question_goes_when_its_training_has_ended(bench, folder, training, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    training.let_end = True
    dialog.close()  # waits for an answer, and nobody gives one
    assert dialog.isVisible()
    assert dialog.page == RESULT


def test_closing_the_window_ends_a_training(bench, folder, training, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    bench.window.close()
    assert training.saw_cancel
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("mirguard-")] == []


def test_small_requests_and_attacks_are_served_during_a_training(bench, folder, training, unchecked, tmp_path, noise):
    bench.start()
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: bench.window.learning.course.progress is not None)
    entry = bench.load(save_clip(noise(seconds=3.0), tmp_path / "other.wav"))
    assert entry.decision is not None
    bench.document.change_design(attack="noise", level=10.0)
    bench.run()
    assert entry.outcome is not None
    assert bench.window.learning.course.training, "all that happened while it went on"
    dialog.reject()
    bench.until(lambda: training.saw_cancel)


def test_a_training_waits_for_the_check_and_takes_its_result(bench, folder, training, monkeypatch):
    go_on = []
    joined = {}

    def check(self, job):
        while not go_on:
            job.progress(("Comparing a.wav …", 0.5))
            job.rest()
            time.sleep(0.005)
        first = self.dataset.items[0]
        items = (
            replace(first, group="joined"),
            replace(self.dataset.items[1], group="joined"),
            *self.dataset.items[2:],
        )
        joined["set"] = replace(self.dataset, items=items)
        return leakage("Two files hold the same sound.", "a pair"), joined["set"]

    monkeypatch.setattr(CheckData, "perform", check)
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: "Comparing" in dialog.training.stage.text())
    assert training.requests == []
    go_on.append(True)
    bench.until(lambda: training.requests)
    assert {item.group for item in training.requests[0].dataset.items} == {i.group for i in joined["set"].items}
    training.let_end = True
    bench.until(lambda: dialog.page == RESULT)
    assert "Two files hold the same sound." in dialog.result.notices.sentences
    assert "Two files hold the same sound." in training.requests[0].dataset.warnings, "it will be on the card"


def test_comparing_can_be_skipped_and_the_card_will_say_so(bench, folder, training, monkeypatch):
    def check(self, job):
        while True:
            job.progress(("Comparing a.wav …", 0.5))
            job.rest()
            time.sleep(0.005)

    monkeypatch.setattr(CheckData, "perform", check)
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: dialog.skip_button.isVisible())
    dialog.skip_button.click()
    bench.until(lambda: training.requests)
    assert any("not compared" in sentence for sentence in training.requests[0].dataset.warnings)
    assert not dialog.skip_button.isVisible()
    training.let_end = True
    bench.until(lambda: dialog.page == RESULT)


def test_a_training_that_fails_says_why_and_one_can_go_back(bench, folder, unchecked, monkeypatch):
    def fail(self, request, job):
        raise FileError("None of the clips can be heard.")

    monkeypatch.setattr(workshop.Workshop, "train", fail)
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    bench.until(lambda: not bench.window.learning.course.training)
    assert dialog.training.stage.text() == "None of the clips can be heard."
    assert dialog.page == TRAINING
    dialog.back_button.click()
    assert dialog.page == METHOD
    assert dialog.next_button.isEnabled()


# -- what cannot be ----------------------------------------------------------------------------------------------------


def test_a_folder_without_classes_is_a_sentence(bench, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    dialog = opened(bench)
    dialog.scan(empty)
    bench.until(lambda: bench.window.learning.course.trouble)
    assert dialog.data.zone.trouble.text() == bench.window.learning.course.trouble
    assert not dialog.next_button.isEnabled()


def test_a_name_that_is_taken_or_impossible_is_refused(bench, folder, unchecked):
    bench.start()
    bench.until(lambda: bench.document.models)
    dialog = opened(bench, folder)
    to_method(dialog)
    assert dialog.next_button.isEnabled()
    for name, words in (
        ("Toy-Instruments", "already"),
        ("a/b", "no file may have /"),
        ("-a", "begins with a blank, dot or dash"),
        ("", "Give the classifier a name"),
    ):
        dialog.method.name_field.setText(name)
        dialog.method.name_field.textEdited.emit(name)
        assert not dialog.next_button.isEnabled()
        assert words in dialog.method.name_words.text()


def test_names_are_made_of_folders():
    assert free_name("My  Sounds!", ()) == "my-sounds"
    assert free_name("a", ("a", "a-2")) == "a-3"
    assert free_name("///", ()) == "my-classifier"
    assert model_name_trouble(free_name("Größe ©", ()), ()) == ""


def test_another_share_divides_anew(bench, folder, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    before = len(bench.window.learning.course.divided.of("test"))
    dialog.method.test.set_value(40)
    bench.until(lambda: len(bench.window.learning.course.divided.of("test")) > before)
    shown = dialog.method.division
    assert int(shown.item(shown.rowCount() - 1, 3).text()) == len(bench.window.learning.course.divided.of("test"))


def test_a_folder_or_table_is_dropped_and_a_sound_is_not(bench, folder, unchecked):
    dialog = opened(bench)

    def drop(path: Path) -> bool:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        keys = Qt.KeyboardModifier.NoModifier
        event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys)
        event.ignore()
        dialog.data.dropEvent(event)
        return event.isAccepted()

    assert not drop(folder / "dark" / "dark0.wav")
    assert bench.window.learning.course.source is None
    assert drop(folder)
    bench.until(lambda: bench.window.learning.course.found is not None)


def test_a_published_collection_is_read_where_it_lies_or_it_is_said_how_to_get_it(
    bench, tmp_path, tone, unchecked, monkeypatch
):
    dialog = opened(bench)
    names = [action.text() for action in dialog.data.zone.known_button.menu().actions()]
    assert any("GTZAN" in name for name in names)
    home = tmp_path / "gtzan"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    dialog.data.known_wanted.emit("gtzan")
    bench.until(lambda: bench.window.learning.course.trouble)
    assert "download gtzan" in dialog.data.zone.trouble.text()
    for genre in ("blues", "rock"):
        (home / genre).mkdir(parents=True)
        for number in range(4):
            save_clip(tone(frequency=200.0 + 50 * number), home / genre / f"{genre}.{number:05d}.wav")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(home))
    dialog.data.known_wanted.emit("gtzan")
    bench.until(lambda: bench.window.learning.course.found is not None)
    assert bench.window.learning.course.found.labels == ("blues", "rock")
    assert dialog.data.group_row.isHidden()
    assert bench.settings.folder("dataset/gtzan") == str(home)


# -- methods and their forms -------------------------------------------------------------------------------------------


def test_every_method_has_a_form_that_says_whether_there_are_gradients(bench, folder, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    for method in list_methods():
        dialog.method.choose(method.name)
        assert dialog.method.method.name == method.name
        assert set(dialog.method.form.rows) == {parameter.name for parameter in method.parameters}
        assert method.help in dialog.method.help.text()
        assert ("no gradients" in dialog.method.gradients.text()) == (not method.gradients)


def test_settings_of_fine_tuning_wait_for_it_and_an_absent_backbone_is_told(bench, folder, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    absent = SimpleNamespace(name="musicnn-msd", state="to be fetched", how="It is downloaded at first use.")
    dialog.set_models([absent])
    dialog.method.choose("musicnn-msd")
    assert "downloaded at first use" in dialog.method.absent.text()
    rows = dialog.method.form.rows
    assert not rows["epochs"].isEnabled()
    rows["fine_tune"].box.click()
    assert rows["epochs"].isEnabled()
    assert dialog.method.settings == {"fine_tune": True}
    dialog.method.choose("crnn")
    assert dialog.method.absent.text() == ""
    assert dialog.method.form.rows["epochs"].isEnabled()


def test_tab_goes_through_a_method_s_settings_to_what_comes_after(bench, folder, unchecked, qtbot):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.activateWindow()
    for name in ("svm", "log-mel-cnn"):  # the second time round, other rows are there
        dialog.method.choose(name)
        dialog.method.form.more.setChecked(True)
        qtbot.wait(20)
        dialog.method.list.setFocus()
        seen = []
        while len(seen) < 40 and QApplication.focusWidget() is not dialog.next_button:
            qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
            seen.append(QApplication.focusWidget().accessibleName())
        order = ["More settings", "Windows of a clip, value", "Name of the classifier", "Seed", "Back", "Train"]
        assert [name for name in seen if name in order] == order
        assert seen[0] == ("Features" if name == "svm" else "Epochs, value")


def test_a_value_left_open_is_automatic_until_it_is_set(bench, folder, unchecked):
    dialog = opened(bench, folder)
    to_method(dialog)
    method = next(m for m in list_methods() if any(p.optional and p.kind is float for p in m.parameters))
    name = next(p.name for p in method.parameters if p.optional and p.kind is float)
    dialog.method.choose(method.name)
    row = dialog.method.form.rows[name]
    assert row.auto.isChecked()
    assert not row.slider.field.isEnabled()
    row.auto.click()
    assert dialog.method.settings[name] == pytest.approx(row.slider.value())
    assert row.slider.field.isEnabled()
    row.auto.click()
    assert name not in dialog.method.settings


# -- views -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", [palettes.DARK, palettes.LIGHT], ids=["dark", "light"])
def test_every_cell_of_the_confusion_matrix_can_be_read(theme):
    before = palettes.colours()
    palettes.use(theme)
    try:
        for share in (0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 1.0):
            for right in (True, False):
                ground, ink = cell_colours(share, right)
                assert palettes.contrast(ground, ink) >= 4.5
    finally:
        palettes.use(before)


def test_the_confusion_matrix_shows_counts_and_scrolls_when_it_is_large(qtbot):
    table = ConfusionTable()
    qtbot.addWidget(table)
    table.set_matrix(CLASSES, REPORT.confusion)
    assert [[table.counts.data(table.counts.index(r, c)) for c in range(3)] for r in range(3)] == [
        ["2", "", ""],
        ["1", "1", ""],
        ["", "", "2"],
    ]
    small = table.sizeHint()
    labels = [f"label {number}" for number in range(60)]
    table.set_matrix(labels, [[int(a == b) for a in range(60)] for b in range(60)])
    assert table.sizeHint().width() < 60 * 30
    assert table.sizeHint().height() > small.height()


def test_curves_grow_by_epoch_and_begin_anew(qtbot):
    curves = LearningCurves()
    qtbot.addWidget(curves)
    assert curves.summary == ""
    curves.append(1, 3, 2.0, 0.3, None)
    curves.append(2, 3, 1.0, 0.6, 0.5)
    assert curves.summary == "Epoch 2 of 3 · loss 1 · training 60 % · validation 50 %"
    assert curves.values[VALIDATION][1] == 50
    curves.append(1, 3, 2.0, 0.2, 0.1)
    assert len(curves.values[LOSS]) == 1


def test_every_focusable_widget_of_the_wizard_has_a_name(bench, folder, unchecked, training):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.next_button.click()
    training.let_end = True
    bench.until(lambda: dialog.page == RESULT)
    nameless = [
        f"{type(child).__name__} in {type(child.parent()).__name__}"
        for child in dialog.findChildren(QWidget)
        if child.focusPolicy() & Qt.FocusPolicy.TabFocus
        and not child.accessibleName()
        and not getattr(child, "text", str)()
        and child.focusProxy() is None
        and child.window() is dialog
    ]
    assert nameless == []
    assert QApplication.focusWidget() is None or QApplication.focusWidget().window() is dialog


# -- in earnest --------------------------------------------------------------------------------------------------------


def test_a_real_classifier_is_made_used_and_attacked(own_data, bench, folder):
    bench.start()
    bench.until(lambda: bench.document.models)
    dialog = opened(bench, folder)
    bench.until(lambda: bench.window.learning.course.checking is None)
    to_method(dialog)
    dialog.method.choose("decision-tree")
    dialog.next_button.click()
    bench.until(lambda: not bench.window.learning.course.training)
    assert bench.window.learning.course.failure == ""
    assert dialog.page == RESULT
    trained = bench.window.learning.course.trained
    assert trained.classifier is None, "it stays on its own thread"
    assert (own_data / "models" / "my-sounds" / "model.toml").is_file()
    assert sum(map(sum, trained.report.confusion)) == trained.report.clips
    bench.until(lambda: "my-sounds" in [info.name for info in bench.document.models])
    dialog.next_button.click()
    bench.until(lambda: bench.document.model.name == "my-sounds")
    entry = bench.load(folder / "dark" / "dark1.wav")
    assert set(entry.decision.labels) == set(CLASSES)
    bench.document.change_design(attack="pgd")
    assert not bench.window.designer.run_row.run_button.isEnabled()
    bench.document.change_design(attack="noise", level=20.0)
    bench.run()
    assert entry.outcome is not None
    assert [path.name for path in (own_data / "models").iterdir()] == ["my-sounds"], "nothing half-made is left"


def test_a_real_training_that_is_cancelled_leaves_nothing(own_data, bench, folder):
    dialog = opened(bench, folder)
    to_method(dialog)
    dialog.method.choose("log-mel-cnn")
    dialog.method.form.rows["epochs"].slider.set_value(1000)
    dialog.next_button.click()
    bench.until(lambda: len(bench.window.learning.course.epochs) >= 1)
    dialog.reject()
    bench.until(lambda: not bench.window.learning.course.training)
    assert bench.window.learning.course.failure == ""
    models = own_data / "models"
    assert not models.exists() or list(models.iterdir()) == []
