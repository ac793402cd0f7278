"""What attacks without gradients do to the shipped models on clips that no setting was chosen on, beside white noise.

    python tests/benchmarks/black_box.py [--clips 12] [--seed 77] [--queries 1000] [--attacks NAME ...] [--models NAME ...]

Counted are windows of 2 s that the model gets right. An attack has fooled it if another label comes out at 20 dB SNR or more (25 dB
for learners, which noise at 20 dB fools too often to tell much) within the questions; `queries` is the median of those it fooled,
all of them for attacks that go on to make δ smaller, and the SNR is the median of what they ended at. White noise has one draw, and
as many draws as the attacks have questions. Defaults take some 5 minutes of one core.
"""

from __future__ import annotations

import argparse
import os

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack_batch
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.tracks import Track

ATTACKS = ("square", "nes", "boundary", "hopskipjump", "substitute")
MODELS = ("toy-instruments", "toy-magnitude-cnn", *bundled.LEARNERS)
SNR, SNR_OF_LEARNERS = 20.0, 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--attacks", nargs="+", default=ATTACKS)
    parser.add_argument("--models", nargs="+", default=MODELS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    made = list(dataset(options.clips, options.seed, "test"))
    print(f"{len(made)} clips, seed {options.seed}, {options.queries} questions, load {os.getloadavg()[0]:.1f}")
    for name in options.models:
        model = load_model(name)
        x = torch.cat([Track(Clip(one.samples[None], one.sample_rate), model).piece(0, 1) for one in made])
        truth = torch.tensor([model.index(one.label) for one in made])
        with torch.no_grad():
            x = x[model.logits(x).argmax(1) == truth]
        snr = SNR_OF_LEARNERS if name in bundled.LEARNERS else SNR
        print(f"\n{name}: {len(x)} windows it gets right, {snr:g} dB\n  {'':16}  fooled  queries      SNR")
        for attack in options.attacks:
            tell(attack, attack_batch(model, x, attack, snr=snr, seed=options.seed, queries=options.queries))
        for draws in (1, options.queries):
            title = f"noise, {draws} draw{'s' if draws > 1 else ''}"
            tell(title, attack_batch(model, x, "noise", snr=snr, seed=options.seed, restarts=draws))


def tell(title: str, found) -> None:
    fooled = found.success
    line = f"  {title:16} {int(fooled.sum()):3d}/{len(fooled)}"
    if fooled.any():
        line += (
            f"  {float(found.forwards[fooled].float().median()):7.0f}  {float(found.snr_db[fooled].median()):4.1f} dB"
        )
    print(line, flush=True)


if __name__ == "__main__":
    main()
