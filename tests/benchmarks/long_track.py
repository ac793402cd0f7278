"""Memory of an attack on a long track: after loading it is to stay flat, step by step, and to grow with the clip's length only.

    python tests/benchmarks/long_track.py [--minutes N] [--rate HZ] [--channels N] [--steps N] [--attack NAME]

Prints the resident memory before the clip, with it, and at each look of the attack, as multiples of one mono copy of the clip.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import psutil
import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model

MEGABYTE = 2**20


def long_clip(minutes: float, rate: int, channels: int) -> Clip:
    """Toy clips one after the other, over and over."""
    pieces = [piece.samples for piece in dataset(20, 3, "test", rate)]
    loop = np.concatenate(pieces).astype(np.float32)
    frames = round(60 * minutes * rate)
    mono = np.resize(loop, frames)
    return Clip(np.stack([mono * (1.0 - 0.1 * channel) for channel in range(channels)]), rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=44_100)
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--attack", default="pgd")
    options = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model = load_model(NAME)
    process, seen = psutil.Process(), []
    attack(model, long_clip(0.2, options.rate, options.channels), options.attack, snr=30, steps=1)
    before = process.memory_info().rss
    clip = long_clip(options.minutes, options.rate, options.channels)
    unit = clip.frames * 4
    loaded = process.memory_info().rss

    def note(_progress) -> None:
        seen.append(process.memory_info().rss)

    start = time.perf_counter()
    outcome = attack(
        model, clip, options.attack, snr=45, steps=options.steps, stop_early=False, progress=note, subtype="PCM_16"
    )
    took = time.perf_counter() - start
    print(
        f"{options.attack} on {options.minutes:g} min at {options.rate} Hz, {options.channels} channel(s): "
        f"{len(outcome.clean.windows)} windows, {took:.0f} s, load {os.getloadavg()[0]:.1f}"
    )
    print(f"one mono copy {unit / MEGABYTE:.0f} MB; clip in memory {(loaded - before) / unit:.1f} copies")
    print("above the loaded clip, at each look:", " ".join(f"{(rss - loaded) / unit:.1f}" for rss in seen), "copies")
    print(f"after the result: {(process.memory_info().rss - loaded) / unit:.1f} copies; fooled: {outcome.success}")


if __name__ == "__main__":
    main()
