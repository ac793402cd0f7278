"""`mirguard detect`."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import chosen_model, each_file, model_option, tell


def _detect(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.detectors.catalogue import FPR, find_detector, list_detectors
    from mirguard.detectors.detect import fit, require_reference
    from mirguard.detectors.reference import hear

    names = [find_detector(name).name for name in options.detector or [known.name for known in list_detectors()]]
    fpr = FPR.check(options.fpr)
    model = chosen_model(options)
    reference = require_reference(model, options.reference)
    for sentence in reference.skipped if options.reference else ():
        tell(f"left out of the reference: {sentence}")
    detectors = [fit(name, model, reference) for name in names]
    for detector in detectors:
        detector.threshold(fpr)  # a reference too small for the rate is said once, before any file is heard

    def one(name: str) -> dict[str, Any]:
        features, decision = hear(model, load_clip(name))
        readings = [detector.read(features, decision, fpr) for detector in detectors]
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
        "reference": {"source": reference.source, "clips": reference.size, "skipped": list(reference.skipped)},
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
