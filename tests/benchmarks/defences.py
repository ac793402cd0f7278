"""What the bundled defences are worth: clean and robust accuracy, against attackers who know more and less.

    python tests/benchmarks/defences.py [--clips 100] [--seed 77] [--models NAME ...]      # some minutes a model on one core

One window of each of so many test clips that nothing was trained or chosen on. "worst" is the share that stays right under the
worst of three attacks for each window: projected gradients (40 steps) on the cross-entropy and on the margin, and the search for
the smallest perturbation. "carried over" are perturbations of the margin attack on the plain model, by somebody who does not know
of the defence. "AUC" is how well the model's own detector tells windows from those the margin attack made, and from noise of the
same SNR.
"""

from __future__ import annotations

import argparse

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import LABELS, dataset
from mirguard.defences.robustness import CROSS_ENTROPY, MARGIN, NOISE, WORST, Robustness, robustness
from mirguard.defences.watching import auc, watching_layer
from mirguard.experiment.batch import attack_batch
from mirguard.intervals import wilson
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier
from mirguard.models.tracks import Track

SNRS = (20.0, 30.0, 40.0)
MIDDLE = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--models", nargs="+", default=[bundled.NAME, *bundled.HARDENED], metavar="NAME")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    plain = load_model(bundled.NAME)
    x, y = windows(plain, options.clips, options.seed)
    carried = {snr: attacked(plain, x, y, snr, options.seed) for snr in SNRS}
    print(f"{options.clips} windows of the test split, seed {options.seed}; shares that stay right")
    print(f"{'':18} {'':>6}  worst case at       carried over at     at {MIDDLE:g} dB {'':21} smallest")
    columns = " ".join(f"{snr:4.0f} dB" for snr in SNRS)
    print(f"{'model':18} {'clean':>6}  {columns}  {columns}  {'CE':>5} {'margin':>7} {'noise':>6}   L2, median")
    for name in options.models:
        model = load_model(name)
        found = robustness(model, x, y, SNRS, seed=options.seed)
        print(row(model, found, {snr: right(model, sounds, y) for snr, sounds in carried.items()}), flush=True)
        if watching_layer(model):
            own = attacked(model, x, y, MIDDLE, options.seed)
            noisy = attack_batch(model, x, "noise", labels=y, snr=MIDDLE, seed=options.seed).adversarial
            print(
                f"{'':18} AUC of its {watching_layer(model)} at {MIDDLE:g} dB: {auc(model, x, own):.2f} for attacked, "
                f"{auc(model, x, noisy):.2f} for noisy windows",
                flush=True,
            )
    low, high = wilson(options.clips / 2, options.clips)
    print(f"95 % interval of a half: {low:.0%} to {high:.0%}")


def windows(model: Classifier, clips: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first window `(clips, window)` of each test clip at the model's rate, and its label number."""
    parts, labels = [], []
    for made in dataset(clips, seed, "test"):
        parts.append(Track(Clip(made.samples[None], made.sample_rate), model).piece(0, 1))
        labels.append(LABELS.index(made.label))
    return torch.cat(parts).clamp(-1, 1), torch.tensor(labels)


def attacked(model: Classifier, x: torch.Tensor, y: torch.Tensor, snr: float, seed: int) -> torch.Tensor:
    """Windows that the margin attack changed, at the whole of the SNR's budget."""
    return attack_batch(model, x, "pgd", labels=y, snr=snr, seed=seed, loss="margin", stop_early=False).adversarial


def right(model: Classifier, x: torch.Tensor, y: torch.Tensor) -> float:
    with torch.inference_mode():
        said = torch.cat([model.logits(part).argmax(1) for part in x.split(model.micro_batch)])
    return float((said == y).float().mean())


def row(model: Classifier, found: Robustness, carried: dict[float, float]) -> str:
    worst = " ".join(f"{found.right[snr][WORST] / found.windows:7.0%}" for snr in SNRS)
    over = " ".join(f"{share:7.0%}" for share in carried.values())
    middle = found.right[MIDDLE]
    ce, margin, noise = (f"{middle[attack] / found.windows:.0%}" for attack in (CROSS_ENTROPY, MARGIN, NOISE))
    return (
        f"{model.name:18} {found.clean / found.windows:6.0%}  {worst}  {over}  {ce:>5} {margin:>7} {noise:>6}   "
        f"{found.smallest_db:.1f} dB"
    )


if __name__ == "__main__":
    main()
