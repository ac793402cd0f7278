"""Which adversarial sounds stay so on the way from the file to the model, by effect and strength.

Each sound is heard through draws of the channel that no attack has seen, the original and the adversarial one through the same.
Kurakin, Goodfellow & Bengio 2017 (eq. 2) count how many are undone, the destruction rate

    d = Σ c(X) · (1 − c(X_adv)) · c(T(X_adv)) / Σ c(X) · (1 − c(X_adv)),        c(·) = 1 where the label is the true one.

A channel that makes the model fail on any sound destroys little and yet nothing was won: what it does to the originals stands
beside it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mirguard.channel.chain import Chain, apply, link
from mirguard.channel.mp3 import RATES
from mirguard.clip import Clip, rms
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.outcome import Outcome
from mirguard.intervals import wilson
from mirguard.models.contract import Classifier
from mirguard.models.tracks import classify


@dataclass(frozen=True)
class Pair:
    """A sound and what an attack made of it; without `truth` what the model says of the original is taken to be true."""

    original: Clip
    adversarial: Clip
    truth: str | None = None
    target: str | None = None

    @classmethod
    def of(cls, clip: Clip, outcome: Outcome) -> Pair:
        return cls(clip, outcome.clip, outcome.experiment.truth, outcome.target)


@dataclass(frozen=True)
class Strength:
    """A chain to be tried; `channel` gives it for a clip of a level in dB of full scale."""

    effect: str
    strength: str
    channel: Callable[[float], Chain]


def through(chain: Chain) -> Strength:
    """A chain as a person set it."""
    effects = " → ".join(one.effect for one in chain)
    return Strength(effects, " → ".join(str(one).partition(":")[2] for one in chain), lambda _level: chain)


def _fixed(effect: str, strength: str, **values: Any) -> Strength:
    chain = (link(effect, **values),)
    return Strength(effect, strength, lambda _level: chain)


def _noise(snr: float) -> Strength:
    def channel(level: float) -> Chain:
        own = max(min(level - snr, 0.0), -120.0)
        return (link("noise", low=own, high=own),)

    return Strength("noise", f"{snr:g} dB SNR", channel)


def _band(low: float, high: float) -> Strength:
    edges = {"low_least": low, "low_most": low, "high_least": high, "high_most": high}
    return _fixed("band-pass", f"{low:g}-{high:g} Hz", **edges)


def ladder() -> tuple[Strength, ...]:
    """Every effect that needs no file, from mild to harsh. (MP3 has no place in it for sounds of a rate that it does not know.)"""
    return (
        *(_fixed("gain", f"±{most} dB", low=-most, high=most) for most in (3, 6, 12)),
        *(_fixed("shift", f"±{most} ms", most=most) for most in (1, 10, 100)),
        *(_noise(snr) for snr in (40, 30, 20)),
        *(_fixed("resample", f"{rate} Hz", low=rate, high=rate) for rate in (16_000, 11_025, 8_000)),
        *(_band(low, high) for low, high in ((50, 7_000), (300, 3_400), (1_000, 3_000))),
        *(_fixed("mp3", f"{rate} kbit/s", low=rate, high=rate) for rate in (192, 128, 64)),
        *(_fixed("room", f"absorption {a:g}", absorption_low=a, absorption_high=a) for a in (0.6, 0.3, 0.15)),
        *(_fixed("playback", f"absorption {a:g}", absorption_low=a, absorption_high=a) for a in (0.6, 0.3)),
    )


@dataclass(frozen=True)
class Survived:
    """What came of one strength; counts are of draws over all pairs.

    `right` of the originals and of the adversarial sounds kept the true label; `fooled`: the target came out, or without one any
    label but the true one. Of `counted`, those of pairs whose original is right and whose adversarial sound is not, `destroyed`
    were right again."""

    effect: str
    strength: str
    draws: int
    original_right: int
    adversarial_right: int
    fooled: int
    counted: int
    destroyed: int

    @property
    def destruction(self) -> float | None:
        """Kurakin's rate; None where no pair counts."""
        return self.destroyed / self.counted if self.counted else None

    @property
    def interval(self) -> tuple[float, float]:
        """The rate's 95 % interval (Wilson) over draws: of these sounds, not of others."""
        return wilson(self.destroyed, self.counted)

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "destruction_rate": self.destruction, "interval": list(self.interval)}


