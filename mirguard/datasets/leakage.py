"""Does a test part hold what a model has trained on? Repeated recordings, groups and artists in more than one part.

Repetitions are why results on GTZAN were too good for a decade (Sturm 2014); this is sanity check SC-18, and what it finds are
warnings: whether two clips are the same music is for a person to decide.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from mirguard.clip import load_clip, peak
from mirguard.datasets.fingerprint import Fingerprint, fingerprint, matches
from mirguard.datasets.labelled import SPLITS, Cancel, Item, LabelledSet, Progress, cut, pause, some
from mirguard.datasets.splits import straddling_groups
from mirguard.errors import FileError
from mirguard.words import counted

_LISTENING = 0.9  # of the whole work, the rest being comparisons


@dataclass(frozen=True)
class Duplicate:
    """Two items that are the same recording: sample for sample (`exact`), or in other words, level, rate or coding.

    `offset`: the second begins so many seconds after the first in the recording; `similarity` is 1 for equal.
    """

    first: Item
    second: Item
    exact: bool
    offset: float = 0.0
    similarity: float = 1.0

    @property
    def relabelled(self) -> bool:
        """Whether the two have different labels, so that one of them is wrong."""
        return self.first.label != self.second.label

    @property
    def straddles(self) -> bool:
        """Whether the two lie in different parts."""
        return bool(self.first.split and self.second.split and self.first.split != self.second.split)

    @property
    def regrouped(self) -> bool:
        """Whether the two are in different groups, so that a split may put them into different parts."""
        return self.first.group != self.second.group


@dataclass(frozen=True)
class Leakage:
    """What was found among `checked` items.

    `straddling` and `artists` name the groups and artists that lie in more than one part, and in which; `unreadable` has
    a sentence for each item that could not be heard, `silent` the items that hold nothing but silence.
    """

    checked: int
    duplicates: tuple[Duplicate, ...]
    straddling: dict[str, tuple[str, ...]]
    artists: dict[str, tuple[str, ...]]
    unreadable: tuple[str, ...]
    silent: tuple[Item, ...]

    @property
    def leaks(self) -> bool:
        """Whether test figures on this split may be too good."""
        return bool(self.straddling or self.artists or any(pair.straddles for pair in self.duplicates))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What a person should know, the worst first; one sentence where all is well."""
        found = list(self._of_duplicates())
        if self.straddling:
            groups = some(f"{group} in {' and '.join(parts)}" for group, parts in self.straddling.items())
            found.append(f"{counted(len(self.straddling), 'group')} in more than one part: {groups}.")
        if self.artists:
            artists = some(f"{artist} in {' and '.join(parts)}" for artist, parts in self.artists.items())
            found.append(f"{counted(len(self.artists), 'artist')} in more than one part: {artists}; group by artist.")
        if self.silent:
            found.append(f"Nothing but silence is in {counted(len(self.silent), 'clip')} ({_names(self.silent)}).")
        if self.unreadable:
            found.append(f"{counted(len(self.unreadable), 'clip')} could not be read: {self.unreadable[0]}")
        return tuple(found) or (
            f"No recording comes twice among {counted(self.checked, 'clip')}, and none leaks from one part into another.",
        )

    def _of_duplicates(self) -> Iterator[str]:
        torn = [pair for pair in self.duplicates if pair.straddles]
        if torn:
            yield (
                f"{_pairs(torn)} in different parts, so test figures are too good: "
                f"{_shown(torn, lambda item: item.split)}."
            )
        wrong = [pair for pair in self.duplicates if pair.relabelled]
        if wrong:
            yield (
                f"{_pairs(wrong)} with different labels, so one of each is wrong: "
                f"{_shown(wrong, lambda item: item.label)}."
            )
        apart = [pair for pair in self.duplicates if pair.regrouped and not pair.straddles]
        if apart:
            yield f"{_pairs(apart)} in different groups, which a split may tear apart: {_shown(apart)}."
        plain = [pair for pair in self.duplicates if not (pair.straddles or pair.relabelled or pair.regrouped)]
        if plain:
            yield f"{_pairs(plain)} within one group: {_shown(plain)}."


def check_leakage(
    dataset: LabelledSet, progress: Progress | None = None, cancel: Cancel | None = None, *, workers: int = 0
) -> Leakage:
    """Listen to every item once, a few at a time, and compare all with all.

    Equal sounds are found whatever their format; the same recording at another level or rate, coded, or in excerpts that
    overlap by a second or more, by `fingerprint`. Another speed or pitch, or another performance, is not found. `workers`
    threads listen (0: one a core, at most four). Items that cannot be read are named and the rest goes on; raises Cancelled.
    """
    heard = _Heard(dataset)
    for number, (path, sounds) in enumerate(_listen(heard.files, workers or min(4, os.cpu_count() or 1), cancel)):
        heard.take(path, sounds)
        if progress:
            progress(f"Listening to {path.name}", _LISTENING * (number + 1) / len(heard.files))
    duplicates = list(heard.equal())
    prints = [heard.prints[number] for number in heard.different]
    for fraction, found in matches(prints, cancel):
        for match in found:
            first, second = heard.different[match.first], heard.different[match.second]
            items = dataset.items
            duplicates.append(Duplicate(items[first], items[second], False, match.offset, match.similarity))
        if progress:
            progress("Comparing all with all", _LISTENING + (1 - _LISTENING) * fraction)
    duplicates.sort(key=lambda pair: (not pair.straddles, not pair.relabelled, -pair.similarity, pair.first.path))
    return Leakage(
        len(heard.prints),
        tuple(duplicates),
        straddling_groups(dataset),
        _straddling_artists(dataset),
        tuple(heard.unreadable),
        tuple(dataset.items[number] for number in heard.silent),
    )


