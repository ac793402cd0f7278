"""How well detectors tell attacked clips from others, on clips they were not fitted on: attacks that know nothing of detectors,
and such as set out to evade.

Positives are the attacked clips that the model hears differently. Negatives are the clean clips and the same clips with white noise
at exactly the SNR that each attack reached, since a detector of noise is no detector of attacks. A static attack knows nothing of
detectors; the adaptive one (Carlini & Wagner 2017) evades the one it is held to. Both are always told together. A detector of
sets tells, of each attack, how likely so unlike a set of clips is by chance.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mirguard.attacks.catalogue import find_attack
from mirguard.clip import Clip, energy
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.mmd import Mmd, test_set
from mirguard.detectors.roc import Area, area
from mirguard.detectors.sample import hear
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.outcome import Outcome
from mirguard.experiment.plan import plan
from mirguard.experiment.track import run
from mirguard.models.contract import Classifier

RATES = (0.01, 0.05)
WHOLE_BUDGET = {"bim": {"stop_early": False}, "pgd": {"stop_early": False}}
# Attacks with a budget are given `snr`; those that look for the smallest perturbation have none.
BUDGETED = ("fgsm", "bim", "pgd", "spectral", "square", "nes")


@dataclass(frozen=True)
class Heading:
    """What one attack did: of how many clips it `fooled` the model, at which median SNR."""

    attack: str
    clips: int
    fooled: int
    snr_db: float | None


@dataclass(frozen=True)
class Figure:
    """One detector against one attack. `caught` is the share of the clips that fool the model which it flags at each of RATES (None
    where it has too few clean clips for the rate), `false` the same of clean ones. Of the attack that evades it: the area, how many
    clips fool the model, and how many of these are not flagged at the highest rate."""

    detector: str
    attack: str
    static: Area
    caught: tuple[float | None, ...]
    false: tuple[float | None, ...]
    adaptive: Area | None = None
    fooled: int | None = None
    evaded: int | None = None


@dataclass(frozen=True)
class SetFigure:
    """A detector of sets against one attack: the p-value of all clips together, clean, with noise of the same SNR, and attacked."""

    detector: str
    attack: str
    clean: float | None
    noisy: float | None
    attacked: float | None


@dataclass(frozen=True)
class DetectionReport:
    """All figures of one model, and the scores they come from (by attack, detector and kind of sound); `fools` says, likewise, of
    which clips the sounds "attacked" and "adaptive" fool the model, since only those count."""

    model: str
    clips: int
    snr: float
    headings: tuple[Heading, ...]
    figures: tuple[Figure, ...]
    sets: tuple[SetFigure, ...] = ()
    scores: Mapping[str, Mapping[str, Mapping[str, tuple[float, ...]]]] = field(repr=False, default_factory=dict)
    fools: Mapping[str, Mapping[str, Mapping[str, tuple[bool, ...]]]] = field(repr=False, default_factory=dict)

    def figure(self, detector: str, attack: str) -> Figure:
        return next(one for one in self.figures if (one.detector, one.attack) == (detector, attack))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def detection_report(
    model: Classifier,
    clips: Sequence[Clip],
    detectors: Sequence[Fitted],
    attacks: Sequence[str] = ("fgsm", "bim", "pgd", "deepfool", "cw-l2", "minimal-l2"),
    *,
    snr: float = 30.0,
    adaptive: bool = True,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
    progress: Callable[[str, float | None], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> DetectionReport:
    """Attack every clip with every attack, export, read back, and let every detector score it.

    Attacks with a budget use all of it, at `snr` dB; `settings` are further parameters by attack. With `adaptive` each attack
    is run once more for each detector that can be evaded. UsageError where a detector was fitted on some of the clips."""
    clips = [clip for clip in clips if np.any(clip.samples)]
    if len(clips) < 2:
        raise UsageError("A detection report needs at least two clips that are not silent; better some dozens.")
    for detector in detectors:
        known = set(detector.about.hashes) & {clip.hash for clip in clips}
        if known:
            raise UsageError(
                f"{len(known)} of the clips are in the reference of {detector.name}; use others, which it does not know."
            )
    settings = {**WHOLE_BUDGET, **(settings or {})}
    testing = [detector for detector in detectors if detector.set_level]
    detectors = [detector for detector in detectors if not detector.set_level]
    work = _Work(model, detectors, snr, settings, seed, cancel, rest)
    clean, sets_clean = work.scores(clips), [work.together(clips, detector) for detector in testing]
    headings, figures, sets, scores, fools = [], [], [], {}, {}
    runs = len(attacks) * (1 + sum(adaptive and one.evades for one in detectors))
    done = 0

    def tell(what: str) -> None:
        nonlocal done
        if progress:
            progress(what, done / runs)
        done += 1

    for attack in attacks:
        tell(f"{attack} on {len(clips)} clips")
        outcomes = [work.attack(clip, attack) for clip in clips]
        noise = [_noisy(clip, outcome, seed) for clip, outcome in zip(clips, outcomes, strict=True)]
        results = [outcome.clip for outcome in outcomes]
        noisy, attacked = work.scores(noise), work.scores(results)
        for detector, on_clean in zip(testing, sets_clean, strict=True):
            p = (on_clean, work.together(noise, detector), work.together(results, detector))
            sets.append(SetFigure(detector.name, attack, *p))
        reached = [
            outcome.snr_db for outcome in outcomes if outcome.snr_db is not None and math.isfinite(outcome.snr_db)
        ]
        fooled = [outcome.success for outcome in outcomes]
        headings.append(Heading(attack, len(clips), sum(fooled), float(np.median(reached)) if reached else None))
        scores[attack], fools[attack] = {}, {}
        for number, detector in enumerate(detectors):
            kinds = {"clean": clean[number], "noisy": noisy[number], "attacked": attacked[number]}
            one, success = _figure(detector, attack, kinds, fooled, seed), {"attacked": tuple(fooled)}
            if adaptive and detector.evades and find_attack(attack).evades:
                tell(f"{attack} evading {detector.name}")
                again = [work.attack(clip, attack, detector) for clip in clips]
                kinds["adaptive"] = work.scores([outcome.clip for outcome in again], [detector])[0]
                success["adaptive"] = tuple(outcome.success for outcome in again)
                one = _with_adaptive(one, detector, kinds, success["adaptive"], seed)
            figures.append(one)
            scores[attack][detector.name] = {kind: tuple(values) for kind, values in kinds.items()}
            fools[attack][detector.name] = success
    return DetectionReport(model.name, len(clips), snr, tuple(headings), tuple(figures), tuple(sets), scores, fools)


@dataclass
class _Work:
    model: Classifier
    detectors: list[Fitted]
    snr: float
    settings: Mapping[str, Mapping[str, Any]]
    seed: int
    cancel: threading.Event | None
    rest: Callable[[], None] | None

    def attack(self, clip: Clip, attack: str, evading: Fitted | None = None) -> Outcome:
        options = dict(self.settings.get(attack, {}))
        if attack in BUDGETED:
            options["snr"] = self.snr
        if evading is not None:
            options.pop("stop_early", None)  # it goes on until both are deceived, and no further
        if not find_attack(attack).untargeted:
            options.setdefault("goal", "least-likely")
        evade = () if evading is None else (evading.evadable(),)
        experiment = plan(
            clip, self.model, attack, seed=self.seed, evade=[detector.name for detector in evade], **options
        )
        outcome = run(experiment, clip, self.model, evade=evade, cancel=self.cancel, rest=self.rest)
        if outcome.status == "cancelled":
            raise Cancelled
        return outcome

    def scores(self, clips: Sequence[Clip], detectors: Sequence[Fitted] | None = None) -> list[list[float]]:
        """Of each detector, the scores of all clips."""
        detectors = self.detectors if detectors is None else detectors
        found: list[list[float]] = [[] for _ in detectors]
        for clip in clips:
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            digests, decision = hear(self.model, clip, detectors, self.rest)
            for values, detector, digest in zip(found, detectors, digests, strict=True):
                values.append(detector.score(digest, decision.label))
        return found

    def together(self, clips: Sequence[Clip], detector: Mmd) -> float | None:
        """The p-value of all clips as one set."""
        return test_set(detector, [hear(self.model, clip, (detector,), self.rest)[0][0] for clip in clips]).p_value


def _noisy(clip: Clip, outcome: Outcome, seed: int) -> Clip:
    """The clip with white noise of the perturbation's energy, the same in every channel, clipped to full scale."""
    noise = np.random.default_rng((seed, 1)).standard_normal(clip.frames, dtype=np.float32)
    level = math.sqrt(energy(outcome.perturbation.samples) / clip.samples.size)
    noise *= level / np.sqrt(np.mean(np.square(noise, dtype=np.float64)))
    return Clip(np.clip(clip.samples + noise, -1.0, 1.0), clip.sample_rate)