@dataclass(frozen=True)
class Survival:
    """`labels` are each pair's (true, original's, adversarial's) before any channel."""

    model: str
    model_hash: str
    draws: int
    seed: int
    labels: tuple[tuple[str, str, str], ...]
    rows: tuple[Survived, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "model_hash": self.model_hash,
            "draws": self.draws,
            "seed": self.seed,
            "pairs": [dict(zip(("truth", "original", "adversarial"), labels, strict=True)) for labels in self.labels],
            "effects": [row.to_json() for row in self.rows],
        }


def survival(
    model: Classifier,
    pairs: Sequence[Pair],
    effects: Sequence[Strength] | None = None,
    draws: int = 10,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> Survival:
    """Hear every pair through `draws` draws of each of `effects` (default: the `ladder`).

    `progress` gets a word and the share that is done, `rest` is called between micro-batches, `cancel` raises Cancelled."""
    if not pairs or draws < 1:
        raise UsageError("Give at least one pair of an original and an adversarial sound, and one draw.")
    for pair in pairs:
        if pair.original.sample_rate != pair.adversarial.sample_rate:
            raise UsageError(
                f"{pair.original.name} has {pair.original.sample_rate} Hz and {pair.adversarial.name} "
                f"{pair.adversarial.sample_rate} Hz; an adversarial sound has the rate of its original."
            )

    def label(clip: Clip) -> str:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        return classify(model, clip, rest).label

    before = []
    for pair in pairs:
        own = label(pair.original)
        truth = own if pair.truth is None else model.labels[model.index(pair.truth)]
        before.append((truth, own, label(pair.adversarial)))
    if effects is None:
        rates_known = all(pair.original.sample_rate in RATES for pair in pairs)
        effects = [strength for strength in ladder() if strength.effect != "mp3" or rates_known]
    rows = []
    for number, strength in enumerate(effects):
        heard = []
        for index, pair in enumerate(pairs):
            chain = strength.channel(_level(pair.original))
            for draw in range(draws):
                if progress:
                    done = (number + (index + draw / draws) / len(pairs)) / len(effects)
                    progress(f"{strength.effect} {strength.strength}", done)
                both = [
                    label(
                        Clip(apply(chain, clip.samples, clip.sample_rate, f"{seed} {index} {draw}"), clip.sample_rate)
                    )
                    for clip in (pair.original, pair.adversarial)
                ]
                heard.append((*before[index], *both, pair.target))
        rows.append(_counted(strength, heard))
    return Survival(model.name, model.hash, draws, seed, tuple(before), tuple(rows))


def _counted(strength: Strength, heard: Sequence[tuple[str, str, str, str, str, str | None]]) -> Survived:
    """From (truth, X, X_adv, T(X), T(X_adv), target) of every draw."""
    counts = [again == truth for truth, own, adversarial, _, again, _ in heard if own == truth != adversarial]
    return Survived(
        strength.effect,
        strength.strength,
        draws=len(heard),
        original_right=sum(through == truth for truth, _, _, through, _, _ in heard),
        adversarial_right=sum(again == truth for truth, _, _, _, again, _ in heard),
        fooled=sum(again != truth if target is None else again == target for truth, _, _, _, again, target in heard),
        counted=len(counts),
        destroyed=sum(counts),
    )


def _level(clip: Clip) -> float:
    """In dB of full scale."""
    return -120.0 if not clip.samples.any() else 20.0 * math.log10(rms(clip.samples))
