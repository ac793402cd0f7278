"""Universal perturbations of a model: make one from a set of clips, hold it to clips that had no part in it, lay it on any clip.

What counts is the track: v is looped over the whole clip, as somebody who uses it would, and the clip's label is asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mirguard import __version__
from mirguard.attacks.attack import Attack
from mirguard.attacks.budget import L2, LINF, snr_to_epsilon
from mirguard.attacks.declared.universal import METHODS
from mirguard.attacks.laid import loop
from mirguard.attacks.universal import Shared, abdoli, moosavi_dezfooli
from mirguard.attacks.universal_file import Fooling, Universal, list_universals, load_universal, rounded, save_universal
from mirguard.channel.chain import Link
from mirguard.clip import Clip, energy, rms
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.attack import view_of
from mirguard.experiment.plan import check_knowledge
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track, classify, heard_as
from mirguard.parameters import resolve

__all__ = [
    "Fooling",
    "Universal",
    "fooling",
    "lay",
    "list_universals",
    "load_universal",
    "make_universal",
    "save_universal",
]

METHOD_OF = {"abdoli": abdoli, "moosavi-dezfooli": moosavi_dezfooli}
MOST_WINDOWS = 4  # of one clip: a long track must not outweigh the others

# A sentence, and the part that is done or None.
Progress = Callable[[str, float | None], None]


def find_method(name: str) -> Attack:
    for method in METHODS:
        if method.name == name:
            return method
    raise UsageError(
        f"There is no way to make universal perturbations called {name!r}; there are "
        f"{', '.join(method.name for method in METHODS)}."
    )


def make_universal(
    model: Classifier,
    clips: Sequence[Clip],
    method: str = "abdoli",
    *,
    name: str = "universal",
    epsilon: float | None = None,
    snr: float | None = None,
    norm: str = L2,
    target: str | None = None,
    seed: int = 0,
    held_out: Sequence[Clip] = (),
    others: Sequence[Classifier] = (),
    channel: Sequence[Link] = (),
    draws: int = 8,
    source: str = "",
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
    **parameters: Any,
) -> Universal:
    """One v for all `clips`, and its fooling rates on them and on `held_out` clips, which are not looked at before v is ready; on
    these also for the `others` models.

    With `epsilon`, v is as loud for every clip (as in the papers); with `snr` (30 dB without either) it follows the clip's level.
    At most four windows of a clip take part, evenly spread; rates are of whole clips. Cancelled if `cancel` is set."""
    found = find_method(method)
    check_knowledge(found, (model,), False)
    if epsilon is not None and snr is not None:
        raise UsageError(
            "Give the size once: either as an amplitude (--epsilon) or as a signal-to-noise ratio (--snr)."
        )
    if norm not in (L2, LINF):
        raise UsageError(f"A universal perturbation is measured in {L2} or {LINF}; got {norm!r}.")
    values = resolve(found.parameters, parameters)
    wanted = None if target is None else model.index(target)
    say = progress or (lambda _sentence, _done: None)
    rest_or_end = _rest(cancel, rest)
    x, levels = _windows(model, clips, say, rest_or_end)
    reference = float(np.sqrt(np.mean(np.square(levels))))
    follows = epsilon is None
    xi = float(epsilon) if epsilon is not None else snr_to_epsilon(30.0 if snr is None else float(snr), reference)
    if not 0.0 < xi <= 2.0:
        raise UsageError(
            f"The size of a perturbation is above 0 and at most 2 of full scale; this one would be {xi:.3g}."
        )
    labels = heard_as(model, x, rest_or_end)
    scale = torch.from_numpy(levels / reference).float() if follows else torch.ones(len(x))
    if wanted is not None:
        keep = labels != wanted
        if not bool(keep.any()):
            raise UsageError(f"Every clip is {target!r} already; choose another target.")
        x, labels, scale = x[keep], labels[keep], scale[keep]
    view = view_of((model,), channel, draws, model.sample_rate, seed)
    shared = Shared(
        x,
        scale,
        view,
        model.sample_rate,
        labels,
        None if wanted is None else torch.full_like(labels, wanted),
        norm,
        xi,
        seed,
        lambda done, total, rate: say(
            f"{found.title}: {len(x)} windows" + (f", {rate:.0%} fooled so far" if rate else ""), done / total
        ),
        cancel,
        rest,
    )
    v = rounded(METHOD_OF[method](shared, **values).cpu().numpy())
    made = Universal(
        name,
        v,
        model.sample_rate,
        model.name,
        model.hash,
        method,
        norm,
        xi,
        reference,
        follows,
        target,
        values,
        int(seed),
        source,
        version=__version__,
    )
    rates = [fooling(made, model, clips, seed=seed, progress=say, rest=rest_or_end)]
    for judge in (model, *others) if len(held_out) else ():
        if target is None or target in judge.labels:
            rates.append(fooling(made, judge, held_out, held_out=True, seed=seed, progress=say, rest=rest_or_end))
    return replace(made, rates=tuple(rates))


def fooling(
    universal: Universal,
    model: Classifier,
    clips: Sequence[Clip],
    *,
    snr: float | None = None,
    held_out: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
    rest: Callable[[], None] | None = None,
) -> Fooling:
    """How many of all `clips` change their label (or take the target; those that have it already are not counted) when v is laid on
    at its own size, or at `snr` dB; and how many when white noise of the same energy is. Silent clips are not counted."""
    if universal.target is not None:
        model.index(universal.target)
    fooled = noisy = count = 0
    ratios = []
    for number, clip in enumerate(clips):
        if progress:
            progress(f"{model.name} hears {clip.name} with it", number / len(clips))
        level = rms(clip.samples)
        if level == 0.0:
            continue
        clean = classify(model, clip, rest).label
        if clean == universal.target:
            continue
        laid = lay(universal, clip, snr=snr)
        power = energy(laid.samples - clip.samples) / clip.samples.size
        noise = np.random.default_rng((seed, number)).standard_normal(clip.frames, dtype=np.float32)
        noise *= np.float32(np.sqrt(power) / np.sqrt(np.mean(np.square(noise, dtype=np.float64))))
        white = Clip(np.clip(clip.samples + noise, -1.0, 1.0), clip.sample_rate)

        def fools(sound: Clip, clean: str = clean) -> bool:
            heard = classify(model, sound, rest).label
            return heard != clean if universal.target is None else heard == universal.target

        count += 1
        fooled += fools(laid)
        noisy += fools(white)
        ratios.append(20.0 * np.log10(level / max(np.sqrt(power), 1e-12)))
    if not count:
        raise UsageError("There is no clip to try it on: all are silent or have the target as their label already.")
    return Fooling(model.name, model.hash, count, fooled, noisy, float(np.median(ratios)), held_out)


def lay(
    universal: Universal, clip: Clip, *, epsilon: float | None = None, snr: float | None = None, offset: float = 0.0
) -> Clip:
    """The clip with v looped over it from `offset` seconds within v on, the same in all channels, clipped to full scale.

    Any length and rate: v is resampled to the clip's. Without `epsilon` (the largest sample or the RMS, as v's norm has it) and
    `snr` v has the size that it was made with."""
    if epsilon is not None and snr is not None:
        raise UsageError("Give the size once: either as an amplitude or as a signal-to-noise ratio.")
    v = torch.from_numpy(universal.v)
    delta = loop(v, universal.sample_rate, clip.frames, clip.sample_rate, offset).numpy()
    level = rms(clip.samples)
    if snr is not None:
        delta *= snr_to_epsilon(snr, level) / max(rms(delta), 1e-12)
    elif epsilon is not None:
        delta *= epsilon / max(float(np.abs(delta).max()) if universal.norm == LINF else rms(delta), 1e-12)
    elif universal.follows:
        delta *= level / universal.reference_rms
    about = {
        "version": __version__,
        "attack": "universal",
        "perturbation": universal.name,
        "model": universal.model,
        "input": clip.name,
        "name": f"{Path(clip.name).stem} (universal)",
    }
    return Clip(np.clip(clip.samples + delta, -1.0, 1.0), clip.sample_rate, provenance=about)


def _rest(cancel: threading.Event | None, rest: Callable[[], None] | None) -> Callable[[], None]:
    def rest_or_end() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        if rest is not None:
            rest()

    return rest_or_end


def _windows(
    model: Classifier, clips: Sequence[Clip], say: Progress, rest: Callable[[], None]
) -> tuple[torch.Tensor, np.ndarray]:
    """Windows `(m, window)` of all clips that are not silent, and the level of the clip of each `(m,)`."""
    parts, levels = [], []
    for number, clip in enumerate(clips):
        rest()
        say(f"Cutting {clip.name} into windows", number / len(clips))
        level = rms(clip.samples)
        if level == 0.0:
            continue
        track = Track(clip, model)
        chosen = np.unique(np.linspace(0, track.windows - 1, min(track.windows, MOST_WINDOWS)).round().astype(int))
        parts += [track.piece(int(one), int(one) + 1) for one in chosen]
        levels += [level] * len(chosen)
    if not parts:
        raise UsageError("A universal perturbation is made from clips; there is none here that is not silent.")
    return torch.cat(parts), np.asarray(levels)
