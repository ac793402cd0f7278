"""What the detectors that learn from attacked sounds have in common: examples, folds of clips, and a linear judge.

Windows of one clip are alike, attacked or not, so whatever is chosen on held-out examples is chosen on held-out
*clips*.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mirguard.detectors.sample import Sample
from mirguard.errors import UsageError

FOLDS = 5
STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C, the inverse strength of the penalty on weights of standardised statistics
FREE = 10.0  # how much larger than others a statistic is made whose weight is to cost a hundredth
STEPS = 2000  # of the solver, at the most


@dataclass(frozen=True)
class Linear:
    """Log-odds w·x + b of being adversarial; `held_out (n,)` are those of its examples by judges that learned from other clips."""

    weight: np.ndarray
    bias: float
    held_out: np.ndarray


def require_attacked(name: str, adversarial: Sample) -> None:
    """UsageError where there are too few attacked clips to learn from."""
    if adversarial.size < FOLDS:
        raise UsageError(
            f"{name} learns from attacked clips, of which this reference gives {adversarial.size}; use a folder with more clean "
            f"clips, so that there are at least {FOLDS}."
        )


def adversarial_or_not(clean: Sample, noisy: Sample, adversarial: Sample) -> np.ndarray:
    """1 for each adversarial window and 0 for each clean or noisy one, in this order of samples."""
    return np.repeat([0, 0, 1], [len(sample.windows) for sample in (clean, noisy, adversarial)])


def folds(clean: Sample, noisy: Sample, adversarial: Sample) -> np.ndarray:
    """The fold of each window, in this order of samples: all windows of a clip in the same one, and attacked clips in every one."""
    order = dict.fromkeys((*adversarial.hashes, *clean.hashes))
    fold_of = {code: number % FOLDS for number, code in enumerate(order)}
    samples = (clean, noisy, adversarial)
    return np.concatenate([np.array([fold_of[code] for code in one.hashes])[one.clip_of] for one in samples])


def balance(adversarial: np.ndarray) -> np.ndarray:
    """Weights of examples `(n,)` that let both kinds count for the same, 1 in the mean."""
    return (len(adversarial) / 2.0 / np.bincount(adversarial, minlength=2).clip(1))[adversarial]


def learn_linear(
    x: np.ndarray,
    adversarial: np.ndarray,
    fold: np.ndarray,
    weights: np.ndarray,
    clean: Sample,
    before: np.ndarray | None = None,
) -> Linear:
    """Logistic regression of `adversarial (n,)` on statistics `x (n, d)`, standardised, with the penalty that makes held-out clips
    most likely. What is known `before (n,)`, as log-odds, is one statistic more, the last, whose weight costs hardly anything: what
    `x` does not know better stays as it was. `clean` knows who wants to be served meanwhile."""
    from sklearn.linear_model import LogisticRegression

    def standard(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, deviation = x[chosen].mean(0), x[chosen].std(0)
        moves = deviation > 1e-6 * np.maximum(1.0, abs(mean))  # of float32
        scale = np.where(moves, deviation, np.inf)  # what never moves has no weight
        return mean, scale

    def judge(strength: float, chosen: np.ndarray) -> tuple[np.ndarray, float]:
        clean.pause()
        mean, scale = standard(chosen)
        z = (x[chosen] - mean) / scale
        if before is not None:
            z = np.concatenate([z, FREE * before[chosen, None]], 1)
        made = LogisticRegression(C=strength, max_iter=STEPS).fit(z, adversarial[chosen], sample_weight=weights[chosen])
        weight, bias = made.coef_[0].copy(), float(made.intercept_[0])
        weight[: x.shape[1]] /= scale
        weight[x.shape[1] :] *= FREE
        return weight, bias - float(weight[: x.shape[1]] @ mean)

    every = x if before is None else np.concatenate([x, before[:, None]], 1)
    least, best, judged = np.inf, STRENGTHS[0], np.zeros(len(x))
    for strength in STRENGTHS:
        held_out = np.zeros(len(x))
        for left in np.unique(fold):
            weight, bias = judge(strength, fold != left)
            held_out[fold == left] = every[fold == left] @ weight + bias
        loss = float(np.logaddexp(0.0, np.where(adversarial == 1, -held_out, held_out)) @ weights)
        if loss >= least:
            break  # weaker penalties are worse and slower still
        least, best, judged = loss, strength, held_out
    return Linear(*judge(best, np.ones(len(x), bool)), judged)
