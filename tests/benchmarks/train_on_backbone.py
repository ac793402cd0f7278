"""Seconds from a folder of labelled sounds to a saved classifier on a backbone: heard for the first time, and again.

    python tests/benchmarks/train_on_backbone.py [--classes 10] [--clips 10] [--seconds 15] [--threads 2] [--method musicnn-msd]

The folder is synthesised (one class an instrument of the toy dataset), split by clip, and trained on with an empty cache and again
with what that left. Accuracy is by clip, on held-out clips, with its 95 % interval; synthetic sounds say nothing of real music.
Processor time (of all threads) is disturbed least by other work on the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch

from mirguard.clip import Clip, save_clip
from mirguard.datasets.folder import labelled_folder
from mirguard.datasets.splits import split
from mirguard.datasets.synthesis import LABELS, RATE, synthesise
from mirguard.models.catalogue import load_model
from mirguard.models.training.cache import Cache
from mirguard.models.training.make import train_classifier
from mirguard.models.training.methods import BACKBONE, find_method
from mirguard.models.training.progress import TrainingProgress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--clips", type=int, default=10, help="of each class")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--method", default="musicnn-msd")
    parser.add_argument("--keep", type=Path, help="make the folder there, or use it if it is there, and leave it")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters of the method")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    given = dict(pair.split("=", 1) for pair in options.set)

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        sounds = options.keep or place / "sounds"
        if not sounds.is_dir():
            make(sounds, options)
        if find_method(options.method).kind == BACKBONE:
            load_model(options.method)  # fetching it is no part of training
        cache = Cache(place / "cache")
        print(f"{options.method}, {options.threads} threads")
        for what in ("nothing heard yet", "heard before"):
            began, used = time.perf_counter(), time.process_time()
            dataset = split(labelled_folder(sounds), seed=0)
            watch = Watch()
            made = train_classifier(
                dataset, "new", options.method, folder=place, replace=True, cache=cache, progress=watch, **given
            )
            seconds, used = time.perf_counter() - began, time.process_time() - used
            stages = ", ".join(f"{stage} {part:.1f} s" for stage, part in watch.done().items())
            print(f"  {what:18}: {seconds:5.1f} s to the saved classifier ({stages}), {used:.1f} s of the processor")
        size = sum(os.path.getsize(path) for path in made.file.folder.iterdir())
        print(f"  right: {made.report.sentence}; {size / 1024:.0f} KiB, cache {cache.size() / 2**20:.1f} MiB")


def make(folder: Path, options: argparse.Namespace) -> None:
    for number, label in enumerate(LABELS[: options.classes]):
        (folder / label).mkdir(parents=True)
        for clip in range(options.clips):
            samples = synthesise(label, 1000 * number + clip, seconds=options.seconds)
            save_clip(
                Clip(samples, RATE), folder / label / f"{label} {'abcdefghijklmnopqrstuvwxyz'[clip % 26]}{clip}.flac"
            )
    print(f"made {options.classes} classes × {options.clips} clips of {options.seconds:g} s")


class Watch:
    """How long each stage took."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}

    def __call__(self, progress: TrainingProgress) -> None:
        self._began.setdefault(progress.stage, time.perf_counter())

    def done(self) -> dict[str, float]:
        moments = [*self._began.values(), time.perf_counter()]
        return {stage: moments[n + 1] - moments[n] for n, stage in enumerate(self._began)}


if __name__ == "__main__":
    main()
