"""Make the bundled toy models without gradients: logistic regression, SVM, decision tree, k nearest neighbours.

    python packaging/make_toy_learners.py                     # all of them, into resources/models/
    python packaging/make_toy_learners.py toy-tree            # one of them

They learn from statistics of log-mel bands over windows of 2 s, of the same synthetic sounds that the toy networks are trained on,
and are there for attacks that need no gradients and for transfer between kinds of models. Nobody expects them to be as good as the
networks: their cards say how good they are. With --cache FOLDER, sounds are kept there, for make_toy_models.py as well.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import make_toy_models as networks
import numpy as np
import torch

from mirguard import __version__
from mirguard.datasets.synthesis import LABELS, VERSION
from mirguard.models.decision import SINGLE_LABEL, track_logits
from mirguard.models.learners.fit import fit_learner
from mirguard.models.learners.rules import Rule
from mirguard.models.learners.saved import save_learner
from mirguard.models.learners.statistics import LAYER, Statistics
from mirguard.models.load_file import load_model_file
from mirguard.models.training.methods import LOGISTIC, NEAREST, SVM, TREE, find_method, plain
from mirguard.models.training.report import Report
from mirguard.parameters import resolve

LARGEST = 600 * 1024  # bytes of a model's weights
# Name -> learner, title, what it is for, parameters. Kept windows are limited by what a file may weigh.
PLANS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "toy-logistic": (
        LOGISTIC,
        "Toy instruments, logistic regression",
        "Linear boundaries between statistics of log-mel bands tell ten synthetic instruments apart; ",
        {"examples": 20_000, "strength": 0.1},
    ),
    "toy-svm": (
        SVM,
        "Toy instruments, SVM",
        "A support vector machine with curved boundaries between statistics of log-mel bands; ",
        {"examples": 2_700, "strength": 4.0},
    ),
    "toy-tree": (
        TREE,
        "Toy instruments, decision tree",
        "Yes-or-no questions on single statistics of log-mel bands; the weakest of the toy models; ",
        {"examples": 20_000, "depth": 14, "leaf": 8},
    ),
    "toy-nearest": (
        NEAREST,
        "Toy instruments, nearest neighbours",
        "The most similar of 2,700 windows of synthetic instruments decide; ",
        {"examples": 2_700, "neighbours": 5},
    ),
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    source = Statistics()
    learned = _features(source, options.clips, "train", options)
    held_out = _features(source, networks.TEST_CLIPS, "test", options)
    for name in options.models or PLANS:
        _make(name, source, learned, held_out, options)


def _options() -> argparse.Namespace:
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", choices=[*PLANS, []], metavar="MODEL", help=f"some of {', '.join(PLANS)}")
    parser.add_argument("--clips", type=int, default=4000, help="training clips (default 4000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=cores, help="processes that synthesise")
    parser.add_argument("--threads", type=int, default=cores, help="threads that listen")
    parser.add_argument("--cache", type=Path, help="folder to keep the sounds in")
    parser.add_argument("--into", type=Path, default=networks.ROOT / "resources", help="folder to write into")
    return parser.parse_args()


def _features(
    source: Statistics, clips: int, split: str, options: argparse.Namespace
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of all windows, the label number of each, and the clip that it belongs to."""
    sounds, labels = networks._heard(clips, split, options)
    count = sounds.shape[1] // source.window
    parts = []
    with torch.inference_mode():
        for sound in sounds:
            windows = torch.from_numpy(np.asarray(sound[: count * source.window], np.float32)).view(count, -1)
            parts.append(source(windows).numpy())
    return np.concatenate(parts), np.repeat(labels, count), np.repeat(np.arange(clips), count)


def _make(name: str, source: Statistics, learned: tuple, held_out: tuple, options: argparse.Namespace) -> None:
    learner, title, note, given = PLANS[name]
    values = resolve(find_method(learner).parameters, given)
    features, labels, clip = learned
    began = time.perf_counter()
    rule, chosen = fit_learner(
        learner,
        features,
        labels,
        clip,
        [str(number) for number in range(options.clips)],
        classes=len(LABELS),
        parameters=values,
        seed=options.seed,
    )
    seconds = time.perf_counter() - began
    report = _judge(rule, *held_out)
    print(f"{name}: {report.sentence}, {report.window_accuracy:.1%} of windows, {seconds:.0f} s", flush=True)
    card = {
        "made": "trained",
        "method": learner,
        "version": __version__,
        "seed": options.seed,
        "seconds": round(seconds),
        "lineage": [f"toy dataset, version {VERSION}, split train, seed {options.seed}"],
        "data": {
            "name": "toy instruments, half A of the training data",
            "source": f"synthesised by MIRGuard, version {VERSION}, seed {options.seed}, CC0",
            "clips": {"train": options.clips, "validation": 0, "test": networks.TEST_CLIPS},
            "groups": "individual instruments and rooms, drawn apart for each split",
            "split": "given",
            "skipped": 0,
            "warnings": [f"Synthetic sounds alone: {networks.WARNING}"],
        },
        "parameters": plain(values) | chosen,
        "test": report.card(),
        "gradient": {
            "reaches": False,
            "verdict": "none",
            "sentence": "No gradients: only attacks that need none can be used.",
        },
    }
    file = save_learner(
        options.into / "models" / name,
        name,
        learner=learner,
        source=source,
        read=(LAYER,),
        rule=rule,
        labels=LABELS,
        title=title,
        note=note + networks.WARNING,
        card=card,
    )
    size = file.weights_path.stat().st_size
    print(f"{size / 1024:7.0f} KiB  {file.weights_path}")
    if size > LARGEST:
        raise SystemExit(f"{name} is larger than {LARGEST // 1024} KiB: let it learn from fewer windows.")
    model = load_model_file(file)
    again = model.decide(torch.from_numpy(held_out[0][:100])).argmax(1).numpy()
    if not np.array_equal(again, rule(held_out[0][:100]).argmax(1)):
        raise SystemExit(f"{name} decides differently once it is saved.")


def _judge(rule: Rule, features: np.ndarray, labels: np.ndarray, clip: np.ndarray) -> Report:
    """Figures on the test clips: the mean of a clip's windows decides."""
    logits = torch.from_numpy(rule(features))
    clips = int(clip.max()) + 1
    said = track_logits(logits.view(clips, -1, len(LABELS)), SINGLE_LABEL).argmax(-1).numpy()
    return Report.of(LABELS, labels[:: len(labels) // clips], said, clip, logits.argmax(-1).numpy())


if __name__ == "__main__":
    main()
