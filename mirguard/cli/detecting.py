"""`mirguard detect`."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import chosen_model, each_file, model_option, tell


def _detect(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.detectors.catalogue import find_detector
    from mirguard.detectors.detector import FPR
    from mirguard.experiment.detecting import detect, fitted_detectors

    for name in options.detector or ():
        find_detector(name)  # told before anything is loaded or heard
    fpr = FPR.check(options.fpr)
    model = chosen_model(options)
    detectors = fitted_detectors(model, options.detector, options.reference)
    rests_on = detectors[0].about
    for sentence in rests_on.skipped if options.reference else ():
        tell(f"left out of the reference: {sentence}")
    for detector in detectors:
        detector.threshold(fpr)  # a reference too small for the rate is said once, before any file is heard

    def one(name: str) -> dict[str, Any]:
        readings = detect(model, load_clip(name), detectors, fpr=fpr)
        return {"file": name, "detectors": {reading.detector: reading.to_json() for reading in readings}}

    def show(found: dict[str, Any]) -> None:
        print(found["file"])
        for name, reading in found["detectors"].items():
            verdict = "FLAGGED" if reading["flagged"] else "not flagged"
            print(
                f"  {name}: {verdict}; score {reading['score']:.4g}, threshold {reading['threshold']:.4g} at "
                f"{reading['fpr']:.1%} false positives, above {reading['percentile']:.0f} % of {reading['clean_clips']} clean clips"
            )

    about = {
        "model": model.name,
        "model_hash": model.hash,
        "reference": {"source": rests_on.source, "clips": rests_on.size, "skipped": list(rests_on.skipped)},
    }
    return each_file(options, about, one, show)


def _arguments(parser: argparse.ArgumentParser) -> None:
    model_option(parser)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--detector", action="append", metavar="NAME", help="which detector (default: all); may be repeated"
    )
    parser.add_argument(
        "--reference", metavar="DIR", help="a folder of clean music; kept for later calls with this model"
    )
    parser.add_argument(
        "--fpr", type=float, default=0.05, metavar="P", help="false-positive rate, counted in clips (default 0.05)"
    )


COMMANDS = {"detect": ("Would a detector flag these files?", _arguments, _detect)}