def join_duplicates(dataset: LabelledSet, leakage: Leakage) -> LabelledSet:
    """The dataset with the groups that share a recording made one, for a split that keeps it together.

    Splits that are there stay as they are: join before splitting, or split `without_splits()` anew.
    """
    leader: dict[str, str] = {group: group for group in dataset.groups()}

    def find(group: str) -> str:
        while leader[group] != group:
            leader[group] = leader[leader[group]]
            group = leader[group]
        return group

    group_of = {_key(item): item.group for item in dataset.items}
    joined = set()
    for pair in leakage.duplicates:
        ends = [group_of.get(_key(item)) for item in (pair.first, pair.second)]
        if None in ends:
            continue
        first, second = sorted(find(group) for group in ends)
        if first != second:
            leader[second] = first
            joined |= {first, second}
    if not joined:
        return dataset
    into = {find(group) for group in joined}
    word = f"{len(joined)} groups share recordings and were joined into {len(into)}."
    items = tuple(replace(item, group=find(item.group)) for item in dataset.items)
    return replace(dataset, items=items, warnings=(*dataset.warnings, word))


# -- Listening ---------------------------------------------------------------------------------------------------------

# What is known of one item after listening: its number and the hash of its sound (None: silence), with its fingerprint;
# or a sentence why it could not be heard.
_Sound = tuple[int, str | None, Fingerprint | None, str]


class _Heard:
    """What listening gave, by the numbers of the items; files with several items are read once."""

    def __init__(self, dataset: LabelledSet) -> None:
        self.items = dataset.items
        by_file = defaultdict(list)
        for number, item in enumerate(dataset.items):
            by_file[item.path].append((number, item))
        self.files = list(by_file.items())
        self.prints: dict[int, Fingerprint] = {}
        self.silent: list[int] = []
        self.unreadable: list[str] = []
        self._same: dict[str, list[int]] = defaultdict(list)

    def take(self, path: Path, sounds: list[_Sound]) -> None:
        for number, digest, found, why in sounds:
            if found is None:
                self.unreadable.append(why)
                continue
            self.prints[number] = found
            if digest is None:
                self.silent.append(number)
            else:
                self._same[digest].append(number)

    @property
    def different(self) -> list[int]:
        """One item of each sound."""
        return sorted(numbers[0] for numbers in self._same.values())

    def equal(self) -> Iterator[Duplicate]:
        for numbers in self._same.values():
            for other in numbers[1:]:
                yield Duplicate(self.items[numbers[0]], self.items[other], True)


def _listen(
    files: list[tuple[Path, list[tuple[int, Item]]]], workers: int, cancel: Cancel | None
) -> Iterator[tuple[Path, list[_Sound]]]:
    """Files in their order, a few of them being read at the same time, none kept longer than needed."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="leakage")
    waiting: list[tuple[Path, Future]] = []
    todo = iter(files)
    try:
        while True:
            while len(waiting) < 2 * workers:
                following = next(todo, None)
                if following is None:
                    break
                waiting.append((following[0], pool.submit(_hear, *following)))
            if not waiting:
                return
            path, job = waiting.pop(0)
            while not job.done():
                pause(cancel)
                wait([job], timeout=0.1, return_when=FIRST_COMPLETED)
            pause(cancel)
            yield path, job.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _hear(path: Path, items: list[tuple[int, Item]]) -> list[_Sound]:
    try:
        whole = load_clip(path)
    except FileError as error:
        return [(number, None, None, str(error)) for number, _ in items]
    found: list[_Sound] = []
    for number, item in items:
        try:
            clip = cut(whole, item)
        except FileError as error:
            found.append((number, None, None, str(error)))
            continue
        digest = clip.hash if peak(clip.samples) > 0 else None
        found.append((number, digest, fingerprint(clip.mono(), clip.sample_rate), ""))
    return found


def _straddling_artists(dataset: LabelledSet) -> dict[str, tuple[str, ...]]:
    """Artists in more than one part; those that are groups themselves are reported as such."""
    parts, names, groups = defaultdict(set), {}, defaultdict(set)
    for item in dataset.items:
        if item.artist and item.split:
            key = item.artist.casefold()
            names.setdefault(key, item.artist)
            parts[key].add(item.split)
            groups[key].add(item.group)
    return {
        names[key]: tuple(split for split in SPLITS if split in found)
        for key, found in sorted(parts.items())
        if len(found) > 1 and len(groups[key]) > 1
    }


# -- Words -------------------------------------------------------------------------------------------------------------


def _key(item: Item) -> tuple:
    return item.path, item.start, item.seconds


def _pairs(pairs: list[Duplicate]) -> str:
    return f"{counted(len(pairs), 'pair')} of clips {'is' if len(pairs) == 1 else 'are'} the same recording"


def _shown(pairs: list[Duplicate], what: Callable[[Item], str] | None = None) -> str:
    def named(item: Item, other: Item) -> str:
        name = item.name if item.name != other.name else f"{item.path.parent.name}/{item.name}"
        if item.start is not None:
            name = f"{name} from {item.start:g} s"
        return f"{name} ({what(item)})" if what else name

    return some((f"{named(p.first, p.second)} and {named(p.second, p.first)}" for p in pairs), 2)


def _names(items: Iterable[Item]) -> str:
    return some(item.name for item in items)
