"""What it saves that finished clips leave the batch: a `pgd` study against the same schedule with every clip in every step.

    python tests/benchmarks/finished_clips.py [--clips N] [--snr DB] [--steps N] [--threads N]

The reference is a plain loop over all clips and all steps that keeps, of each clip, the first candidate that fools; both
must end with the same sounds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
import torch.nn.functional as F

from mirguard.attacks.losses import margin
from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack_batch
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier

CONFIDENCE = 0.1


def full_loop(model: Classifier, x: torch.Tensor, snr: float, steps: int) -> torch.Tensor:
    """L2 PGD, all clips in every step; of each the first candidate that fools by `CONFIDENCE`."""
    z = torch.cat([model.logits(part) for part in x.split(model.micro_batch)])
    labels = z.argmax(1)
    level = x.square().mean(1).sqrt()
    epsilon = (level * 10 ** (-snr / 20))[:, None]
    delta, kept = torch.zeros_like(x), torch.zeros_like(x)
    found = torch.zeros(len(x), dtype=torch.bool)
    for step in range(steps + 1):
        gradients = []
        for part, noise, own in zip(*(of.split(model.micro_batch) for of in (x, delta, labels)), strict=True):
            leaf = noise.clone().requires_grad_()
            z = model.logits(part + leaf)
            gradients.append((z.detach(), torch.autograd.grad(-F.cross_entropy(z, own, reduction="sum"), leaf)[0]))
        z = torch.cat([seen for seen, _ in gradients])
        gap = margin(z, labels, None)
        new = (gap > 0) & (gap >= CONFIDENCE) & ~found
        kept[new], found = delta[new], found | new
        if step < steps:
            g = torch.cat([slope for _, slope in gradients])
            delta = delta - 2.5 / steps * epsilon * g / g.square().mean(1).sqrt()[:, None]
            delta *= (epsilon / delta.square().mean(1).sqrt()[:, None].clamp_min(1e-30)).clamp_max(1.0)
            delta = torch.maximum(torch.minimum(delta, 1.0 - x), -1.0 - x)
    return torch.where(found[:, None], x + kept, torch.nan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=256)
    parser.add_argument("--snr", type=float, default=25.0)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    model = load_model(NAME)
    clips = dataset(options.clips, 77, "test", model.sample_rate)
    x = torch.stack([torch.from_numpy(clip.samples[: model.window]) for clip in clips])
    attack_batch(model, x[:8], "pgd", snr=options.snr, steps=2)

    start = time.perf_counter(), time.process_time()
    study = attack_batch(model, x, "pgd", snr=options.snr, steps=options.steps, confidence=CONFIDENCE)
    between = time.perf_counter(), time.process_time()
    full = full_loop(model, x, options.snr, options.steps)
    end = time.perf_counter(), time.process_time()

    clock, cpu = (between[k] - start[k] for k in (0, 1))
    full_clock, full_cpu = (end[k] - between[k] for k in (0, 1))
    both = study.success & torch.isfinite(full[:, 0])
    difference = (study.adversarial[both] - full[both]).abs().amax(1)
    print(
        f"{model.name}, {options.clips} windows of {model.window / model.sample_rate:g} s, {options.steps} steps at "
        f"{options.snr:g} dB, {options.threads} thread(s), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        f"fooled: {int(study.success.sum())} by the study, {int(torch.isfinite(full[:, 0]).sum())} by the full loop; "
        f"{int((difference < 1e-5).sum())} sounds are the same to 1e-5, the largest difference is {float(difference.max()):.1e}"
    )
    print(
        f"passes: {int(study.forwards.sum())} of {options.clips * (options.steps + 1)}; time {clock:.1f} s against "
        f"{full_clock:.1f} s: ratio {clock / full_clock:.2f} [processor time {cpu / full_cpu:.2f}]"
    )


if __name__ == "__main__":
    main()
