"""What it costs to let all fitted detectors score one window, in steps of pgd on the same model (medians, taken in turns).

    python tests/benchmarks/detector_speed.py [MODEL]      # default toy-instruments, with its shipped detectors

The pass of the model itself, which an attack makes anyway, is left out: `score` is what detectors make of the activations.
Detectors that are read when the engine rests (dropout, consistency) are counted apart.
"""

from __future__ import annotations

import os
import statistics
import sys
import time

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.detectors.sample import hear
from mirguard.experiment.detecting import fitted_detectors
from mirguard.models.catalogue import load_model

REPEATS = 30


def main(name: str) -> None:
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    model = load_model(name)
    detectors = fitted_detectors(model)
    made = next(iter(dataset(1, 77, "test")))
    clip = Clip(made.samples[None], made.sample_rate)
    x = torch.from_numpy(clip.mono().copy())[: model.window]
    x = torch.nn.functional.pad(x, (0, model.window - len(x)))[None]
    _digests, decision = hear(model, clip, ())
    times: dict[str, list[float]] = {"step": [], "all": [], **{one.name: [] for one in detectors}}
    for _ in range(REPEATS):
        times["step"].append(_timed(lambda: _step(model, x)))
        spent = 0.0
        for one in detectors:
            with torch.no_grad():
                heard, z = model.activations(x, one.layers)
                took = _timed(lambda one=one, heard=heard, z=z: one.score(one.digest(heard, z), decision.label))
            times[one.name].append(took)
            spent += 0.0 if one.scored_at_rest else took
        times["all"].append(spent)
    step = statistics.median(times["step"])
    print(
        f"{name}: one step of pgd on a window {step * 1e3:.1f} ms, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for one in detectors:
        took = statistics.median(times[one.name])
        rests = "  (when the engine rests)" if one.scored_at_rest else ""
        print(f"  {one.name:14} {took * 1e3:7.2f} ms  {took / step:6.3f} steps{rests}")
    together = statistics.median(times["all"])
    print(f"  {'together':14} {together * 1e3:7.2f} ms  {together / step:6.3f} steps (less than 1 is wanted)")


def _timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _step(model, x: torch.Tensor) -> torch.Tensor:
    """Forwards, backwards, step, projection: what pgd does at the least."""
    leaf = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(model.logits(leaf).logsumexp(1).sum(), leaf)
    return (x + 1e-3 * g / g.norm()).clamp(-1, 1)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "toy-instruments")
