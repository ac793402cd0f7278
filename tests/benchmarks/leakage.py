"""How long the leakage check takes: listening, and comparing all with all.

    python tests/benchmarks/leakage.py [FOLDER]      # a labelled folder; default: 60 toy clips of 30 s

Comparing grows with the square of the number of clips, so it is also measured on a thousand made-up fingerprints of 30 s.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mirguard.datasets.fingerprint import BANDS, SECONDS, Fingerprint, matches
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.leakage import check_leakage
from mirguard.datasets.toy_files import make_toy


def made_up(frames: int, rng: np.random.Generator) -> Fingerprint:
    """Bits that change as slowly as those of music, about as many of them set."""
    walk = np.cumsum(rng.standard_normal((frames + 8, BANDS - 1)), axis=0)
    return Fingerprint(walk[8:] - walk[:-8] > 2.2)


def main(folder: str | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        if folder is None:
            folder = str(make_toy(Path(temporary) / "toy", 60, 0, seconds=30.0).folder)
        dataset = labelled_folder(folder)
        began, used = time.perf_counter(), time.process_time()
        leakage = check_leakage(dataset)
        seconds, used = time.perf_counter() - began, time.process_time() - used
    print(f"{len(dataset.items)} clips: {seconds:.1f} s ({used:.1f} s of processor), load {os.getloadavg()[0]:.1f}")
    print(*leakage.sentences, sep="\n")
    rng = np.random.default_rng(0)
    prints = [made_up(round(30 / SECONDS), rng) for _ in range(1000)]
    began, used = time.perf_counter(), time.process_time()
    found = sum(len(pairs) for _, pairs in matches(prints))
    seconds, used = time.perf_counter() - began, time.process_time() - used
    print(f"all of 1000 fingerprints of 30 s with all: {seconds:.1f} s ({used:.1f} s of processor), {found} pairs")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
