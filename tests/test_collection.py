"""The state behind the dataset browser: filtering, sorting, counting, decisions that outlive the program. Without Qt."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.clip import save_clip
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.labelled import Item
from mirguard.errors import FileError
from mirguard.workbench.collection.collection import LABELLED, REVIEW, Collection
from mirguard.workbench.collection.decision_table import decision_table
from mirguard.workbench.collection.filter import (
    ALL,
    DECIDED,
    FLAGGED,
    RIGHT,
    STATUSES,
    UNDECIDED,
    UNHEARD,
    UNREAD,
    WRONG,
    Filter,
    passes,
)
from mirguard.workbench.collection.label_names import natural, plain
from mirguard.workbench.collection.order import AS_LISTED, FLAGGED_FIRST, MISPREDICTED_FIRST, ORDERS, Order
from mirguard.workbench.collection.row import ACCEPT, ADVERSARIAL, COLUMNS, RELABEL, UNSURE, Heard
from mirguard.workbench.reviews import Record, read_records, review_file, write_records, write_table

LABELS = ("rock", "hip-hop", "jazz")


def made(*labels: str, mode: str = LABELLED, **more) -> Collection:
    """Clips called "clip 0.wav" and so on with these labels, under a model that knows rock, hiphop and blues."""
    items = [
        Item(Path(f"/music/{label or 'x'}/clip {n}.wav"), label, f"artist {n % 2}") for n, label in enumerate(labels)
    ]
    collection = Collection.of(
        "music", "/music", mode, items, root=Path("/music"), labels=LABELS if mode == LABELLED else (), **more
    )
    collection.forget_heard(("rock", "hiphop", "blues"))
    return collection


def heard(label: str, confidence: float = 0.9, score: float | None = None) -> Heard:
    return Heard(label, confidence, ((label, confidence),), score)


# -- right and wrong ---------------------------------------------------------------------------------------------------


def test_labels_are_compared_as_people_would_and_unknown_ones_count_for_nothing():
    collection = made("rock", "hip-hop", "jazz", "rock")
    for number, label in enumerate(("rock", "hiphop", "blues", "blues")):
        collection.set_heard(number, heard(label))
    assert [row.right for row in collection.rows] == [True, True, None, False]
    counts = collection.counts()
    assert (counts.heard, counts.judged, counts.right) == (4, 3, 2)
    assert counts.accuracy == pytest.approx(2 / 3)
    low, high = counts.interval
    assert (low, high) == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson, two of three
    assert plain("Hip_Hop") == plain("hiphop") != plain("trip hop")
    assert plain("♪") == "♪"


def test_nothing_heard_has_no_accuracy():
    counts = made("rock").counts()
    assert counts.accuracy is None
    assert counts.interval is None
    assert counts.waiting == 1


def test_the_confusion_matrix_counts_in_the_models_words_and_its_pairs_filter():
    collection = made("rock", "rock", "hip-hop", "jazz")
    for number, label in enumerate(("rock", "blues", "rock", "rock")):
        collection.set_heard(number, heard(label))
    labels, counts = collection.confusion()
    assert labels == ("rock", "hiphop", "blues")
    assert counts == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert collection.view(Filter(pair=("rock", "blues")), Order()) == [1]
    assert collection.view(Filter(pair=("hiphop", "rock")), Order()) == [2]


def test_a_dataset_the_model_knows_nothing_of_cannot_be_compared():
    collection = made("rock")
    assert collection.comparable
    collection.forget_heard(("brass", "flute"))
    assert not collection.comparable
    assert collection.confusion() == ((), [])


# -- orders and filters ------------------------------------------------------------------------------------------------


def test_mispredicted_come_first_the_surest_of_them_before_the_others():
    collection = made("rock", "rock", "rock", "rock", "jazz", "rock", "rock")
    for number, (label, confidence) in enumerate(
        (("rock", 0.9), ("blues", 0.4), ("rock", 0.3), ("hiphop", 0.8), ("blues", 0.5))
    ):
        collection.set_heard(number, heard(label, confidence))
    collection.set_failed(5, "torn.wav cannot be read.")
    # Wrong by falling confidence, right by rising, no opinion, not heard yet, unreadable.
    assert collection.view(Filter(), Order(MISPREDICTED_FIRST)) == [3, 1, 2, 0, 4, 6, 5]


def test_flagged_come_first_by_score():
    collection = made("", "", "", "", mode=REVIEW)
    for number, score in enumerate((5.0, None, 30.0, 20.0)):
        collection.set_heard(number, heard("rock", 0.5, score))
    collection.set_reference(15.0, (1.0, 2.0, 3.0, 25.0))
    assert collection.view(Filter(), Order(FLAGGED_FIRST)) == [2, 3, 0, 1]
    assert collection.view(Filter(status=FLAGGED), Order()) == [2, 3]
    assert collection.percentile(20.0) == 75.0
    collection.set_reference(25.0, (1.0, 2.0))
    assert collection.view(Filter(status=FLAGGED), Order()) == [2], "another threshold, the same scores"
    collection.set_reference(None, ())
    assert collection.counts().flagged == 0
    assert [collection.flagged(row) for row in collection.rows] == [None] * 4
    assert collection.percentile(20.0) is None


def test_every_status_finds_its_rows():
    collection = made("rock", "rock", "rock", "rock")
    collection.set_heard(0, heard("rock", 0.5, 2.0))
    collection.set_heard(1, heard("blues", 0.5, 0.0))
    collection.set_failed(2, "no")
    collection.set_reference(1.0, (0.0,))
    collection.decisions.decide([1], ACCEPT)
    found = {status: collection.view(Filter(status=status), Order()) for status in STATUSES}
    assert found == {
        ALL: [0, 1, 2, 3],
        WRONG: [1],
        RIGHT: [0],
        FLAGGED: [0],
        UNDECIDED: [0, 2, 3],
        DECIDED: [1],
        UNREAD: [2],
        UNHEARD: [3],
    }


def test_words_must_all_be_there_in_name_group_labels_or_note():
    collection = made("rock", "jazz", "rock")
    collection.decisions.annotate(2, "Strange Hiss")
    assert collection.view(Filter(text="clip 1"), Order()) == [1], "clip and 1, each somewhere"
    assert collection.view(Filter(text="ARTIST rock"), Order()) == [0, 2]
    assert collection.view(Filter(text="hiss"), Order()) == [2]
    collection.set_heard(0, heard("blues"))
    assert collection.view(Filter(text="blues"), Order()) == [0]
    assert collection.view(Filter(text="blues hiss"), Order()) == []


def test_classes_are_the_datas_and_in_a_review_queue_the_models():
    collection = made("rock", "jazz")
    assert collection.classes() == LABELS
    assert collection.view(Filter(label="jazz"), Order()) == [1]
    queue = made("", "", mode=REVIEW)
    queue.set_heard(1, heard("blues"))
    assert queue.classes() == ("blues",)
    assert queue.view(Filter(label="blues"), Order()) == [1]


def test_names_are_sorted_with_their_numbers():
    assert sorted(["clip 10", "clip 2", "Clip 1", "2 clips"], key=natural) == ["2 clips", "Clip 1", "clip 2", "clip 10"]
    collection = made(*["rock"] * 11)
    assert collection.view(Filter(), Order("name")) == list(range(11))
    assert collection.view(Filter(), Order("name", True)) == list(range(10, -1, -1))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(LABELS),
            st.sampled_from(("rock", "hiphop", "blues", None)),
            st.floats(0, 1),
            st.one_of(st.none(), st.floats(-50, 50)),
            st.sampled_from(("", ACCEPT, UNSURE)),
        ),
        max_size=30,
    ),
    st.sampled_from((*ORDERS, *COLUMNS)),
    st.booleans(),
    st.sampled_from(STATUSES),
)
def test_every_order_shows_every_row_that_passes_once_and_rows_with_nothing_last(rows, by, descending, status):
    collection = made(*(row[0] for row in rows))
    for number, (_, label, confidence, score, decision) in enumerate(rows):
        if label is not None:
            collection.set_heard(number, heard(label, confidence, score))
        if decision:
            collection.decisions.decide([number], decision)
    collection.set_reference(0.0, (0.0,))
    view = collection.view(Filter(status=status), Order(by, descending))
    passing = {row.number for row in collection.rows if passes(row, Filter(status=status), collection)}
    assert set(view) == passing
    assert len(view) == len(passing)
    if by == "confidence":
        values = [collection.rows[number].heard for number in view]
        known = [value.confidence for value in values if value]
        assert known == sorted(known, reverse=descending)
        assert values[len(known) :] == [None] * (len(values) - len(known))


# -- decisions ---------------------------------------------------------------------------------------------------------


def test_accepting_takes_the_true_label_and_in_a_review_queue_the_heard_one():
    collection = made("rock")
    collection.set_heard(0, heard("blues", 0.7, 3.0))
    collection.decisions.decide([0], ACCEPT, model="toy")
    record = collection.rows[0].record
    assert (record.label, record.heard, record.confidence, record.score, record.model) == (
        "rock",
        "blues",
        0.7,
        3.0,
        "toy",
    )
    queue = made("", "", mode=REVIEW)
    queue.set_heard(0, heard("blues"))
    queue.decisions.decide([0, 1], ACCEPT)
    assert [row.record.label for row in queue.rows] == ["blues", ""]
    queue.decisions.decide([0], ADVERSARIAL)
    assert queue.rows[0].record.label == ""
    queue.decisions.decide([0], RELABEL, "jazz")
    assert queue.rows[0].record.label == "jazz"


@pytest.mark.parametrize(("decision", "label"), [("maybe", ""), (RELABEL, ""), (ACCEPT, "jazz")])
def test_a_decision_that_is_none_is_refused(decision, label):
    with pytest.raises(ValueError):
        made("rock").decisions.decide([0], decision, label)


def test_taking_a_decision_back_leaves_the_note():
    collection = made("rock", "rock")
    collection.decisions.annotate(0, "hiss")
    collection.decisions.decide([0, 1], UNSURE)
    collection.decisions.undecide([0, 1])
    assert collection.rows[0].note == "hiss"
    assert collection.rows[1].record is None
    assert [record.decision for record in collection.decisions.records()] == [""]
    collection.decisions.annotate(0, "")
    assert collection.decisions.records() == ()


def test_the_next_undecided_row_lies_below_and_then_above():
    collection = made(*["rock"] * 4)
    collection.decisions.decide([2], ACCEPT)
    view = [3, 2, 1, 0]
    assert collection.next_undecided(view, 3) == 1
    assert collection.next_undecided(view, 0) == 3
    collection.decisions.decide([0, 1], ACCEPT)
    assert collection.next_undecided(view, 3) == 3
    collection.decisions.decide([3], ACCEPT)
    assert collection.next_undecided(view, 3) is None


def test_another_model_forgets_what_was_heard_and_keeps_what_was_decided():
    collection = made("rock", "rock")
    collection.set_heard(0, heard("rock"))
    collection.set_failed(1, "no")
    collection.decisions.decide([0], ACCEPT)
    collection.forget_heard(("rock",))
    assert collection.counts() == replace(collection.counts(), heard=0, failed=0, judged=0, decided=1)


# -- keeping them ------------------------------------------------------------------------------------------------------


def reopened(collection: Collection, sizes: list[tuple[int, int]], **moved: str) -> Collection:
    """The same collection as another start of the program finds it: files with these sizes and times."""
    items = [replace(row.item, path=Path(moved.get(f"clip{row.number}", row.item.path))) for row in collection.rows]
    path = review_file(collection.source)
    write_records(path, collection.source, collection.decisions.records())
    again = Collection.of(
        "music", "/music", LABELLED, items, root=Path("/music"), stats=sizes, labels=LABELS, records=read_records(path)
    )
    again.forget_heard(("rock", "hiphop", "blues"))
    return again


def test_decisions_are_found_again_by_file_and_by_sound(own_data):
    collection = made("rock", "rock", "rock", "rock", stats=[(10, 1), (20, 2), (30, 3), (40, 4)])
    for number in range(4):
        collection.set_heard(number, heard("rock"), sound=f"sound {number}")
    collection.decisions.decide([0, 1, 2, 3], UNSURE)
    collection.decisions.annotate(1, "hiss")
    # 0 is as it was, 1 was touched, 2 was renamed, 3 was replaced by another sound.
    again = reopened(collection, [(10, 1), (20, 99), (30, 3), (41, 5)], clip2="/music/rock/new name.wav")
    assert [row.decision for row in again.rows] == [UNSURE, "", "", ""]
    for number, sound in enumerate(("sound 0", "sound 1", "sound 2", "another sound")):
        again.set_heard(number, heard("rock"), sound=sound)
    assert [row.decision for row in again.rows] == [UNSURE, UNSURE, UNSURE, ""]
    assert again.rows[1].note == "hiss"
    assert again.rows[2].record.place == "rock/new name.wav"
    assert len(again.decisions.records()) == 4, "what was decided on the replaced file is not thrown away"
    once_more = reopened(again, [(10, 1), (20, 99), (30, 3), (41, 5)])
    assert [row.decision for row in once_more.rows] == [UNSURE, UNSURE, UNSURE, ""]
    once_more.decisions.decide([3], ACCEPT)
    assert len(once_more.decisions.records()) == 4, "a new decision on that file takes its place"


def test_decisions_of_files_that_are_gone_for_now_are_kept(own_data):
    collection = made("rock", "rock", stats=[(1, 1), (2, 2)])
    collection.decisions.decide([0, 1], ACCEPT)
    write_records(review_file("/music"), "/music", collection.decisions.records())
    fewer = Collection.of(
        "music",
        "/music",
        LABELLED,
        [collection.rows[0].item],
        root=Path("/music"),
        stats=[(1, 1)],
        records=read_records(review_file("/music")),
    )
    fewer.decisions.decide([0], UNSURE)
    assert {(record.place, record.decision) for record in fewer.decisions.records()} == {
        ("rock/clip 0.wav", UNSURE),
        ("rock/clip 1.wav", ACCEPT),
    }


def test_parts_of_one_file_have_decisions_of_their_own(own_data):
    items = [Item(Path("/music/a.wav"), "rock", "", "", start, 3.0) for start in (0.0, 3.0)]
    collection = Collection.of("music", "/music", LABELLED, items, root=Path("/music"), stats=[(1, 1)] * 2)
    collection.decisions.decide([1], UNSURE)
    assert [row.name for row in collection.rows] == ["a.wav [0–3 s]", "a.wav [3–6 s]"]
    write_records(review_file("/music"), "/music", collection.decisions.records())
    again = Collection.of(
        "music",
        "/music",
        LABELLED,
        items,
        root=Path("/music"),
        stats=[(1, 1)] * 2,
        records=read_records(review_file("/music")),
    )
    assert [row.decision for row in again.rows] == ["", UNSURE]


def test_strange_names_survive(own_data, tmp_path):
    path = review_file("/music/caf\udce9")
    write_records(path, "/music/caf\udce9", [Record("caf\udce9/ü \"'\n.wav", note="±1 δ", decision=UNSURE)])
    (record,) = read_records(path)
    assert record.place == "caf\udce9/ü \"'\n.wav"
    assert record.note == "±1 δ"


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version": 1, "records": [{"place": 7}]}',
        b'{"version": 1, "records": [{}]}',
        b'{"version": 1, "records": [{"place": "a", "score": "high"}]}',
        b'{"version": "new", "records": []}',
        b"\xff\xfe\x00",
        b'{"version": 99, "records": []}',
    ],
)
def test_decisions_that_cannot_be_understood_are_set_aside_and_not_written_over(own_data, content):
    path = review_file("/music")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(FileError, match="newer" if b"99" in content else "damaged"):
        read_records(path)
    (aside,) = path.parent.iterdir()
    assert aside.read_bytes() == content
    assert read_records(path) == ()


def test_decisions_are_written_whole_or_not_at_all(own_data, monkeypatch):
    path = review_file("/music")
    write_records(path, "/music", [Record("a", decision=ACCEPT)])

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mirguard.files.os.fsync", full)
    with pytest.raises(FileError, match="No space left"):
        write_records(path, "/music", [Record("a", decision=UNSURE)])
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert json.loads(path.read_text())["records"][0]["decision"] == ACCEPT


def test_the_users_sounds_folder_stays_as_it_was(own_data, tmp_path):
    assert review_file(str(tmp_path)).is_relative_to(own_data)


# -- export ------------------------------------------------------------------------------------------------------------


def test_exported_decisions_can_be_trained_on(own_data, tmp_path, tone):
    folder = tmp_path / "queue"
    folder.mkdir()
    items = [Item(save_clip(tone(seconds=0.1), folder / f"{name}.wav"), "", "") for name in ("a", 'b "b", c', "d", "e")]
    queue = Collection.of("queue", str(folder), REVIEW, items, root=folder)
    queue.forget_heard(("rock", "blues"))
    for number in range(4):
        queue.set_heard(number, heard("blues", 0.6, 2.0), sound=f"{number}")
    queue.set_reference(1.0, (0.0,))
    queue.decisions.decide([0], ACCEPT, model="toy")
    queue.decisions.decide([1], RELABEL, "rock")
    queue.decisions.decide([2], ADVERSARIAL)
    queue.decisions.annotate(3, "later")
    table = folder / "decisions.csv"
    write_table(table, decision_table(queue.rows, folder))
    rows = list(csv.DictReader(io.StringIO(table.read_bytes().decode(), newline="")))
    assert [row["file"] for row in rows] == ["a.wav", 'b "b", c.wav', "d.wav", "e.wav"]
    assert [row["decision"] for row in rows] == [ACCEPT, RELABEL, ADVERSARIAL, ""]
    assert rows[0]["flagged"] == "yes"
    assert rows[3]["note"] == "later"
    back = labelled_folder(table)
    assert [(item.name, item.label) for item in back.items] == [("a.wav", "blues"), ('b "b", c.wav', "rock")]
    elsewhere = tmp_path / "out"
    assert [row["file"] for row in decision_table(queue.rows, elsewhere)] == [str(item.path) for item in items]


def test_counts_of_thousands_agree_with_a_plain_count():
    collection = made(*[LABELS[n % 2] for n in range(5000)])
    names = ("rock", "hiphop", "blues")
    for number in range(0, 5000, 2):
        collection.set_heard(number, heard(names[number % 3], (number % 97) / 97, number % 11 - 5.0))
    collection.set_reference(3.0, (0.0, 1.0))
    view = collection.view(Filter(status=WRONG), Order(MISPREDICTED_FIRST))
    expected = [n for n in range(0, 5000, 2) if names[n % 3] != "rock"]
    assert sorted(view) == expected
    confidences = [collection.rows[number].heard.confidence for number in view]
    assert confidences == sorted(confidences, reverse=True)
    counts = collection.counts()
    assert (counts.heard, counts.waiting) == (2500, 2500)
    assert counts.flagged == sum(n % 11 - 5.0 > 3.0 for n in range(0, 5000, 2))
    assert counts.right == 2500 - len(expected)
    assert collection.view(Filter(), Order(AS_LISTED)) == list(range(5000))
