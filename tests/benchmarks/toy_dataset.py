"""How fast the toy dataset is made, in clips a minute, with one process and with one a core.

python tests/benchmarks/toy_dataset.py [CLIPS]      # default 400
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from mirguard.datasets.synthesis import compose
from mirguard.datasets.toy_files import make_toy


def main(clips: int) -> None:
    cores = os.cpu_count() or 1
    began = time.perf_counter()
    for seed in range(100):
        compose(("flute", "drums", "organ", "mallet")[seed % 4], seed)
    alone = 6_000 / (time.perf_counter() - began)
    print(f"synthesis alone, one process, nothing written: {alone:.0f} clips a minute")
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for workers in sorted({1, cores}):
            began = time.perf_counter()
            made = make_toy(Path(folder) / str(workers), clips, 0, workers=workers)
            seconds = time.perf_counter() - began
            found[workers] = made.checksum
            print(
                f"{clips} clips of 4 s with {workers} process(es): {seconds:.1f} s, {60 * clips / seconds:.0f} a minute, "
                f"{made.bytes / clips / 1024:.0f} KiB a clip, load {os.getloadavg()[0]:.1f}"
            )
    print("the files are identical" if len(set(found.values())) == 1 else "THE FILES DIFFER")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 400)
