"""What attacks made on some of the shipped models do to the others at one SNR, beside white noise: tables, and what they show.

    python tests/benchmarks/transfer.py [--clips 40] [--seed 77] [--snr 20] [--attacks fgsm pgd minimal-l2] [--json FILE]

Sources are the shipped networks one by one and, for each, all other networks in equal parts (leave one out, as in Liu et al. 2017);
targets are these and the models without gradients (as in Papernot, McDaniel & Goodfellow 2016). The clips are fresh: nothing was
trained, tuned or chosen on them. A cell counts the clips that the target gets right without the attack. With --json the matrices
are kept, one document in a list.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.experiment.transfer import GOALS, UNTARGETED, Cell, TransferMatrix, transfer_matrix
from mirguard.intervals import wilson
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.tracks import Track

HALVES = ("toy-instruments", "toy-instruments-b")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--snr", type=float, default=20.0)
    parser.add_argument("--attacks", nargs="+", default=["fgsm", "pgd", "minimal-l2"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    networks = [load_model(name) for name in bundled.NETWORKS]
    targets = [*networks, *(load_model(name) for name in bundled.LEARNERS)]
    made = list(dataset(options.clips, options.seed, "test"))
    x = torch.stack([Track(Clip(one.samples[None], one.sample_rate), networks[0]).piece(0, 1)[0] for one in made])
    sources = [*networks, *([other for other in networks if other is not one] for one in networks)]
    print(f"{len(x)} windows of 2 s, seed {options.seed}, {options.snr:g} dB SNR, load {os.getloadavg()[0]:.1f}")
    kept = []
    for attack in options.attacks:
        for goal in GOALS:
            matrix = transfer_matrix(
                sources, targets, x, [one.label for one in made], attack, snr=options.snr, goal=goal, seed=options.seed
            )
            kept.append(matrix)
            show(matrix)
            judge(matrix)
            if options.json:
                options.json.write_text(json.dumps([one.to_json() for one in kept]))


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


def judge(matrix: TransferMatrix) -> None:
    """What the figures say of the two papers' claims. Cells of one clip are no independent trials: an interval is as wide as if
    there were as many trials as clips."""
    noise = [cell for cell in matrix.cells if not cell.sources]
    single = [cell for cell in matrix.cells if len(cell.sources) == 1 and not cell.known]
    ensemble = [cell for cell in matrix.cells if len(cell.sources) > 1 and not cell.known]
    learners = [cell for cell in single if cell.target in bundled.LEARNERS]
    print(f"  {'white noise':36} {words(pooled(noise, matrix.sounds))}")
    one_to_one = pooled([cell for cell in single if cell.target in bundled.NETWORKS], matrix.sounds)
    left_out = pooled([cell for cell in ensemble if cell.target in bundled.NETWORKS], matrix.sounds)
    across = pooled(learners, matrix.sounds)
    for what, found in (
        ("one network, another network", one_to_one),
        ("all other networks, the one left out", left_out),
        ("one network, a learner", across),
        (
            "five networks, a learner",
            pooled([cell for cell in ensemble if cell.target in bundled.LEARNERS], matrix.sounds),
        ),
        (
            "one half's model, the other half's",
            pooled([cell for cell in single if {cell.target, *cell.sources} == set(HALVES)], matrix.sounds),
        ),
    ):
        print(f"  {what:36} {words(found)}")
    if matrix.goal == UNTARGETED:
        of_learners = pooled([cell for cell in noise if cell.target in bundled.LEARNERS], matrix.sounds)
        of_networks = pooled([cell for cell in noise if cell.target in bundled.NETWORKS], matrix.sounds)
        say(
            "Papernot et al.: what is made on networks fools other techniques more than noise does", across, of_learners
        )
        say("Liu et al.: untargeted examples transfer from a single model", one_to_one, of_networks)
    else:
        barely = "confirmed" if one_to_one[2] < 0.25 else "contradicted" if one_to_one[1] > 0.25 else "undecided"
        print(f"  Liu et al.: targets barely transfer from a single model (below 25 %): {barely} here.")
        say("Liu et al.: targets transfer better from an ensemble than from a single model", left_out, one_to_one)


def say(claim: str, found: tuple[float, float, float], base: tuple[float, float, float]) -> None:
    """Confirmed where the intervals lie apart the right way, contradicted where the wrong way."""
    verdict = "confirmed" if found[1] > base[2] else "contradicted" if found[2] < base[1] else "undecided"
    print(f"  {claim}: {verdict} here ({words(found)} against {words(base)}).")


def pooled(cells: list[Cell], sounds: int) -> tuple[float, float, float]:
    rate = sum(cell.hits for cell in cells) / max(1, sum(cell.clips for cell in cells))
    return rate, *wilson(rate * sounds, sounds)


def words(found: tuple[float, float, float]) -> str:
    return f"{found[0]:5.1%} ({found[1]:.0%} to {found[2]:.0%})"


if __name__ == "__main__":
    sys.exit(main())
