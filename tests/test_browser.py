"""The dataset browser in the window: opening, hearing, listening, sending, deciding; with the bundled model."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QKeySequence
from PySide6.QtWidgets import QApplication, QFileDialog
from workbench import Bench

from mirguard.clip import Clip, load_clip, save_clip
from mirguard.datasets.labelled import Item, LabelledSet
from mirguard.datasets.synthesis import example
from mirguard.errors import FileError
from mirguard.workbench.actions import BROWSER_DEEDS, DEEDS
from mirguard.workbench.collection import requests
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.collection.filter import UNDECIDED, WRONG
from mirguard.workbench.collection.order import FLAGGED_FIRST, MISPREDICTED_FIRST, Order
from mirguard.workbench.collection.row import ACCEPT, ADVERSARIAL, COLUMNS, FAILED, HEARD, RELABEL, UNSURE, Heard
from mirguard.workbench.panels.browser.panel import BrowserPanel
from mirguard.workbench.reviews import read_records, review_file

NAMES = ("brass", "electric_piano", "drums")


@pytest.fixture
def bench(qtbot, tmp_path, own_data):
    bench = Bench(qtbot, tmp_path)
    yield bench
    bench.close()


@pytest.fixture(scope="module")
def sounds() -> list:
    """Three short clips of instruments that the bundled model knows."""
    made = {}
    for index in range(20):
        made.setdefault(example(index, 3, "test", seconds=0.3).label, example(index, 3, "test", seconds=2.0))
    return [made[name.replace("_", " ")] for name in NAMES]


@pytest.fixture
def labelled(tmp_path, sounds) -> Path:
    """A folder of three classes with two clips each and a torn file."""
    folder = tmp_path / "labelled"
    for name, sound in zip(NAMES, sounds, strict=True):
        (folder / name).mkdir(parents=True)
        for part in (1, 2):
            half = sound.samples[(part - 1) * len(sound.samples) // 2 :][: len(sound.samples) // 2]
            save_clip(Clip(half, sound.sample_rate), folder / name / f"{name} {part}.wav")
    (folder / "drums" / "torn.wav").write_text("this is no sound")
    return folder


@pytest.fixture
def queue(tmp_path, noise, tone) -> Path:
    folder = tmp_path / "queue"
    folder.mkdir()
    for number in range(3):
        save_clip(tone(seconds=0.6, frequency=220.0 * (number + 1)), folder / f"tone {number}.wav")
    save_clip(noise(seconds=0.6), folder / "noise.wav")
    return folder


def opened(bench, path: Path, mode: str = "") -> Collection:
    """Open and hear everything."""
    browsing = bench.window.browsing
    bench.window.deeds.datasets.show(path, mode)
    bench.until(lambda: browsing.collection is not None and browsing.collection.source == str(path.resolve()))
    bench.until(lambda: browsing.hearing.progress.state == "done")
    bench.until(lambda: not bench.window.browser._resort.isActive())
    return browsing.collection


def shown(bench) -> list[str]:
    table = bench.window.browser.table
    return [table.rows.index(place, 0).data() for place in range(table.rows.rowCount())]


def cell(bench, place: int, column: str, role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole):
    return bench.window.browser.table.rows.index(place, COLUMNS.index(column)).data(role)


# -- a labelled dataset ------------------------------------------------------------------------------------------------


def test_a_labelled_folder_is_heard_and_a_torn_file_does_not_stop_it(bench, labelled):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    states = [row.state for row in collection.rows]
    assert states.count(HEARD) == 6
    torn = next(row for row in collection.rows if row.name == "torn.wav")
    assert torn.state == FAILED
    assert "torn.wav" in torn.trouble
    assert all(row.heard.score is not None for row in collection.rows if row.state == HEARD)
    assert all(
        row.right is (row.heard.label == row.item.label.replace("_", " ")) for row in collection.rows if row.heard
    )
    panel = bench.window.browser
    assert panel.summary.figures.text().replace("\u00a0", " ").startswith("6 of 7 clips heard · ")
    assert "1\u00a0unreadable" in panel.summary.figures.text()
    assert "% interval" in panel.summary.figures.text().replace("\u00a0", " ")
    place = shown(bench).index("torn.wav")
    assert cell(bench, place, "predicted") == "cannot be read"
    panel.table.choose(torn.number)
    assert panel.review.about.text() == torn.trouble
    assert bench.sentences("error") == [], "the row says it"
    assert bench.window.docks["browser"].isVisible()


def test_a_right_row_and_a_wrong_one_differ_in_words_and_signs_not_only_in_colour(bench, labelled):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    right, wrong = (row for row in collection.rows[:2])
    collection.set_heard(right.number, Heard("brass", 0.9))
    collection.set_heard(wrong.number, Heard("flute", 0.9))
    panel = bench.window.browser
    panel.set_order(Order(MISPREDICTED_FIRST))
    place = panel.table.rows.place_of
    role = Qt.ItemDataRole.AccessibleTextRole
    assert cell(bench, place(wrong.number), "predicted", role) == "Predicted: flute, wrong"
    assert cell(bench, place(right.number), "predicted", role) == "Predicted: brass, right"
    marks = [panel.table.rows._mark(row, "predicted")[0] for row in (right, wrong)]
    assert marks == ["check", "close"]
    assert place(wrong.number) < place(right.number)


def test_another_rate_moves_the_flags_without_hearing_again(bench, labelled):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    bench.until(lambda: collection.threshold is not None)
    scores = [row.heard.score for row in collection.rows if row.heard]
    before = collection.threshold
    heard = [row.heard for row in collection.rows]
    bench.window.detectors.fpr_chosen.emit(0.4)
    bench.until(lambda: collection.threshold != before)
    assert [row.heard for row in collection.rows] == heard
    assert collection.counts().flagged == sum(score > collection.threshold for score in scores)


def test_another_model_hears_everything_again(bench, labelled):
    from dataclasses import replace

    bench.start()
    collection = opened(bench, labelled, LABELLED)
    first = collection.rows[0].heard
    other = replace(bench.document.model, hash="another", labels=("brass", "drums"))
    bench.document.set_model(other)
    assert collection.rows[0].heard is None
    bench.until(lambda: bench.window.browsing.hearing.progress.state == "done")
    assert collection.rows[0].heard == first
    piano = next(row for row in collection.rows if row.item.label == "electric_piano")
    assert piano.right is None, "a class that this model does not know"


def test_a_model_without_a_reference_says_so_and_gives_no_scores(bench, labelled, monkeypatch):
    monkeypatch.setattr("mirguard.detectors.kept.names_fitted_for", lambda model: ())
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    assert [row.heard.score for row in collection.rows if row.heard] == [None] * 6
    bench.until(lambda: "no detector is fitted" in bench.window.browser.summary.note.text())
    assert "flagged" not in bench.window.browser.summary.figures.text()
    assert bench.window.browser.table.isColumnHidden(COLUMNS.index("score"))


def test_a_dataset_of_classes_that_the_model_does_not_know(bench, queue):
    (queue / "polka").mkdir()
    (queue / "tone 0.wav").rename(queue / "polka" / "tone 0.wav")
    bench.start()
    collection = opened(bench, queue, LABELLED)
    assert [row.right for row in collection.rows] == [None]
    assert "no clip counts as right or wrong" in bench.window.browser.summary.note.text()
    bench.window.browser.head.confusion_button.click()
    assert "knows none" in bench.window.browser.confusion.words.text()
    assert bench.heard("belong to no class"), "what the reader of the folder remarks is passed on"


def test_a_cell_of_the_confusion_matrix_shows_its_clips(bench, labelled, qtbot):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    panel = bench.window.browser
    labels, counts = collection.confusion()
    panel.head.confusion_button.click()
    assert panel.confusion.isVisible()
    assert not panel.table.isVisible()
    assert panel.confusion.matrix.counts.confusion == tuple(map(tuple, counts))
    true, said = next((i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if count)
    where = panel.confusion.matrix.visualRect(panel.confusion.matrix.counts.index(true, said)).center()
    qtbot.mouseClick(panel.confusion.matrix.viewport(), Qt.MouseButton.LeftButton, pos=where)
    assert panel.table.isVisible()
    assert panel.table.rows.rowCount() == counts[true][said]
    assert f"{labels[true]} heard as {labels[said]}" in panel.summary.shown.text()
    panel.summary.clear_button.click()
    assert panel.table.rows.rowCount() == len(collection.rows)


def test_listed_data_of_a_known_set_can_be_shown(bench, labelled):
    bench.start()
    items = (
        Item(labelled / "drums" / "drums 1.wav", "drums", "a", "train"),
        Item(labelled / "drums" / "drums 2.wav", "drums", "b", "test", 0.2, 0.5),
    )
    bench.window.browsing.show(LabelledSet("known", str(labelled), ("drums",), items))
    bench.until(lambda: bench.window.browsing.hearing.progress.done == 2)
    panel = bench.window.browser
    assert not panel.filters.split_filter.isHidden()
    assert not panel.table.isColumnHidden(COLUMNS.index("split"))
    panel.set_filter(split="test")
    assert shown(bench) == ["drums 2.wav [0.2–0.7 s]"]
    panel.do("row-send")
    bench.until(lambda: bench.document.current is not None)
    assert bench.document.current.name == "drums 2.wav [0.2–0.7 s]"
    assert bench.document.current.clip.duration == pytest.approx(0.5, abs=1e-3)


def test_decisions_have_a_column_once_there_is_one(bench, labelled, qtbot):
    bench.start()
    bench.window.activateWindow()
    bench.window.deeds.datasets.raise_browser()
    opened(bench, labelled)
    table = bench.window.browser.table
    column = COLUMNS.index("decision")
    assert bench.window.focusWidget() is table, "keys count at once"
    assert table.isColumnHidden(column)
    qtbot.keyClick(table, Qt.Key.Key_A)
    bench.until(lambda: not table.isColumnHidden(column))


@pytest.mark.qt_log_ignore("^This plugin does not support (raise|grabbing)")  # popups without a screen
def test_escape_puts_the_choice_of_a_label_away(bench, labelled, qtbot):
    bench.start()
    bench.window.activateWindow()
    bench.window.deeds.datasets.raise_browser()
    opened(bench, labelled)
    table, review = bench.window.browser.table, bench.window.browser.review
    qtbot.keyClick(table, Qt.Key.Key_R)
    popup = review.relabel.completer().popup()
    bench.until(popup.isVisible)
    qtbot.keyClick(popup, Qt.Key.Key_Escape)
    assert not popup.isVisible()
    assert bench.window.focusWidget() is table


# -- a review queue ----------------------------------------------------------------------------------------------------


def test_decisions_are_kept_as_they_are_made_and_found_again(bench, queue, qtbot, tmp_path):
    bench.start()
    bench.document.set_fpr(0.4)
    collection = opened(bench, queue, REVIEW)
    panel, table = bench.window.browser, bench.window.browser.table
    assert panel.filters.order_menu.currentData() == FLAGGED_FIRST
    order = list(table.rows.order)
    flags = [collection.flagged(collection.rows[number]) for number in order]
    assert flags == sorted(flags, reverse=True), "flagged first"
    assert table.isColumnHidden(COLUMNS.index("true"))
    bench.window.activateWindow()
    table.setFocus()
    for key in (Qt.Key.Key_A, Qt.Key.Key_S, Qt.Key.Key_D):
        qtbot.keyClick(table, key)
    assert [collection.rows[number].decision for number in order] == [ACCEPT, ADVERSARIAL, UNSURE, ""]
    assert table.current_number == order[3]
    panel.review.remark.setText("whistles")
    path = review_file(str(queue.resolve()))
    bench.until(lambda: path.exists() and len(read_records(path)) == 3)
    assert {record.place for record in read_records(path)} < {file.name for file in queue.iterdir()}
    assert sorted(file.suffix for file in queue.iterdir()) == [".wav"] * 4, "nothing beside the user's sounds"
    bench.window.browsing.close()
    assert panel.pages.currentIndex() == 0
    again = opened(bench, queue, REVIEW)
    assert again is not collection
    assert [again.rows[number].decision for number in order] == [ACCEPT, ADVERSARIAL, UNSURE, ""]
    assert again.rows[order[3]].note == "whistles"
    assert table.current_number == order[3], "goes on where it was left"
    assert "3\u00a0decided" in panel.summary.figures.text()


def test_a_decision_can_be_changed_taken_back_and_relabelled(bench, queue, qtbot, monkeypatch):
    bench.start()
    collection = opened(bench, queue, REVIEW)
    panel, table = bench.window.browser, bench.window.browser.table
    first = table.rows.order[0]
    panel.review.decision_buttons[ACCEPT].click()
    assert collection.rows[first].decision == ACCEPT
    table.choose(first)
    assert panel.review.decision_buttons[ACCEPT].isChecked()
    panel.review.decision_buttons[UNSURE].click()
    assert collection.rows[first].decision == UNSURE
    table.choose(first)
    panel.review.decision_buttons[UNSURE].click()
    assert collection.rows[first].decision == "", "pressed again, it is taken back"
    assert table.current_number == first
    panel.review.relabel.lineEdit().setText("FLUTE")
    qtbot.keyClick(panel.review.relabel, Qt.Key.Key_Return)
    assert (collection.rows[first].decision, collection.rows[first].record.label) == (RELABEL, "flute")
    table.choose(first)
    offered = []
    monkeypatch.setattr(panel.review, "_offer_labels", offered.append)
    panel.review.relabel.lineEdit().setText("string")
    qtbot.keyClick(panel.review.relabel, Qt.Key.Key_Return)
    assert collection.rows[first].record.label == "flute"
    assert offered == ["string"], "plucked or bowed? is asked"
    panel.review.relabel.lineEdit().setText("mall")
    qtbot.keyClick(panel.review.relabel, Qt.Key.Key_Return)
    assert collection.rows[first].record.label == "mallet"
    table.choose(first)
    panel.review.relabel.lineEdit().setText("hurdy-gurdy")
    qtbot.keyClick(panel.review.relabel, Qt.Key.Key_Return)
    assert collection.rows[first].record.label == "hurdy-gurdy", "the model need not know it"
    assert cell(bench, table.rows.place_of(first), "decision") == "→ hurdy-gurdy"


def test_several_rows_are_decided_at_once_and_the_undecided_ones_stay_in_sight(bench, queue):
    bench.start()
    collection = opened(bench, queue, REVIEW)
    panel, table = bench.window.browser, bench.window.browser.table
    panel.set_filter(status=UNDECIDED)
    table.selectRow(1)
    table.selectionModel().select(
        table.rows.index(2, 0), table.selectionModel().SelectionFlag.Select | table.selectionModel().SelectionFlag.Rows
    )
    chosen = table.numbers()
    assert len(chosen) == 2
    panel.do("row-adversarial")
    assert [collection.rows[number].decision for number in chosen] == [ADVERSARIAL] * 2
    assert len(table.rows.order) == 2
    assert table.current_number in table.rows.order
    panel.do("row-accept")
    panel.do("row-accept")
    assert table.rows.order == []
    assert collection.counts().decided == 4


def test_decisions_that_wait_to_be_written_are_written_when_the_window_closes(bench, queue, monkeypatch):
    bench.start()
    opened(bench, queue, REVIEW)
    monkeypatch.setattr(bench.window.bench.pictures, "ask", lambda request: 0)  # a lane that gets to nothing any more
    bench.window.browser.do("row-accept")
    path = review_file(str(queue.resolve()))
    assert not path.exists()
    bench.window.close()
    assert [record.decision for record in read_records(path)] == [ACCEPT]


def test_a_disk_that_refuses_is_a_message(bench, queue, monkeypatch):
    bench.start()
    collection = opened(bench, queue, REVIEW)

    def refused(*_):
        raise FileError("The decisions cannot be written: the disk is full.")

    monkeypatch.setattr(requests, "write_records", refused)
    bench.window.browser.do("row-accept")
    bench.until(lambda: bench.heard("the disk is full"))
    assert collection.counts().decided == 1


def test_decisions_are_exported(bench, queue, tmp_path, monkeypatch):
    bench.start()
    opened(bench, queue, REVIEW)
    bench.window.actions_by_name["export-decisions"].trigger()
    assert bench.heard("no decisions to export")
    bench.window.browser.do("row-accept")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "out"), ""))
    bench.window.actions_by_name["export-decisions"].trigger()
    bench.until(lambda: bench.heard("1 decision written"))
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert (row["decision"], row["model"]) == (ACCEPT, "toy-instruments")
    assert Path(tmp_path, row["file"]).is_file()


# -- listening and sending ---------------------------------------------------------------------------------------------


def test_space_plays_a_row_and_gives_the_clip_on_screen_back(bench, queue, qtbot):
    bench.start()
    entry = bench.load(queue / "noise.wav")
    window, listening = bench.window, bench.window.listening
    listening.seek(0.25)
    opened(bench, longer_sound(queue), REVIEW)
    table = window.browser.table
    window.activateWindow()
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Space)
    number = table.current_number
    bench.until(lambda: window.browsing.playing)
    assert window.browsing.heard_row == number
    assert listening.auditioning
    assert listening.player.duration == pytest.approx(20 * entry.clip.duration)
    assert table.rows.played == number
    assert bench.document.current is entry
    qtbot.keyClick(table, Qt.Key.Key_Space)
    bench.until(lambda: not listening.player.playing)
    assert listening.auditioning, "paused, not over"
    window.docks["spectrograms"].raise_()
    bench.until(lambda: not listening.auditioning)
    assert listening.player.position == pytest.approx(0.25, abs=1e-3)
    assert listening.player.duration == pytest.approx(entry.clip.duration)
    assert table.rows.played is None


def test_a_result_that_comes_while_another_sound_plays_is_there_afterwards(bench, queue):
    """The player holds another clip of another length: nothing of the clip on screen may be put beside it."""
    bench.start()
    entry = bench.load(queue / "noise.wav")
    bench.document.change_design(held="snr", level=10.0)
    listening, window = bench.window.listening, bench.window
    bench.run()
    listening.select("adversarial")
    opened(bench, longer_sound(queue), REVIEW)
    window.browser.do("row-play")
    bench.until(lambda: listening.auditioning)
    assert listening.names == ("original",)
    window.attacking.run()
    bench.until(lambda: bench.document.run is None)
    listening.end_audition()
    assert listening.heard is entry.outcome.clip.samples
    assert listening.player.selected == "adversarial"
    assert listening.player.duration == pytest.approx(entry.clip.duration)
    assert bench.sentences("error") == []


def longer_sound(queue: Path) -> Path:
    """A folder with one longer sound."""
    folder = queue.parent / "longer"
    folder.mkdir()
    clip = load_clip(queue / "noise.wav")
    save_clip(Clip(clip.samples.repeat(20, axis=1), clip.sample_rate), folder / "long.wav")
    return folder


def test_moving_on_while_a_row_plays_plays_the_next_one_to_its_end(bench, queue, qtbot):
    bench.start()
    opened(bench, queue, REVIEW)
    window, table = bench.window, bench.window.browser.table
    window.activateWindow()
    table.setFocus()
    played = []
    window.browsing.auditioning.connect(lambda: played.append(window.browsing.heard_row))
    window.listening.audition(load_clip(longer_sound(queue) / "long.wav"))
    window.browsing.heard_row = table.rows.order[0]
    qtbot.keyClick(table, Qt.Key.Key_Down)
    bench.until(lambda: table.rows.order[1] in played)
    bench.until(lambda: not window.listening.auditioning)
    assert window.browsing.heard_row is None
    assert window.listening.names == (), "no clip is loaded"
    assert not window.listening.player.playing


def test_return_sends_to_the_designer_and_shows_it(bench, labelled, qtbot):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    window, table = bench.window, bench.window.browser.table
    table.choose(next(row.number for row in collection.rows if row.state == HEARD))
    window.activateWindow()
    table.setFocus()
    qtbot.keyClick(table, Qt.Key.Key_Return)
    bench.until(lambda: bench.document.current is not None)
    assert bench.document.current.clip.source == collection.rows[table.current_number].item.path
    bench.until(lambda: not window.docks["spectrograms"].visibleRegion().isEmpty())
    assert "spectrograms" in {name for name, dock in window.docks.items() if not dock.visibleRegion().isEmpty()}
    bench.until(lambda: QApplication.focusWidget() is window.spectrograms.stack)
    qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Space)
    bench.until(lambda: window.listening.player.playing)
    assert not window.listening.auditioning, "keys are no longer the table's"
    window.browser.do("row-send")
    assert len(bench.document.entries) == 1, "it is there already"


def test_a_row_that_cannot_be_played_is_a_message(bench, labelled):
    bench.start()
    collection = opened(bench, labelled, LABELLED)
    bench.window.browser.table.choose(next(row.number for row in collection.rows if row.state == FAILED))
    bench.window.browser.do("row-play")
    bench.until(lambda: bench.heard("torn.wav"))
    assert not bench.window.listening.auditioning


# -- hearing in the background -----------------------------------------------------------------------------------------


def test_escape_stops_hearing_and_it_goes_on_when_asked(bench, labelled, monkeypatch):
    slow = requests.ReadRow.perform

    def slower(self, job):
        import time

        time.sleep(0.1)
        return slow(self, job)

    monkeypatch.setattr(requests.ReadRow, "perform", slower)
    bench.start()
    browsing = bench.window.browsing
    bench.window.deeds.datasets.show(labelled, LABELLED)
    bench.until(lambda: browsing.collection is not None and browsing.collection.counts().heard >= 1)
    bench.window.actions_by_name["cancel"].trigger()
    stopped = browsing.collection.counts().heard
    assert browsing.hearing.progress.state == "stopped"
    assert bench.window.browser.hearing.resume_button.isVisible()
    bench.until(lambda: not bench.window.bench.engine.busy and not bench.window.bench.pictures.busy)
    assert browsing.collection.counts().heard == stopped
    bench.window.browser.hearing.resume_button.click()
    bench.until(lambda: browsing.hearing.progress.state == "done")
    assert browsing.collection.counts().heard == 6


def test_an_attack_goes_before_hearing(bench, labelled, queue):
    bench.start()
    bench.load(queue / "noise.wav")
    bench.document.change_design(values={"steps": 5000, "stop_early": False})
    bench.window.attacking.run()
    bench.until(lambda: bench.document.run is not None and bench.document.run.last is not None)
    browsing = bench.window.browsing
    bench.window.deeds.datasets.show(labelled, LABELLED)
    bench.until(lambda: browsing.collection is not None)
    gradients = bench.document.run.last.gradients
    bench.until(lambda: bench.document.run.last.gradients > gradients)
    assert browsing.hearing.progress.state == "held"
    assert browsing.collection.counts().heard == 0
    bench.window.attacking.cancel()
    bench.until(lambda: bench.document.run is None)
    bench.until(lambda: browsing.hearing.progress.state == "done")
    assert browsing.collection.counts().heard == 6


def test_a_folder_with_nothing_in_it_is_a_message(bench, tmp_path):
    (tmp_path / "empty").mkdir()
    bench.start()
    bench.window.deeds.datasets.show(tmp_path / "empty", REVIEW)
    bench.until(lambda: bench.heard("no sound files"))
    assert bench.window.browsing.collection is None
    assert bench.window.browser.nothing_open.open_buttons["review"].isEnabled()


def test_what_is_dropped_on_the_browser_opens_in_it(bench, labelled, queue):
    bench.start()
    panel = bench.window.browser

    def drop(path: Path) -> None:
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        panel.dropEvent(
            QDropEvent(
                QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
            )
        )

    for path, mode in ((labelled, LABELLED), (queue, REVIEW)):
        drop(path)
        bench.until(
            lambda path=path: (found := bench.window.browsing.collection) and found.source == str(path.resolve())
        )
        assert bench.window.browsing.collection.mode == mode


# -- the panel itself --------------------------------------------------------------------------------------------------


def thousands(count: int = 5000) -> Collection:
    items = [Item(Path(f"/music/rock/{number}.wav"), "rock", "") for number in range(count)]
    collection = Collection.of("music", "/music", LABELLED, items, root=Path("/music"), labels=("rock",))
    collection.forget_heard(("rock", "blues"))
    return collection


def test_thousands_of_rows_are_filtered_and_sorted_in_the_table(bench):
    collection, panel = thousands(), bench.window.browser
    bench.window.deeds.datasets.raise_browser()
    panel.show_collection(collection, ("rock",), bench.document)
    for number in range(5000):
        collection.set_heard(
            number, Heard("blues" if number % 10 == 0 else "rock", (number % 101) / 101, score=float(number))
        )
    panel.show_news(set(range(5000)))
    panel.show_rows()
    table = panel.table
    assert table.rows.rowCount() == 5000
    assert [cell(bench, place, "predicted") for place in (0, 499, 500)] == ["blues", "blues", "rock"]
    panel.set_filter(status=WRONG)
    assert table.rows.rowCount() == 500
    panel.table.horizontalHeader().sectionClicked.emit(COLUMNS.index("score"))
    assert shown(bench)[0] == "4990.wav", "the largest score first"
    panel.table.horizontalHeader().sectionClicked.emit(COLUMNS.index("score"))
    assert shown(bench)[0] == "0.wav"
    panel.filters.text.setText("49")
    bench.until(lambda: table.rows.rowCount() == len([n for n in range(0, 5000, 10) if "49" in str(n)]))
    panel.filters.text.setText("nothing has this")
    bench.until(lambda: table.rows.rowCount() == 0)
    assert table.current_number is None
    assert not panel.review.send_button.isEnabled()


def test_the_chosen_row_stays_chosen_and_in_its_place_when_others_move(bench, qtbot):
    collection, panel = thousands(300), bench.window.browser
    bench.window.deeds.datasets.raise_browser()
    panel.show_collection(collection, ("rock",), bench.document)
    table = panel.table
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(table.rows.index(4, 0)).center())
    assert table.current_number == 4
    height = table.visualRect(table.currentIndex()).top()
    for number in range(100, 200):
        collection.set_heard(number, Heard("blues", 0.9))
    panel.show_news(set(range(100, 200)))
    panel.show_rows()
    assert table.current_number == 4
    assert table.numbers() == [4]
    assert table.rows.place_of(4) == 104
    assert table.visualRect(table.currentIndex()).top() == height


def test_letters_in_the_search_field_are_letters_and_keys_in_the_table_are_its_own(bench, queue, qtbot):
    bench.start()
    collection = opened(bench, queue, REVIEW)
    window, panel = bench.window, bench.window.browser
    window.activateWindow()
    panel.filters.text.setFocus()
    qtbot.keyClicks(panel.filters.text, "ad s")
    assert panel.filters.text.text() == "ad s"
    assert collection.counts().decided == 0
    assert not window.listening.auditioning
    panel.clear_filter()
    panel.filters.text.clear()
    panel.review.remark.setFocus()
    qtbot.keyClicks(panel.review.remark, "rad")
    qtbot.keyClick(panel.review.remark, Qt.Key.Key_Return)
    assert collection.rows[panel.table.current_number].note == "rad"
    assert collection.counts().decided == 0


def test_keys_that_move_through_time_move_through_the_table(bench, labelled, queue, qtbot):
    bench.start()
    bench.load(queue / "noise.wav")
    opened(bench, labelled, LABELLED)
    window, table = bench.window, bench.window.browser.table
    window.activateWindow()
    table.setFocus()
    last = table.rows.rowCount() - 1
    for key, row in (("End", last), ("Home", 0), ("PageDown", last), ("PageUp", 0)):
        qtbot.keyClick(table, getattr(Qt.Key, f"Key_{key}"))
        assert table.currentIndex().row() == row
    assert window.listening.player.position == 0.0


def test_keys_of_the_table_are_named_once_and_its_menu_has_them_all(bench, queue):
    bench.start()
    opened(bench, queue, REVIEW)
    keys = [QKeySequence(key).toString() for deed in BROWSER_DEEDS.values() for key in deed.keys]
    assert len(keys) == len(set(keys))
    assert not set(BROWSER_DEEDS) & set(DEEDS)
    menu = bench.window.browser.menu()
    texts = [action.text() for action in menu.actions() if not action.isSeparator()]
    assert texts == [deed.text for deed in BROWSER_DEEDS.values()]
    menu.deleteLater()


def test_tab_goes_through_the_browser_in_the_order_it_is_read(bench, labelled, qtbot):
    bench.start()
    opened(bench, labelled, LABELLED)
    panel = bench.window.browser
    bench.window.activateWindow()
    panel.filters.text.setFocus()
    seen = []
    for _ in range(14):
        seen.append(QApplication.focusWidget())
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
    expected = [
        panel.filters.text,
        panel.filters.label_filter,
        panel.filters.status_filter,
        panel.filters.order_menu,
        panel.table,
    ]
    places = [seen.index(widget) for widget in (*expected, panel.review.play_button, panel.review.send_button)]
    assert places == sorted(places)


@pytest.mark.parametrize("size", [(1600, 1000), (1280, 720), (1024, 700)])
def test_nothing_of_the_browser_is_cut_off(bench, labelled, size, qtbot):
    bench.start()
    bench.window.resize(*size)
    bench.window.deeds.datasets.raise_browser()
    bench.window.arrange()
    opened(bench, labelled, LABELLED)
    bench.window.deeds.datasets.raise_browser()
    panel: BrowserPanel = bench.window.browser
    panel.set_filter(text="1")
    qtbot.wait(50)
    assert (bench.window.width(), bench.window.height()) == size
    for part in (panel, panel.filters, panel.review, panel.table, panel.pages.currentWidget()):
        hint = part.minimumSizeHint()
        assert part.width() >= hint.width(), part
        assert part.height() >= hint.height(), part
    docks = bench.window.docks
    assert docks["clips"].geometry().right() < docks["browser"].geometry().left()
    assert docks["browser"].geometry().right() < docks["designer"].geometry().left()
    for part in (
        *panel.review.decision_buttons.values(),
        panel.review.remark,
        panel.filters.order_menu,
        panel.head.close_button,
        panel.summary.clear_button,
    ):
        assert part.mapTo(panel, part.rect().bottomRight()).x() < panel.width(), part
    spectrograms = bench.window.docks["spectrograms"]
    assert bench.window.tabifiedDockWidgets(spectrograms) == [docks["browser"], docks["transfer"], docks["checks"]]
    last = COLUMNS.index("decision")
    header = panel.table.horizontalHeader()
    assert header.sectionViewportPosition(last) + header.sectionSize(last) <= panel.table.viewport().width()
    assert header.sectionSize(0) >= 70
