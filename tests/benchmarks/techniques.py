"""Every attack with its default settings on the same fresh windows: one row of the README's table of techniques each.

    python tests/benchmarks/techniques.py [--clips 20] [--model toy-instruments] [--attack NAME ...]

Attacks with a budget are given 30 dB, those that see only answers 20 dB; those that look for the smallest perturbation have
none. Those that need a target go for the least likely label. Strength is the share fooled and the median SNR of those; cost is
the median of gradients and of questions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from mirguard.attacks.catalogue import find_attack, list_attacks
from mirguard.attacks.knowledge import LIMITED, NONE, ZERO
from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.errors import MirguardError
from mirguard.experiment import attack
from mirguard.models.catalogue import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--model", default="toy-instruments")
    parser.add_argument("--attack", nargs="*", default=[found.name for found in list_attacks()])
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    model = load_model(options.model)
    seconds = model.window / model.sample_rate
    clips = [
        Clip(made.samples[None][:, : round(seconds * made.sample_rate)], made.sample_rate)
        for made in dataset(options.clips, 2077, "test")
    ]
    print(f"{model.name}, {len(clips)} windows, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("| attack | knowledge | goal | norm | budget | fooled | median SNR | gradients | questions | s |")
    for name in options.attack:
        print(_row(name, model, clips), flush=True)


def _row(name: str, model, clips: list[Clip]) -> str:
    found = find_attack(name)
    settings, budget = _settings(found)
    outcomes, began = [], time.perf_counter()
    try:
        for clip in clips:
            outcomes.append(attack(model, clip, name, **settings))
    except MirguardError as error:
        return f"| {name} | {error} |"
    took = (time.perf_counter() - began) / len(clips)
    fooling = [outcome for outcome in outcomes if outcome.success]
    snr = f"{statistics.median(one.snr_db for one in fooling):.1f} dB" if fooling else "–"
    goal = " or ".join(word for word, on in (("untargeted", found.untargeted), ("targeted", found.targeted)) if on)
    norms = next((p.choices for p in found.parameters if p.name == "norm"), (found.norm,))
    cells = (
        name,
        found.knowledge,
        goal,
        ", ".join(norm or "–" for norm in norms),
        budget,
        f"{len(fooling)}/{len(clips)}",
        snr,
        f"{statistics.median(one.gradients for one in outcomes):.0f}",
        f"{statistics.median(one.forwards for one in outcomes):.0f}",
        f"{took:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def _settings(found) -> tuple[dict, str]:
    """What the attack is given beside its defaults, and the budget in words."""
    settings: dict = {} if found.untargeted else {"goal": "least-likely"}
    declared = next((p for p in found.parameters if p.name == "epsilon"), None)
    if declared is None or not callable(declared.default):
        return settings, "none"
    snr = 20.0 if found.knowledge in (LIMITED, NONE, ZERO) else 30.0
    return settings | {"snr": snr}, f"{snr:.0f} dB"


if __name__ == "__main__":
    main()
