"""Fit the detectors that are shipped for the bundled models, on synthetic clips of the reference split.

    python packaging/make_detectors.py                       # all detectors for toy-instruments: some minutes on one core
    python packaging/make_detectors.py --detector kde lid    # some of them
    python packaging/make_detectors.py --model toy-outlier   # for another bundled model

Run again with the same arguments on the same machine, it gives the same detectors.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from mirguard.clip import Clip  # noqa: E402
from mirguard.datasets.synthesis import LABELS, dataset  # noqa: E402
from mirguard.detectors.kept import SUFFIX, keep  # noqa: E402
from mirguard.detectors.sample import Sample  # noqa: E402
from mirguard.experiment.detecting import fit_detectors  # noqa: E402
from mirguard.models.bundled import NAME  # noqa: E402
from mirguard.models.load_file import load_model_file  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=NAME)
    parser.add_argument("--detector", nargs="*", metavar="NAME")
    parser.add_argument("--clips", type=int, default=600, help="clean clips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--into", type=Path, default=ROOT / "resources", help="folder to write into")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model_file(options.into / "models" / options.model)
    clips = (
        Clip(clip.samples, clip.sample_rate, provenance={"name": f"{clip.label} {index // len(LABELS) + 1}"})
        for index, clip in enumerate(dataset(options.clips, options.seed, "reference"))
    )
    began = time.perf_counter()

    def tell(sentence: str, _fraction: float | None) -> None:
        print(f"{time.perf_counter() - began:6.1f} s  {sentence}", flush=True)

    clean = Sample.of(model, clips, f"{options.clips} synthetic clips of the reference split")
    made = fit_detectors(
        model, clean, options.detector, seed=options.seed, attacked=2 * options.clips, keeping=False, progress=tell
    )
    for name, detector in made.detectors.items():
        path = keep(detector, options.into / "detectors" / model.name / f"{name}{SUFFIX}")
        print(f"{name}: {path.stat().st_size / 1024:.0f} kB, threshold at 5 % {detector.threshold(0.05):.4g}")
    for name, trouble in made.troubles.items():
        print(f"{name}: {trouble}")


if __name__ == "__main__":
    main()
