"""The smallest perturbations that `minimal-l2` and `minimal-linf` find, against DDN's and FMN's of other libraries.

    python tests/benchmarks/minimal_norm.py [--model NAME ...] [--rows N] [--quick]

Untargeted on correctly classified two-second windows of the toy test set. `minimal` takes 40 gradients against 100 of the
peer's, and 120 against 1,000 (not with --quick). DDN is foolbox's, FMN secml-torch's, whose step (full scale
for images) is set to 0.03: of
0.03, 0.01, 0.003 and 0.001 the one with which it found the smallest and always something.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peers
import torch

from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack_batch
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier


def windows(model: Classifier, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`rows` windows that the model gets right, and their labels."""
    clips = list(dataset(2 * rows, 1, "test", model.sample_rate))
    x = torch.stack([torch.from_numpy(clip.samples[: model.window]) for clip in clips])
    labels = torch.tensor([model.index(clip.label) for clip in clips])
    with torch.no_grad():
        right = model.logits(x).argmax(1) == labels
    return x[right][:rows], labels[right][:rows]


def peer(norm: str, steps: int) -> peers.Peer:
    if norm == "l2":
        return peers.by_foolbox("DDNAttack", steps=steps)
    return peers.by_secml("fmn:FMN", "linf", num_steps=steps, step_size=0.03, y_target=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["toy-instruments", "toy-raw-cnn"])
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    for name in options.model:
        model = load_model(name)
        x, labels = windows(model, options.rows)
        for norm, theirs in (("l2", "DDN"), ("linf", "FMN")):
            order = 2.0 if norm == "l2" else math.inf
            for steps, peer_steps in ((40, 100),) if options.quick else ((40, 100), (120, 1000)):
                ours = attack_batch(model, x, f"minimal-{norm}", labels=labels, steps=steps, confidence=0.0)
                other = peer(norm, peer_steps)(model, x, labels)
                size = torch.where(ours.success, ours.l2 if norm == "l2" else ours.linf, torch.inf)
                fooled = model.logits(x + other.delta).argmax(1) != labels
                peer_size = torch.where(fooled, other.delta.norm(order, dim=1), torch.inf)
                print(
                    f"{name} {norm}: minimal {float(size.median()):.3g} with {int(ours.gradients.max())} gradients, "
                    f"{theirs} {float(peer_size.median()):.3g} with {other.gradients:.0f}: ratio of medians "
                    f"{float(size.median() / peer_size.median()):.3f}, median ratio {float((size / peer_size).median()):.3f} "
                    f"({len(x)} windows, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
