"""Milliseconds per window of musicnn's forward and forward + backward pass: the plain network and ours.

    python tests/benchmarks/model_pass.py [--threads N ...] [--batch N] [--rounds N] [--sweep]

The plain network is `tests/reference_musicnn.py` (one torch call a layer, gradient with respect to the waveform only).
Plain and ours take turns and the best of all rounds counts, so that other work on the machine disturbs both alike; the
processor time (of all threads) in brackets is disturbed least.
`--sweep` prints, for ours, what a pass of each micro-batch costs and what its graph keeps in memory.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]

import torch  # noqa: E402
from reference_musicnn import ReferenceMusicnn, random_variables  # noqa: E402

from mirguard.models.contract import Classifier  # noqa: E402
from mirguard.models.published.fetch import is_ready, published_weights  # noqa: E402
from mirguard.models.published.musicnn import musicnn  # noqa: E402


def forward(logits: Callable, waveform: torch.Tensor) -> None:
    with torch.inference_mode():
        logits(waveform)


def both(logits: Callable, waveform: torch.Tensor) -> None:
    waveform = waveform.detach().requires_grad_()
    torch.autograd.grad(logits(waveform).sum(), waveform)


def milliseconds(work: Callable, *arguments: object) -> tuple[float, float]:
    """On the clock, and of processor time."""
    start, used = time.perf_counter(), time.process_time()
    work(*arguments)
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - used)


def graph_bytes(model: Classifier, waveform: torch.Tensor) -> int:
    """What a forward pass keeps for its backward pass, each storage counted once; the model's own tensors are not."""
    own = {t.untyped_storage().data_ptr() for part in (model.front_end, model.network) for t in part.buffers()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        logits = model.logits(waveform.detach().requires_grad_())
    total = sum(kept.values())
    del logits
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, torch.get_num_threads()])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sweep", action="store_true")
    options = parser.parse_args()

    torch.set_flush_denormal(True)
    real = is_ready("musicnn-mtt")
    variables = published_weights("musicnn-mtt") if real else random_variables()
    ours, network = musicnn("musicnn-mtt", variables), ReferenceMusicnn(variables)
    waveform = 0.1 * torch.randn(options.batch, ours.window, generator=torch.Generator().manual_seed(0))
    ways = {"plain": lambda x: network(ours.represent(x)), "ours": ours.logits}
    print(f"musicnn-mtt, {'published' if real else 'random'} weights, batch of {options.batch} windows of 2.99 s")
    for threads in dict.fromkeys(options.threads):
        torch.set_num_threads(threads)
        best: dict[tuple[str, str], list[float]] = {}
        for _ in range(options.rounds + 1):  # the first round warms up; keeping it harms no minimum
            for way, logits in ways.items():
                for what, work in (("forward", forward), ("forward + backward", both)):
                    taken = [figure / options.batch for figure in milliseconds(work, logits, waveform)]
                    best[way, what] = [min(pair) for pair in zip(best.get((way, what), taken), taken, strict=True)]
        for what in ("forward", "forward + backward"):
            (plain, plain_cpu), (tuned, tuned_cpu) = best["plain", what], best["ours", what]
            print(
                f"  {threads} thread(s), {what:18}: {plain:6.1f} -> {tuned:5.1f} ms a window ({plain / tuned:.1f}x)"
                f" [{plain_cpu:.1f} -> {tuned_cpu:.1f} ms, {plain_cpu / tuned_cpu:.1f}x]"
            )
        if options.sweep:
            for size in (1, 2, 4, 8, 16):
                windows = waveform[:1].expand(size, -1).contiguous()
                taken = [min(milliseconds(work, ours.logits, windows)[0] for _ in range(3)) for work in (forward, both)]
                kept = graph_bytes(ours, windows) / size / 2**20
                print(
                    f"    micro-batch {size:2}: forward {taken[0]:6.1f} ms, both {taken[1]:6.1f} ms a pass "
                    f"({taken[1] / size:.1f} a window), graph {kept:.1f} MiB a window"
                )


if __name__ == "__main__":
    main()
