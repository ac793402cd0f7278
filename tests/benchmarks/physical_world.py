"""Which adversarial sounds are undone on their way to the model: Kurakin's destruction rate by effect and strength.

    python tests/benchmarks/physical_world.py [--clips N] [--draws N] [--snr DB] [--threads N]

Three attacks on toy clips: `minimal-l2`, whose perturbations lie just behind the model's boundary; `pgd`, which uses its whole
budget; and the same `pgd` seen through draws of a room and of noise (expectation over transformations). Each is heard through
fresh draws of every effect. In brackets how many of the draws still fooled, of all draws. The last column is the share of
originals that the channel leaves right.

Subramanian et al. (DCASE 2019) found white noise to be what undoes most, on average 73.72 % over their models and attacks;
the last lines say whether that is seen here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import RATE, dataset
from mirguard.experiment import attack
from mirguard.experiment.survival import Pair, Survived, survival
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model

WINDOW = 45_000  # samples of each clip: one window of the model

CHANNEL = ("room", "noise:low=-55,high=-35")


def share(row: Survived) -> str:
    rate = "–" if row.destruction is None else f"{row.destruction:.0%}"
    return f"{rate:>6} ({row.fooled / row.draws:4.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--draws", type=int, default=2, help="of each strength, for each clip")
    parser.add_argument("--snr", type=float, default=33.0, help="the budget of pgd")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model = load_model(NAME)
    clips = [(Clip(one.samples[:WINDOW], RATE), one.label) for one in dataset(options.clips, 31, "test")]
    pgd = {"name": "pgd", "snr": options.snr, "steps": 20, "stop_early": False}
    attacks = {
        "minimal-l2": {"name": "minimal-l2"},
        "pgd": pgd,
        "pgd, EOT": {**pgd, "channel": CHANNEL, "draws": 4},
    }
    found = {}
    for name, settings in attacks.items():
        outcomes = [(clip, attack(model, clip, truth=label, **settings)) for clip, label in clips]
        snr = sorted(outcome.snr_db for _clip, outcome in outcomes)
        print(
            f"{name}: {sum(o.success for _c, o in outcomes)} of {len(clips)} succeed, median SNR {snr[len(snr) // 2]:.1f} dB"
        )
        found[name] = survival(model, [Pair.of(clip, outcome) for clip, outcome in outcomes], draws=options.draws)
    print(f"\n{'':32}" + "".join(f"{name:>16}" for name in found) + f"{'originals right':>18}")
    for rows in zip(*(one.rows for one in found.values()), strict=True):
        kept = f"{rows[0].original_right / rows[0].draws:>18.0%}"
        print(f"{rows[0].effect + ' ' + rows[0].strength:32}" + "".join(f"{share(row):>16}" for row in rows) + kept)
    print()
    for name, one in found.items():
        counted = [row for row in one.rows if row.destruction is not None]
        if not counted:
            continue
        strongest = max(counted, key=lambda row: (row.destruction, row.effect == "noise"))
        noise = max(row.destruction or 0.0 for row in one.rows if row.effect == "noise")
        low, high = strongest.interval
        print(
            f"{name}: most is undone by {strongest.effect} {strongest.strength}, {strongest.destruction:.0%} "
            f"({low:.0%} to {high:.0%}); by white noise {noise:.0%}"
        )
    print(f"{CHANNEL} with 4 draws; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else CHANNEL)


if __name__ == "__main__":
    main()
