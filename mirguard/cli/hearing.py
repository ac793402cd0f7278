"""`mirguard classify` and `mirguard compare`."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import chosen_model, each_file, model_option, show_json
from mirguard.errors import UsageError


def _classify(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.models.tracks import classify

    if options.top < 1:
        raise UsageError(f"How many labels to show (--top) is at least 1; got {options.top}.")
    model = chosen_model(options)

    def one(name: str) -> dict[str, Any]:
        clip = load_clip(name)
        decision = classify(model, clip)
        return {
            "file": name,
            "label": decision.label,
            "confidence": decision.confidence,
            "windows": len(decision.windows),
            "top": [{"label": label, "confidence": p} for label, p in decision.top(options.top)],
            "seconds": clip.duration,
            "clip_hash": clip.hash,
        }

    def show(found: dict[str, Any]) -> None:
        print(found["file"])
        for entry in found["top"]:
            print(f"  {entry['confidence']:7.1%}  {entry['label']}")

    return each_file(options, {"model": model.name, "model_hash": model.hash}, one, show)


def _compare(options: argparse.Namespace) -> int:
    from mirguard.analysis.measures import compare
    from mirguard.clip import load_clip

    figures = compare(load_clip(options.original), load_clip(options.processed))
    if options.json:
        show_json({"original": options.original, "processed": options.processed, **figures})
        return 0
    for name, value in figures.items():
        print(f"  {name:18} {'–' if value is None else f'{value:.4g}'}")
    return 0


def _classify_arguments(parser: argparse.ArgumentParser) -> None:
    model_option(parser)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--top", type=int, default=5, metavar="N", help="how many labels to show (default 5)")


def _compare_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("original", metavar="ORIGINAL")
    parser.add_argument("processed", metavar="PROCESSED")


COMMANDS = {
    "classify": ("What does a model hear in these files?", _classify_arguments, _classify),
    "compare": ("How far is a processed sound from its original?", _compare_arguments, _compare),
}
