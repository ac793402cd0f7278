"""What attacks made on some of the shipped models do to the others at one SNR, beside white noise: tables, and what they show.

    python tests/benchmarks/transfer.py [--clips 96] [--seed 77] [--snr 20] [--attacks fgsm pgd] [--steps 20]
        [--goals untargeted targeted] [--block 8] [--json FILE]

Sources are the shipped networks one by one and, for each, all other networks in equal parts (leave one out, as in Liu et al. 2017);
targets are these and the models without gradients (as in Papernot, McDaniel & Goodfellow 2016). The clips are fresh: nothing was
trained, tuned or chosen on them. A cell counts the clips that the target gets right without the attack. Every source meets the same
clips, so differences are judged clip for clip. With --json the matrices are kept, one document in a list. Defaults take some 10
minutes of one core, most of it pgd's; `--steps` is of attacks that take steps. minimal-l2 can be named as well.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from mirguard.attacks.attack import STEPS
from mirguard.attacks.catalogue import find_attack
from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.experiment.transfer import GOALS, UNTARGETED, Cell, TransferMatrix, transfer_matrix
from mirguard.intervals import wilson
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.tracks import Track

HALVES = ("toy-instruments", "toy-instruments-b")

Which = Callable[[Cell], bool]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=96)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--snr", type=float, default=20.0)
    parser.add_argument("--attacks", nargs="+", default=["fgsm", "pgd"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--block", type=int, default=8, help="clips that the jackknife leaves out together")
    parser.add_argument("--goals", nargs="+", choices=GOALS, default=GOALS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    networks = [load_model(name) for name in bundled.NETWORKS]
    targets = [*networks, *(load_model(name) for name in bundled.LEARNERS)]
    made = list(dataset(options.clips, options.seed, "test"))
    x = torch.stack([Track(Clip(one.samples[None], one.sample_rate), networks[0]).piece(0, 1)[0] for one in made])
    truth = [one.label for one in made]
    sources = [*networks, *([other for other in networks if other is not one] for one in networks)]
    print(f"{len(x)} windows of 2 s, seed {options.seed}, {options.snr:g} dB SNR, load {os.getloadavg()[0]:.1f}")
    kept = []
    for attack in options.attacks:
        steps = {"steps": options.steps} if STEPS in find_attack(attack).parameters else {}
        for goal in options.goals:
            blocks = [
                transfer_matrix(
                    sources,
                    targets,
                    x[first : first + options.block],
                    truth[first : first + options.block],
                    attack,
                    snr=options.snr,
                    goal=goal,
                    seed=options.seed,
                    **steps,
                )
                for first in range(0, len(x), options.block)
            ]
            kept.append(together(blocks))
            show(kept[-1])
            judge(blocks, goal)
            if options.json:
                options.json.write_text(json.dumps([one.to_json() for one in kept]))


def together(blocks: list[TransferMatrix]) -> TransferMatrix:
    """One matrix of all clips."""
    cells = tuple(
        replace(same[0], hits=sum(cell.hits for cell in same), clips=sum(cell.clips for cell in same))
        for same in zip(*(block.cells for block in blocks), strict=True)
    )
    return replace(blocks[0], sounds=sum(block.sounds for block in blocks), cells=cells)


def show(matrix: TransferMatrix) -> None:
    print(f"\n{matrix.attack}, {matrix.goal}: % of the clips the target gets right; [white box]")
    print(" " * 28 + "".join(f"{name.removeprefix('toy-')[:11]:>12}" for name in matrix.targets))
    for sources in matrix.sources:
        row = [matrix.cell(sources, target) for target in matrix.targets]
        figures = (f"[{100 * cell.rate:.0f}]" if cell.known else f"{100 * cell.rate:.0f}" for cell in row)
        print(f"{title(sources):28}" + "".join(f"{figure:>12}" for figure in figures))


def title(sources: tuple[str, ...]) -> str:
    if not sources:
        return "white noise"
    if len(sources) == 1:
        return sources[0]
    (without,) = set(bundled.NETWORKS) - set(sources)
    return f"all but {without.removeprefix('toy-')}"


def judge(blocks: list[TransferMatrix], goal: str) -> None:
    """What the figures say of the two papers' claims."""

    def group(single: bool, of: tuple[str, ...]) -> Which:
        return lambda cell: (len(cell.sources) == 1) == single and not cell.known and cell.target in of and cell.sources

    def noise_on(of: tuple[str, ...]) -> Which:
        return lambda cell: not cell.sources and cell.target in of

    one_to_one, left_out = group(True, bundled.NETWORKS), group(False, bundled.NETWORKS)
    across = group(True, bundled.LEARNERS)
    for what, which in (
        ("white noise, a network", noise_on(bundled.NETWORKS)),
        ("white noise, a learner", noise_on(bundled.LEARNERS)),
        ("one network, another network", one_to_one),
        ("all other networks, the one left out", left_out),
        ("one network, a learner", across),
        ("five networks, a learner", group(False, bundled.LEARNERS)),
        ("one half's model, the other half's", lambda cell: {cell.target, *cell.sources} == set(HALVES)),
    ):
        print(f"  {what:36} {words(blocks, which)}")
    if goal == UNTARGETED:
        say(
            "Papernot et al.: what is made on networks fools other techniques more than noise does",
            difference(blocks, across, noise_on(bundled.LEARNERS)),
        )
        say(
            "Liu et al.: untargeted examples transfer from a single model more than noise does",
            difference(blocks, one_to_one, noise_on(bundled.NETWORKS)),
        )
    else:
        say(
            "Liu et al.: targets barely transfer from a single model (below 25 %)",
            difference(blocks, None, one_to_one, 0.25),
        )
        say(
            "Liu et al.: targets transfer better from an ensemble than from a single model",
            difference(blocks, left_out, one_to_one),
        )


def say(claim: str, found: tuple[float, float, float]) -> None:
    """Confirmed where the whole interval of the difference has the right sign, contradicted where it has the wrong one."""
    verdict = "confirmed" if found[1] > 0 else "contradicted" if found[2] < 0 else "undecided"
    points, low, high = (100 * value for value in found)
    print(f"  {claim}: {verdict} here (by {points:.0f} points, {low:.0f} to {high:.0f}).")


def difference(
    blocks: list[TransferMatrix], found: Which | None, base: Which, fixed: float = 0.0
) -> tuple[float, float, float]:
    """The pooled rate of some cells (or `fixed`) over that of others, and its 95 % interval by the jackknife over blocks of clips:
    cells of one clip are no independent trials, and both rates are of the same clips."""

    def of(some: list[TransferMatrix]) -> float:
        return (fixed if found is None else pooled(some, found)) - pooled(some, base)

    count = len(blocks)
    without = np.array([of(blocks[:number] + blocks[number + 1 :]) for number in range(count)])
    error = np.sqrt((count - 1) * without.var())
    half = float(stats.t.ppf(0.975, count - 1) * error) if count > 1 else np.inf
    return of(blocks), of(blocks) - half, of(blocks) + half


def pooled(blocks: list[TransferMatrix], which: Which) -> float:
    cells = [cell for block in blocks for cell in block.cells if which(cell)]
    return sum(cell.hits for cell in cells) / max(1, sum(cell.clips for cell in cells))


def words(blocks: list[TransferMatrix], which: Which) -> str:
    """A rate, and an interval as wide as if there were no more trials than clips."""
    rate, sounds = pooled(blocks, which), sum(block.sounds for block in blocks)
    low, high = wilson(rate * sounds, sounds)
    return f"{rate:5.1%} ({low:.0%} to {high:.0%})"


if __name__ == "__main__":
    sys.exit(main())
