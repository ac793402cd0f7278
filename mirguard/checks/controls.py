"""Do the checks themselves notice what they are there to notice? SC-23: controls whose answer is known.

(a) an undefended network, which everything must break and no check may suspect; (b) three that mask their gradients: one distilled
at T = 100 (Papernot et al. 2016), the undefended one with logits as large as that makes them, and with a front end rounded to 8
bits, through which no gradient comes; (c) a classifier that always says the same, which nothing can fool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from mirguard.checks.altered import Altered
from mirguard.checks.baselines import BLACK_BOXES
from mirguard.checks.budget import unbounded_reaches_everything
from mirguard.checks.finding import FAIL, PASS, Judgement, table
from mirguard.checks.gradients import gradient_is_alive, slope_is_right
from mirguard.checks.record import Record
from mirguard.checks.sounds import Sounds, gather
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier, TorchClassifier

CLIPS = 8
TEMPERATURE = 100.0
LEVELS = 256
QUERIES = 40
BROKEN_AT = 20.0  # dB, where every kind of attack that is any good breaks an undefended network
DISTILLED = "toy-distilled"


class Times(nn.Module):
    """Everything times a factor."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


class Rounded(nn.Module):
    """Rounded to 256 levels between `low` and `high`, and kept within them; its gradient is 0."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.step = low, max(high - low, 1e-12) / (LEVELS - 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.low + self.step * ((x - self.low) / self.step).round().clamp(0, LEVELS - 1)


def sharpened(plain: TorchClassifier, temperature: float = TEMPERATURE) -> TorchClassifier:
    """The logits that training at that temperature leads to when the network is used at 1."""
    return _made_of(plain, "sharpened", plain.front_end, nn.Sequential(plain.network, Times(temperature)))


def quantised(plain: TorchClassifier, x: torch.Tensor) -> TorchClassifier:
    """The front end's output rounded to 8 bits over the range that it has on windows `x (n, window)`."""
    with torch.no_grad():
        seen = plain.represent(x.to(plain.device))
    front_end = nn.Sequential(plain.front_end, Rounded(float(seen.min()), float(seen.max())))
    return _made_of(plain, "8-bit front end", front_end, plain.network)


def _made_of(plain: TorchClassifier, how: str, front_end: nn.Module, network: nn.Module) -> TorchClassifier:
    return TorchClassifier(
        f"{plain.name}, {how}",
        front_end,
        network,
        sample_rate=plain.sample_rate,
        window=plain.window,
        labels=plain.labels,
        task=plain.task,
        micro_batch=plain.micro_batch,
    )


class Constant(Altered):
    """Always the same logits, whatever it hears; its gradient is there, and 0."""

    def __init__(self, base: Classifier, number: int = 0) -> None:
        super().__init__(base, "constant")
        self.always = torch.zeros(len(base.labels))
        self.always[number] = 1.0

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.always.to(waveform.device) + 0.0 * waveform.sum(1, keepdim=True)


def controls_behave(record: Record) -> Judgement:
    """SC-23."""
    plain = load_model(bundled.NAME)
    sounds = gather(plain, None, CLIPS, record.seed, record.pause)

    def of(model: Classifier, sounds: Sounds = sounds) -> Record:
        return Record(model, sounds, BROKEN_AT, record.seed, tell=record.tell, cancel=record.cancel, rest=record.pause)

    rows = [("undefended", *_undefended(of(plain)))]
    distilled = load_model(DISTILLED)
    masked = {
        "distilled, T = 100": of(distilled, gather(distilled, None, CLIPS, record.seed, record.pause)),
        "logits × 100": of(sharpened(plain)),
        "8-bit front end": of(quantised(plain, sounds.x)),
    }
    rows += [(name, *_masked(one)) for name, one in masked.items()]
    still = replace(sounds, labels=torch.zeros_like(sounds.labels))
    rows.append(("constant", *_constant(of(Constant(plain), still))))
    evidence = table(
        ("control", "is to be", "was", "as it should be"), [(*row[:3], "yes" if row[3] else "no") for row in rows]
    )
    wrong = [row[0] for row in rows if not row[3]]
    if wrong:
        return Judgement(FAIL, f"The checks misjudge what is known: {', '.join(wrong)}.", evidence)
    return Judgement(
        PASS,
        "The checks flag masked gradients, pass an undefended network, and count nothing as fooled that cannot be.",
        evidence,
    )


def _undefended(record: Record) -> tuple[str, str, bool]:
    checks = {"SC-03": unbounded_reaches_everything, "SC-10": slope_is_right, "SC-11": gradient_is_alive}
    flagged = _failed(record, checks)
    broken = record.main().rate
    was = f"pgd at {BROKEN_AT:g} dB fools {broken.hits} of {broken.count}, {_flags(flagged)}"
    return "broken, and not suspected", was, not flagged and broken.hits == broken.count


def _masked(record: Record) -> tuple[str, str, bool]:
    flagged = _failed(record, {"SC-10": slope_is_right, "SC-11": gradient_is_alive})
    return (
        "flagged",
        f"pgd at {BROKEN_AT:g} dB fools {record.main().rate.hits} of {record.size}, {_flags(flagged)}",
        bool(flagged),
    )


def _constant(record: Record) -> tuple[str, str, bool]:
    tried = [record.attack("noise", snr=BROKEN_AT), record.attack("fgsm", snr=BROKEN_AT), record.pgd(steps=5)]
    tried += [record.attack(name, snr=BROKEN_AT, queries=QUERIES) for name in BLACK_BOXES]
    fooled = sum(one.rate.hits for one in tried)
    return "never fooled", f"{fooled} successes in {len(tried)} attacks", fooled == 0


def _failed(record: Record, checks: dict[str, Callable[[Record], Judgement]]) -> list[str]:
    return [number for number, check in checks.items() if check(record).verdict == FAIL]


def _flags(flagged: list[str]) -> str:
    return f"flagged by {' and '.join(flagged)}" if flagged else "not flagged"
