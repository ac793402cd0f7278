"""How many sounds a model keeps right under the strongest attacks there are, each sound under the one that is worst for it.

mean_x min_a f(a(x)), never min_a mean_x (Carlini et al., "On evaluating adversarial robustness", 2019, arXiv 1902.06705, §4).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.batch import attack_batch
from mirguard.intervals import wilson
from mirguard.models.contract import Classifier

CROSS_ENTROPY, MARGIN, SMALLEST, NOISE = "pgd, cross-entropy", "pgd, margin", "minimal-l2", "noise"
WORST = "worst case"
BATCH = 16  # windows attacked at a time


@dataclass(frozen=True)
class Robustness:
    """Of `windows`, how many are right without an attack, and at each SNR how many stay right under each attack, the worst case of
    each window, and under white noise. `smallest_db` is the median SNR of the smallest perturbation that fools (of windows that
    were right; −inf where more than half could not be fooled)."""

    windows: int
    clean: int
    right: dict[float, dict[str, int]]
    smallest_db: float

    def interval(self, right: int) -> tuple[float, float]:
        """Wilson's 95 % interval of a share."""
        return wilson(right, self.windows)

    def card(self) -> dict[str, Any]:
        """What a model's card says under `robust`: shares of the windows."""
        return {
            "windows": self.windows,
            "clean": round(self.clean / self.windows, 4),
            "smallest_l2_median_snr_db": round(self.smallest_db, 1),
            "at_snr_db": {
                f"{snr:g}": {attack.replace(", ", " "): round(right / self.windows, 4) for attack, right in row.items()}
                for snr, row in self.right.items()
            },
        }


def robustness(
    model: Classifier,
    x: torch.Tensor,
    labels: torch.Tensor,
    snrs: Sequence[float] = (30.0,),
    *,
    steps: int = 40,
    seed: int = 0,
    progress: Callable[[str, float], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> Robustness:
    """Attack windows `x (rows, window)` with the true `labels (rows,)`: projected gradients of `steps` steps on the cross-entropy
    and on the margin inside each SNR's budget, and the search for the smallest perturbation, which fools inside a budget if what it
    found is no larger. `progress(sentence, fraction)`. UsageError where there is nothing to attack or no gradient."""
    if not len(x):
        raise UsageError("There is no sound to attack.")
    tell = progress or (lambda _sentence, _fraction: None)
    jobs = 1 + 3 * len(snrs)

    def run(number: int, attack: str, said: str, **more: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Whether each row stays right, and the SNR of what fooled it."""
        stays, found = [], []
        for first in range(0, len(x), BATCH):
            if cancel is not None and cancel.is_set():
                raise Cancelled
            tell(said, (number + first / len(x)) / jobs)
            rows = slice(first, first + BATCH)
            outcome = attack_batch(model, x[rows], attack, labels=labels[rows], seed=seed + first, rest=rest, **more)
            stays.append(~outcome.success)
            found.append(outcome.snr_db)
        return torch.cat(stays), torch.cat(found).float()

    clean = _right(model, x, labels)
    unfooled, smallest = run(0, "minimal-l2", "Looking for the smallest perturbations", steps=steps, confidence=0.0)
    smallest = torch.where(unfooled, -torch.inf, smallest)
    table: dict[float, dict[str, int]] = {}
    for place, snr in enumerate(snrs):
        said = f"at {snr:g} dB"
        budget = {"snr": snr, "confidence": 0.0}
        row = {SMALLEST: clean & ~(smallest >= snr)}
        for number, loss in enumerate(("cross-entropy", "margin")):
            stays, _ = run(
                1 + 3 * place + number, "pgd", f"Following gradients {said}", loss=loss, steps=steps, **budget
            )
            row[f"pgd, {loss}"] = stays
        row[WORST] = clean & row[SMALLEST] & row[CROSS_ENTROPY] & row[MARGIN]
        row[NOISE], _ = run(3 + 3 * place, "noise", f"White noise {said}", restarts=1, **budget)
        table[snr] = {attack: int(stays.sum()) for attack, stays in row.items()}
    fooled = smallest[clean]
    return Robustness(len(x), int(clean.sum()), table, float(fooled.median()) if len(fooled) else float("nan"))


def _right(model: Classifier, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        said = torch.cat([model.logits(part).argmax(1) for part in x.split(model.micro_batch)])
    return said == labels
