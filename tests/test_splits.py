"""Parts for training, validation and test: no group straddles, every class is there, and the order of items is nothing."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.datasets.labelled import SPLITS, Item, LabelledSet
from mirguard.datasets.splits import split, straddling_groups
from mirguard.errors import UsageError


def made(rows, grouped_by="track", **more) -> LabelledSet:
    """A set of (label, group[, split]) rows."""
    items = tuple(Item(Path(f"{n}.wav"), row[0], *row[1:]) for n, row in enumerate(rows))
    return LabelledSet("made", "nowhere", tuple(sorted({row[0] for row in rows})), items, grouped_by, **more)


def regular(classes: int, groups: int, each: int) -> LabelledSet:
    """Classes with the same number of groups of the same number of items."""
    return made([(f"c{c}", f"c{c} g{g}") for c in range(classes) for g in range(groups) for _ in range(each)])


# Groups that belong to one class each, like tracks; and groups that may hold several, like artists.
tracks = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 12)), min_size=1, max_size=30).map(
    lambda groups: made([(f"c{c}", f"g{n}") for n, (c, size) in enumerate(groups) for _ in range(size)])
)
artists = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 12)), min_size=1, max_size=80).map(
    lambda rows: made([(f"c{c}", f"g{g}") for c, g in rows], "artist")
)
fractions = st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.35]), st.sampled_from([0.0, 0.1, 0.25]))
seeds = st.integers(0, 2**40)


# -- What always holds -------------------------------------------------------------------------------------------------


@given(st.one_of(tracks, artists), fractions, seeds)
def test_no_group_straddles_and_nothing_is_lost(dataset, parts, seed):
    done = split(dataset, seed=seed, test=parts[0], validation=parts[1])
    assert done.is_split
    assert [replace(item, split="") for item in done.items] == list(dataset.items)
    where = defaultdict(set)
    for item in done.items:
        where[item.group].add(item.split)
    assert all(len(found) == 1 for found in where.values())
    assert not straddling_groups(done)
    if not parts[0]:
        assert not done.of("test")
    if not parts[1]:
        assert not done.of("validation")


@given(st.one_of(tracks, artists), seeds)
def test_every_class_is_in_training(dataset, seed):
    counts = split(dataset, seed=seed).counts()
    assert all(counts[label]["train"] for label in dataset.labels)


@given(tracks, seeds)
def test_every_class_of_two_groups_is_in_the_test_part(dataset, seed):
    done = split(dataset, seed=seed)
    for label, found in done.counts().items():
        groups = {item.group for item in dataset.items if item.label == label}
        assert (found["test"] > 0) == (len(groups) >= 2)


@given(st.one_of(tracks, artists), seeds, st.randoms(use_true_random=False))
def test_the_order_of_items_changes_nothing(dataset, seed, random):
    items = list(dataset.items)
    random.shuffle(items)
    shuffled = replace(dataset, items=tuple(items), labels=tuple(reversed(dataset.labels)))
    parts = {item.path: item.split for item in split(dataset, seed=seed).items}
    assert {item.path: item.split for item in split(shuffled, seed=seed).items} == parts


@given(artists, seeds, seeds)
def test_what_is_split_stays_split(dataset, seed, other):
    done = split(dataset, seed=seed)
    assert split(done, seed=other).items == done.items


# -- How near the wanted fractions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("classes", "groups", "each"), [(10, 10, 1), (3, 40, 3), (2, 1000, 1), (10, 20, 7)])
def test_equal_groups_are_divided_as_asked(classes, groups, each, seed):
    done = split(regular(classes, groups, each), seed=seed, test=0.2, validation=0.1)
    for found in done.counts().values():
        assert found["test"] == 0.2 * groups * each
        assert found["validation"] == 0.1 * groups * each
    assert not done.warnings


def test_unequal_groups_come_near():
    dataset = made([(f"c{g % 4}", f"g{g}") for g in range(120) for _ in range(1 + g % 9)])
    done = split(dataset, seed=5)
    for found in done.counts().values():
        total = sum(found.values())
        assert found["test"] / total == pytest.approx(0.2, abs=0.03)
        assert found["validation"] / total == pytest.approx(0.1, abs=0.03)


def test_artists_of_several_genres_come_near():
    dataset = made([(f"c{(a + k * a) % 5}", f"artist {a}") for a in range(100) for k in range(1 + a % 4)], "artist")
    for found in split(dataset, seed=2).counts().values():
        assert found["test"] / sum(found.values()) == pytest.approx(0.2, abs=0.05)


def test_another_seed_chooses_other_clips():
    dataset = regular(4, 20, 1)
    tests = {frozenset(item.path for item in split(dataset, seed=seed).of("test")) for seed in range(5)}
    assert len(tests) == 5


def test_every_group_may_come_to_the_test_part():
    """Large groups too: a rule that puts the largest first would never test on them."""
    dataset = made([("a", f"g{g}") for g in range(8) for _ in range(1 + 2 * g)])
    tested = set()
    for seed in range(60):
        tested |= {item.group for item in split(dataset, seed=seed, validation=0.0, test=0.4).of("test")}
    assert tested == dataset.groups()


# -- Splits that are given ---------------------------------------------------------------------------------------------


def test_a_given_split_is_kept_and_the_rest_of_a_group_follows_it():
    rows = [("a", "g0", "test"), ("a", "g0"), ("a", "g1", "train"), ("b", "g2", "validation"), ("b", "g3", "train")]
    done = split(made(rows), seed=3)
    assert [item.split for item in done.items] == ["test", "test", "train", "validation", "train"]


def test_a_given_test_part_gets_nothing_more_but_validation_is_made():
    rows = [("a", f"g{n}") for n in range(80)] + [("a", f"h{n}", "test") for n in range(5)]
    counts = split(made(rows), seed=3, test=0.2, validation=0.1).counts()["a"]
    assert counts == {"": 0, "train": 70, "validation": 10, "test": 5}


def test_given_training_clips_count_towards_its_share():
    rows = [("a", f"g{n}") for n in range(50)] + [("a", f"h{n}", "train") for n in range(50)]
    done = split(made(rows), seed=3, test=0.2, validation=0.1)
    assert done.counts()["a"] == {"": 0, "train": 70, "validation": 10, "test": 20}
    assert {item.split for item in done.items[50:]} == {"train"}


def test_a_given_split_without_a_validation_part_is_left_as_it_is():
    rows = [("a", "g0", "test"), ("a", "g1", "train"), ("b", "g2", "test"), ("b", "g3", "train")]
    done = split(made(rows))
    assert done.items == made(rows).items and not done.warnings


def test_a_given_split_that_tears_a_group_apart_is_kept_and_named():
    dataset = made([("a", "Nina", "train"), ("a", "Nina", "test"), ("a", "Nina"), ("a", "Bessie", "train")], "artist")
    done = split(dataset)
    assert straddling_groups(done) == {"Nina": ("train", "test")}
    assert [item.split for item in done.items] == ["train", "test", "train", "train"]
    assert any("one artist in more than one part (Nina)" in word for word in done.warnings)


def test_without_splits_forgets_them():
    dataset = split(regular(2, 10, 1), seed=1)
    assert {item.split for item in dataset.without_splits().items} == {""}
    assert split(dataset.without_splits(), seed=1) == dataset


# -- Sentences ---------------------------------------------------------------------------------------------------------


def test_a_class_of_one_group_is_trained_on_and_named():
    done = split(made([("a", f"g{n}") for n in range(10)] + [("b", "only")] * 5))
    assert done.counts()["b"] == {"": 0, "train": 5, "validation": 0, "test": 0}
    assert any("All clips of b belong to one track each" in word for word in done.warnings)


def test_a_part_far_from_what_was_asked_for_is_named():
    done = split(made([("a", "large")] * 30 + [("a", "small")] * 30))
    assert any("The test part holds 50% of the clips in place of 20%" in word for word in done.warnings)


def test_warnings_from_before_stay_and_come_once():
    dataset = made([("a", "only")] * 3, warnings=("From before.",))
    done = split(dataset)
    assert done.warnings[0] == "From before." and len(done.warnings) > 1
    assert split(done).warnings == tuple(dict.fromkeys(split(done).warnings))


@pytest.mark.parametrize("parts", [(1.0, 0.0), (0.6, 0.4), (-0.1, 0.1), (0.1, float("nan"))])
def test_fractions_that_make_no_sense_are_refused(parts):
    with pytest.raises(UsageError, match="fractions"):
        split(regular(2, 5, 1), test=parts[0], validation=parts[1])


def test_nothing_to_split_is_refused():
    with pytest.raises(UsageError, match="no sounds"):
        split(LabelledSet("empty", "nowhere", (), ()))


def test_a_set_knows_its_parts():
    dataset = split(regular(2, 10, 2))
    assert sum(len(dataset.of(part)) for part in SPLITS) == len(dataset.items) == 40
    assert dataset.groups("test") < dataset.groups() and not dataset.groups("test") & dataset.groups("train")


def test_items_that_do_not_fit_the_set_are_refused():
    item = Item(Path("x.wav"), "a", "g")
    with pytest.raises(UsageError, match="none of"):
        LabelledSet("s", "nowhere", ("b",), (item,))
    with pytest.raises(UsageError, match="split 'training'"):
        LabelledSet("s", "nowhere", ("a",), (replace(item, split="training"),))
    with pytest.raises(UsageError, match="not all different"):
        LabelledSet("s", "nowhere", ("a", "a"), (item,))
