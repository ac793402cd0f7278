"""How good the bundled models are on test clips that nothing was trained, tuned or chosen on.

    python tests/benchmarks/toy_models.py [CLIPS] [SEED]      # default 600 clips of seed 77

The cards give accuracy on the test split's clips of seed 0, on which architectures and features were also compared while they were
made. Other seeds give other phrases by the same test players, who are heard in no training split.
"""

from __future__ import annotations

import sys

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.intervals import wilson
from mirguard.models import bundled
from mirguard.models.catalogue import load_model
from mirguard.models.decision import decide
from mirguard.models.tracks import Track


def main(clips: int, seed: int) -> None:
    torch.set_flush_denormal(True)
    models = [load_model(name) for name in bundled.NAMES]
    right = dict.fromkeys(bundled.NAMES, 0)
    for made in dataset(clips, seed, "test"):
        clip = Clip(made.samples[None], made.sample_rate)
        with torch.inference_mode():
            for model in models:
                track = Track(clip, model)
                logits = model.logits(track.piece(0, track.windows))
                right[model.name] += decide(logits, model.labels, model.task).label == made.label
    print(f"{clips} clips of the test split, seed {seed}")
    for model in models:
        low, high = wilson(right[model.name], clips)
        print(f"  {model.name:18} {right[model.name] / clips:6.1%} right, 95 % interval {low:.1%} to {high:.1%}")


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:3] + ["600", "77"][len(sys.argv[1:3]) :])))
