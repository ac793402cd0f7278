"""What the way through oracle, problem and ledger costs: `pgd` against the bare forward and backward passes that it makes.

    python tests/benchmarks/oracle_overhead.py [--steps N] [--rows N] [--repeats N] [--threads N]

The attack is L2 on a batch of two-second windows on the bundled model and never stops early; it hears the windows three
times more than it differentiates (the labels before, the last candidate, the check of the result), and so does the bare
loop. Both take turns, and medians are compared: on the clock, and in brackets of processor time, which other work on the
machine disturbs less.

On Linux, glibc hands freed memory back to the system and fetches it again, which strikes the one way or the other by chance
and costs more than what is measured here. To keep that out:

    MALLOC_TRIM_THRESHOLD_=1000000000 MALLOC_MMAP_THRESHOLD_=1000000000 python tests/benchmarks/oracle_overhead.py
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F

from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack_batch
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier

AROUND = 3  # passes without a gradient


def attack(model: Classifier, x: torch.Tensor, steps: int) -> None:
    done = attack_batch(model, x, "pgd", snr=40.0, steps=steps, stop_early=False)
    assert done.gradients.tolist() == [steps] * len(x)
    assert done.forwards.tolist() == [steps + 1] * len(x)  # the two others lie outside the ledger


def passes(model: Classifier, x: torch.Tensor, steps: int) -> None:
    with torch.no_grad():
        for _ in range(AROUND):
            labels = model.logits(x).argmax(1)
    for _ in range(steps):
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(F.cross_entropy(model.logits(leaf), labels, reduction="sum"), leaf)


def seconds(work: Callable, *arguments: object) -> tuple[float, float]:
    """On the clock, and of processor time."""
    start, used = time.perf_counter(), time.process_time()
    work(*arguments)
    return time.perf_counter() - start, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model = load_model(NAME)
    clips = dataset(options.rows, 1, "test", model.sample_rate)
    x = torch.stack([torch.from_numpy(clip.samples[: model.window]) for clip in clips])

    ways = {"pgd": attack, "bare": passes}
    for work in ways.values():
        work(model, x, 2)  # warm up
    taken: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(options.repeats):
        for way, work in ways.items():
            taken[way].append(seconds(work, model, x, options.steps))
    (clock, cpu), (bare_clock, bare_cpu) = (
        [median(figures) for figures in zip(*taken[way], strict=True)] for way in ways
    )
    print(
        f"{model.name}, {options.rows} windows of {model.window / model.sample_rate:g} s, {options.steps} steps, "
        f"{options.threads} thread(s), median of {options.repeats}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"pgd {clock / options.steps * 1000:.1f} ms a step, bare passes {bare_clock / options.steps * 1000:.1f} ms: "
        f"ratio {clock / bare_clock:.3f} [processor time {cpu / bare_cpu:.3f}]"
    )


if __name__ == "__main__":
    main()
