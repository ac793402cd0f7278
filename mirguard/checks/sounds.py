"""The sounds that a model is checked on: a person's own, fresh toy clips for models that know them, or the demonstration clip."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mirguard.clip import Clip, load_clip
from mirguard.datasets import synthesis
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.labelled import LabelledSet, load_item
from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track, heard_as
from mirguard.resources import demo_clip
from mirguard.sound_files import unlabelled_folder

LONGEST = 30.0  # seconds of a sound that are kept, from its middle
MOST_TRIED = 3  # windows are listened to for each one that is wanted
TOY_SEED = 500_009  # no bundled model was trained, chosen or judged on clips of such seeds

# A folder, a labelled set, clips, clips with their true labels, or None for what is at hand.
Source = str | Path | LabelledSet | Sequence[Clip] | Sequence[tuple[Clip, str]] | None
Candidate = tuple[Clip, str | None]


@dataclass(frozen=True)
class Sounds:
    """What is attacked: windows `x (n, window)` that the model hears rightly, and their classes `labels (n,)`.

    `clips` are all that were listened to, of at most 30 s, with their true labels `truths` (None where nobody has said: then what
    the model hears counts as right) and the `hashes` of the whole sounds; `places` are the clip and the window of each row.
    `wrong` windows were left out because the model does not hear the true label in them, `skipped` has a sentence for each file
    that cannot be used."""

    x: torch.Tensor
    labels: torch.Tensor
    clips: tuple[Clip, ...]
    truths: tuple[str | None, ...]
    places: tuple[tuple[int, int], ...]
    wrong: tuple[tuple[int, int], ...]
    source: str
    hashes: tuple[str, ...] = ()
    dataset: LabelledSet | None = None
    skipped: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether somebody has said what is right."""
        return any(truth is not None for truth in self.truths)


def gather(model: Classifier, source: Source, count: int, seed: int, rest: Callable[[], None] | None = None) -> Sounds:
    """At most `count` windows that `model` hears rightly, as few of each clip as will do; UsageError where there are none."""
    if count < 1:
        raise UsageError(f"A check needs at least one window; got {count}.")
    skipped: list[str] = []
    candidates, described, dataset = _candidates(model, source, seed, skipped)
    clips: list[Clip] = []
    truths: list[str | None] = []
    hashes: list[str] = []
    tracks: list[Track] = []
    rows: list[torch.Tensor] = []
    classes: list[int] = []
    places: list[tuple[int, int]] = []
    wrong: list[tuple[int, int]] = []

    def windows() -> Iterator[tuple[int, int]]:
        """The first window of each clip, then the second of each, as far as they are needed."""
        for clip, truth in candidates:
            clips.append(_middle(clip))
            hashes.append(clip.hash)
            truths.append(truth)
            tracks.append(Track(clips[-1], model))
            yield len(clips) - 1, 0
        for turn in range(1, max((track.windows for track in tracks), default=0)):
            yield from ((number, turn) for number, track in enumerate(tracks) if turn < track.windows)

    tried = itertools.islice(windows(), MOST_TRIED * count)
    while len(rows) < count and (some := list(itertools.islice(tried, min(model.micro_batch, count - len(rows))))):
        heard = torch.cat([tracks[number].piece(turn, turn + 1).cpu() for number, turn in some]).clamp(-1.0, 1.0)
        for place, row, said in zip(some, heard, heard_as(model, heard, rest).tolist(), strict=True):
            truth = truths[place[0]]
            if not bool(row.any()):
                continue
            if truth is None or model.labels[said] == truth:
                rows.append(row)
                classes.append(said)
                places.append(place)
            else:
                wrong.append(place)
    if not rows and not wrong:
        raise UsageError(f"There is no sound to check {model.name} with: {skipped[0] if skipped else described}")
    if not rows:
        raise UsageError(
            f"{model.name} is right in none of {len(wrong)} windows, so there is nothing to attack; give sounds that it knows "
            "(--clips)."
        )
    return Sounds(
        torch.stack(rows),
        torch.tensor(classes),
        tuple(clips),
        tuple(truths),
        tuple(places),
        tuple(wrong),
        described,
        tuple(hashes),
        dataset,
        tuple(skipped),
    )


def _candidates(
    model: Classifier, source: Source, seed: int, skipped: list[str]
) -> tuple[Iterator[Candidate], str, LabelledSet | None]:
    """The clips in their order, in words where they come from, and the labelled set they are of."""
    if source is None and set(model.labels) == set(synthesis.LABELS):
        return _toys(model.sample_rate, seed), "fresh toy clips, synthesised from a seed", None
    if source is None:
        return iter([(load_clip(demo_clip()), None)]), "the demonstration clip", None
    if isinstance(source, LabelledSet):
        return _items(source, model, seed, skipped), source.name, source
    if not isinstance(source, str | os.PathLike):
        pairs = [one if isinstance(one, tuple) else (one, None) for one in source]
        for _clip, truth in pairs:
            if truth is not None:
                model.index(truth)
        return iter(pairs), "clips that were given", None
    dataset = _labelled(Path(source).expanduser(), model)
    if dataset is not None:
        return _items(dataset, model, seed, skipped), str(source), dataset
    files = list(unlabelled_folder(source))
    if not files:
        raise FileError(f"{source} holds no WAV, FLAC, OGG, MP3 or AIFF file that can be read.")
    random.Random(seed).shuffle(files)
    return _loaded(((file, None) for file in files), load_clip, skipped), str(source), None


def _toys(rate: int, seed: int) -> Iterator[Candidate]:
    for number in itertools.count():
        found = synthesis.example(number, TOY_SEED + seed, "test", rate)
        yield Clip(found.samples[None], rate, provenance={"name": f"toy {number} ({found.label})"}), found.label


def _items(dataset: LabelledSet, model: Classifier, seed: int, skipped: list[str]) -> Iterator[Candidate]:
    """Those whose label the model knows, of the test part where there is one, in an order of the seed."""
    items = [item for item in dataset.of("test") or dataset.items if item.label in model.labels]
    random.Random(seed).shuffle(items)
    return _loaded(((item, item.label) for item in items), load_item, skipped)


def _loaded(named: Iterator[tuple], load: Callable, skipped: list[str]) -> Iterator[Candidate]:
    for what, truth in named:
        try:
            yield load(what), truth
        except MirguardError as error:
            skipped.append(str(error))


def _labelled(path: Path, model: Classifier) -> LabelledSet | None:
    """The folder as a labelled set, if at least two of the model's labels are its."""
    try:
        dataset = labelled_folder(path)
    except MirguardError:
        return None
    return dataset if len(set(dataset.labels) & set(model.labels)) > 1 else None


def _middle(clip: Clip) -> Clip:
    frames = round(LONGEST * clip.sample_rate)
    first = max(0, (clip.frames - frames) // 2)
    if clip.frames <= frames:
        return clip
    return Clip(clip.samples[:, first : first + frames].copy(), clip.sample_rate, clip.source, clip.provenance)
