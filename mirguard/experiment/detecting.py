"""Detectors at work: hear clean music, make the noisy and attacked sounds that some need, fit, keep, and read a clip."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mirguard.clip import Clip, load_clip
from mirguard.detectors.catalogue import find_detector, list_detectors
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.fitting import PUT_ASIDE, fit
from mirguard.detectors.kept import fitted_for, keep, names_fitted_for
from mirguard.detectors.reading import Reading
from mirguard.detectors.sample import Sample, hear
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.experiment.batch import attack_batch
from mirguard.models.contract import Classifier
from mirguard.models.evadable import Evadable
from mirguard.sound_files import unlabelled_folder

# What the attacked sounds are made with that detectors learn from: single steps and iterated ones that stop at the boundary and
# that go on, from plain to faint.
KINDS = (("fgsm", {}), ("bim", {"steps": 10}), ("pgd", {"steps": 10, "stop_early": False}))
SNRS = (20.0, 25.0, 30.0, 35.0)  # dB
MOST_ATTACKED = 600  # windows

Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class FittedSet:
    """Detectors by name, and why others could not be fitted."""

    detectors: dict[str, Fitted]
    troubles: dict[str, str]
    skipped: tuple[str, ...] = ()


def hear_reference(
    model: Classifier,
    source: str | Path | Iterable[Clip],
    *,
    progress: Tell | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> Sample:
    """The clean clips given, or every sound file below a folder, as the model hears them; what cannot be read is named in
    `skipped`. FileError or UsageError where nothing can be used."""

    def pause() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        if rest:
            rest()

    if not isinstance(source, str | Path):
        return Sample.of(model, source, "the clips given", pause=pause)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    files = unlabelled_folder(folder)
    if not files:
        raise FileError(f"{folder} holds no WAV, FLAC, OGG, MP3 or AIFF files.")
    unread: list[str] = []

    def clips() -> Iterator[Clip]:
        for done, path in enumerate(files):
            if progress:
                progress(f"Hearing {path.name}", done / len(files))
            try:
                yield load_clip(path)
            except MirguardError as error:
                unread.append(str(error))

    heard = Sample.of(model, clips(), str(folder), pause=pause)
    return Sample(**{**heard.__dict__, "skipped": (*heard.skipped, *unread)})


def disturbed(
    clean: Sample, seed: int = 0, *, most: int = MOST_ATTACKED, progress: Tell | None = None
) -> tuple[Sample, Sample]:
    """At the most `most` windows of `clean` twice over: with white noise, and attacked, window by window at the same SNR.

    Each window meets each of KINDS, at one of SNRS drawn by chance; only attacks that changed the decision are kept, and the noise
    of the same windows (Feinman et al. 2017: noise is the negative that tells a detector of attacks from one of noise). Models
    without gradients are attacked by `square`. UsageError where no attack changed anything."""
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(clean.windows))[:most])
    chosen = chosen[clean.windows[chosen].any(1)]
    x = clean.waveforms(chosen)
    kinds = KINDS if clean.model.differentiable else (("square", {"queries": 300}),)
    attacked, noised, kept = [], [], []
    groups = [(name, values, level) for name, values in kinds for level in SNRS]
    drawn = {name: rng.choice(SNRS, size=len(chosen)) for name, _values in kinds}
    for done, (name, values, level) in enumerate(groups):
        rows = np.flatnonzero(drawn[name] == level)
        if progress:
            progress(f"Attacking clean sounds ({name} at {level:g} dB)", done / len(groups))
        for some in np.array_split(rows, max(1, len(rows) // 64)):
            if not len(some):
                continue
            found = attack_batch(clean.model, x[some], name, snr=level, seed=seed, rest=clean.pause, **values)
            noise = attack_batch(clean.model, x[some], "noise", snr=level, seed=seed, rest=clean.pause)
            fooled = found.success.numpy()
            attacked.append(found.adversarial[fooled])
            noised.append(noise.adversarial[fooled])
            kept.append(some[fooled])
    numbers = np.concatenate(kept)
    if not len(numbers):
        raise UsageError(
            f"No attack changed what {clean.model.name} hears in the clean clips, so nothing can be learned from attacked ones."
        )
    order = np.argsort(numbers, kind="stable")
    return tuple(clean.changed(torch.cat(sounds)[order], chosen[numbers[order]]) for sounds in (noised, attacked))


def fit_detectors(
    model: Classifier,
    source: str | Path | Iterable[Clip] | Sample,
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    attacked: int = MOST_ATTACKED,
    keeping: bool = True,
    progress: Tell | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> FittedSet:
    """Fit detectors (default: all) on a folder of clean music, on clean clips or on a sample, and keep them for this model.

    What a detector needs of noisy and attacked sounds is made of at the most `attacked` clean windows. `progress(sentence,
    fraction or None)` hears of every step. A detector that the model or the clips do not allow for is told in
    `troubles`; what is wrong with all of them raises UsageError or FileError."""
    chosen = [find_detector(name) for name in names] if names else list(list_detectors())
    clean = (
        source
        if isinstance(source, Sample)
        else hear_reference(model, source, progress=progress, cancel=cancel, rest=rest)
    )
    noisy = adversarial = None
    found, troubles = {}, {}
    for number, detector in enumerate(chosen):
        try:
            if detector.needed(model) and adversarial is None and clean.size > 1:
                noisy, adversarial = disturbed(clean.divided(PUT_ASIDE)[0], seed, most=attacked, progress=progress)
            if progress:
                progress(f"Fitting {detector.title}", number / len(chosen))
            found[detector.name] = made = fit(detector.name, clean, noisy, adversarial)
        except UsageError as error:
            troubles[detector.name] = str(error)
            continue
        if keeping:
            keep(made)
    if not found:
        raise UsageError(next(iter(troubles.values())))
    return FittedSet(found, troubles, clean.skipped)


def fitted_detectors(
    model: Classifier,
    names: Sequence[str] | None = None,
    reference: str | Path | None = None,
    *,
    progress: Tell | None = None,
) -> list[Fitted]:
    """The detectors of these names for this model (default: all there are), fitted on the folder given, else those kept or shipped.
    UsageError where there is none."""
    wanted = [find_detector(name).name for name in names] if names else None
    if reference is not None:
        made = fit_detectors(model, reference, wanted, progress=progress)
        missing = [made.troubles[name] for name in wanted or () if name in made.troubles]
        if missing:
            raise UsageError(missing[0])
        return list(made.detectors.values())
    wanted = wanted or list(names_fitted_for(model))
    found = [fitted_for(model, name) for name in wanted]
    if not found or None in found:
        which = "detector" if not found else f"detector {wanted[found.index(None)]}"
        raise UsageError(
            f"There is no {which} fitted on {model.name} yet; name a folder of clean music (--reference DIR) to fit it on."
        )
    return found


def evadables(model: Classifier, names: Sequence[str]) -> tuple[Evadable, ...]:
    """The detectors of these names as an attack on the model evades them."""
    return tuple(detector.evadable() for detector in fitted_detectors(model, names)) if names else ()


def detect(
    model: Classifier,
    clip: Clip,
    detectors: Sequence[str] | Sequence[Fitted] | None = None,
    reference: str | Path | None = None,
    fpr: float = 0.05,
    rest: Callable[[], None] | None = None,
) -> list[Reading]:
    """One reading per detector for the clip (default: all that are fitted on the model), in one pass.

    `reference` is a folder of clean music to fit them on first; without it those kept or shipped for the model are used."""
    given = tuple(detectors or ())
    fitted = list(given) if given and isinstance(given[0], Fitted) else fitted_detectors(model, given, reference)
    digests, decision = hear(model, clip, fitted, rest)
    return [
        detector.read(digest, decision, fpr, known=clip.hash in detector.about.hashes)
        for detector, digest in zip(fitted, digests, strict=True)
    ]
