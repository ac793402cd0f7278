"""How many gradients Carlini & Wagner's L2 attack takes: ours against foolbox's and ART's on the bundled model.

    python tests/benchmarks/cw_gradients.py [--clips N] [--foolbox-steps N] [--art-steps N] [--threads N]

A peer's median L2 is what ours has to reach; counted are the gradients of one clip until the median over the clips of the
smallest adversarial δ so far is down to that. Peers get the best of a few step sizes, since theirs are for images.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import peers
import torch

from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier


def ours(model: Classifier, x: torch.Tensor, searches: int, steps: int) -> tuple[list[float], torch.Tensor]:
    """The median of the smallest adversarial L2 so far after each gradient, and the final norms."""
    smallest, medians = torch.full((len(x),), torch.inf), []

    def note(step) -> None:
        size = torch.where(step.margin > 0, step.delta.norm(dim=1), torch.inf)
        torch.minimum(smallest, size, out=smallest)
        medians.append(float(smallest.median()))

    found = attack(model, x, "cw-l2", confidence=0.0, searches=searches, steps=steps, progress=note)
    return medians, torch.where(found.success, found.l2, torch.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--foolbox-steps", type=int, default=100)
    parser.add_argument("--art-steps", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model = load_model(NAME)
    clips = list(dataset(2 * options.clips, 77, "test", model.sample_rate))
    x = torch.stack([torch.from_numpy(clip.samples[: model.window]) for clip in clips])
    truth = torch.tensor([model.labels.index(clip.label) for clip in clips])
    with torch.no_grad():
        right = model.logits(x).argmax(1) == truth
    x, truth = x[right][: options.clips], truth[right][: options.clips]

    start = time.perf_counter()
    medians, final = ours(model, x, searches=3, steps=80)
    took = time.perf_counter() - start
    print(
        f"{model.name}, {len(x)} windows, {options.threads} thread(s), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} "
        f"cores; cw-l2: median L2 {float(final.median()):.4f} after {len(medians)} gradients, {took:.0f} s"
    )
    for name, peer, sizes in (
        ("foolbox", _foolbox(options.foolbox_steps), (1e-4, 1e-3, 1e-2)),
        ("ART", _art(options.art_steps), (1e-3, 1e-2, 1e-1)),
    ):
        best = None
        for size in sizes:
            found = peer(size)(model, x, truth)
            with torch.no_grad():
                fooled = model.logits(x + found.delta).argmax(1) != truth
            median = float(torch.where(fooled, found.delta.norm(dim=1), torch.inf).median())
            print(f"  {name}, step size {size:g}: median L2 {median:.4f}, {found.gradients:.0f} gradients a clip")
            if best is None or median < best[0]:
                best = median, found.gradients
        reached = next((count for count, value in enumerate(medians, 1) if value <= best[0]), None)
        if reached is None:
            print(f"  {name}'s {best[0]:.4f} is not reached")
        else:
            print(
                f"  {name}'s best is reached after {reached} gradients: 1/{best[1] / reached:.0f} of its {best[1]:.0f}"
            )


def _foolbox(steps: int):
    return lambda size: peers.by_foolbox("L2CarliniWagnerAttack", steps=steps, stepsize=size, binary_search_steps=9)


def _art(steps: int):
    return lambda size: peers.by_art(
        "CarliniL2Method", learning_rate=size, max_iter=steps, binary_search_steps=10, batch_size=16
    )


if __name__ == "__main__":
    main()