def _figure(
    detector: Fitted, attack: str, kinds: Mapping[str, list[float]], success: Sequence[bool], seed: int
) -> Figure:
    fooled, caught, false = np.asarray(success, bool), [], []
    for rate in RATES:
        try:
            threshold = detector.threshold(rate)
        except UsageError:
            caught.append(None)
            false.append(None)
            continue
        flagged = np.asarray(kinds["attacked"])[fooled] > threshold
        caught.append(float(flagged.mean()) if len(flagged) else None)
        false.append(float(np.mean(np.asarray(kinds["clean"]) > threshold)))
    return Figure(detector.name, attack, _area(kinds, "attacked", fooled, seed), tuple(caught), tuple(false))


def _with_adaptive(
    figure: Figure, detector: Fitted, kinds: Mapping[str, list[float]], success: Sequence[bool], seed: int
) -> Figure:
    fooled = np.asarray(success, bool)
    try:
        evaded = int((fooled & (np.asarray(kinds["adaptive"]) <= detector.threshold(RATES[-1]))).sum())
    except UsageError:
        evaded = None
    return replace(figure, adaptive=_area(kinds, "adaptive", fooled, seed), fooled=int(fooled.sum()), evaded=evaded)


def _area(kinds: Mapping[str, list[float]], positive: str, fooled: np.ndarray, seed: int) -> Area:
    """Of the sounds that fool the model, against all clean and all noisy ones."""
    clips = np.arange(len(kinds["clean"]))
    negatives = [*kinds["clean"], *kinds["noisy"]]
    return area(np.asarray(kinds[positive])[fooled], clips[fooled], negatives, np.concatenate([clips, clips]), seed)
