"""Make the bundled toy models: synthesise sounds, train, judge, write each with its card; then the demonstration clip.

    python packaging/make_toy_models.py                          # all of them: about forty minutes on two cores
    python packaging/make_toy_models.py toy-crnn --workers 1     # one of them
    python packaging/make_toy_models.py --only-demonstration     # what is bundled besides models

Everything is synthesised from a seed: nothing is downloaded and nothing here belongs to anyone else. Run again with the same
arguments on the same machine, it gives the same models. With --cache FOLDER, sounds are kept there and need not be made again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from mirguard import __version__  # noqa: E402
from mirguard.channel.resample import Resampler  # noqa: E402
from mirguard.clip import load_clip, save_clip  # noqa: E402
from mirguard.datasets.demonstration import INSTRUMENT, demonstration  # noqa: E402
from mirguard.datasets.synthesis import LABELS, RATE, VERSION, render  # noqa: E402
from mirguard.models.architectures import SAMPLE_RATE, find_architecture  # noqa: E402
from mirguard.models.bundled import NAME  # noqa: E402
from mirguard.models.decision import SINGLE_LABEL, track_logits  # noqa: E402
from mirguard.models.front_ends import make_front_end  # noqa: E402
from mirguard.models.imports.gradient_check import check_gradient  # noqa: E402
from mirguard.models.load_file import load_model_file  # noqa: E402
from mirguard.models.networks.saved import save_network  # noqa: E402
from mirguard.models.tracks import classify  # noqa: E402
from mirguard.models.training.loop import Epoch, Recipe, train, window_logits  # noqa: E402
from mirguard.models.training.report import Report  # noqa: E402

VALIDATION_CLIPS = 300
TEST_CLIPS = 600
LEAST = 0.95  # of the test clips must be right, or nothing is written
HALVES = {"train": "A", "train-b": "B"}
WARNING = "what it says of recorded music means little."


@dataclass(frozen=True)
class Plan:
    """How one model is made: its architecture, the training splits it hears and how many clips of each."""

    name: str
    architecture: str
    title: str
    note: str
    recipe: dict[str, Any]
    splits: tuple[str, ...] = ("train",)
    clips: int = 4000
    settings: dict[str, Any] = field(default_factory=dict)


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            NAME,
            "log-mel-cnn",
            "Toy instruments",
            "Tells ten synthetic instruments apart, having been trained on nothing but synthetic sounds: " + WARNING,
            {"epochs": 12},
        ),
        Plan(
            "toy-instruments-b",
            "log-mel-cnn",
            "Toy instruments, other data",
            "The same network as toy-instruments, trained on synthetic sounds of other players in other rooms: for attacks by "
            "somebody who knows the kind of model but has only data of their own; " + WARNING,
            {"epochs": 12},
            splits=("train-b",),
        ),
        Plan(
            "toy-magnitude-mlp",
            "magnitude-mlp",
            "Toy instruments, magnitude MLP",
            "Single frames of the magnitude spectrum vote on ten synthetic instruments (Kereliuk et al. 2015); "
            + WARNING,
            {"epochs": 12},
            splits=("train", "train-b"),  # frames alone tell less: it needs to hear more of them
            settings={"dropout": 0.1},
        ),
        Plan(
            "toy-magnitude-cnn",
            "magnitude-cnn",
            "Toy instruments, magnitude CNN",
            "Tall convolutions on the magnitude spectrum tell ten synthetic instruments apart (Kereliuk et al. 2015); "
            + WARNING,
            {"epochs": 8},
            splits=("train", "train-b"),  # likewise: its kernels know no two pitches for the same
        ),
        Plan(
            "toy-raw-cnn",
            "raw-cnn",
            "Toy instruments, raw-waveform CNN",
            "Hears the samples themselves, no spectrogram, and tells ten synthetic instruments apart; " + WARNING,
            {"epochs": 12},
            splits=("train", "train-b"),  # what front ends are given, it needs to hear more to learn
        ),
        Plan(
            "toy-crnn",
            "crnn",
            "Toy instruments, CRNN",
            "Convolutions and recurrent units tell ten synthetic instruments apart; " + WARNING,
            {"epochs": 12},
        ),
    )
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    wanted = [] if options.only_demonstration else options.models or list(PLANS)
    for name in wanted:
        _make(PLANS[name], options)
    if options.only_demonstration or NAME in wanted:
        _bundle(options)
    for path in sorted(p for p in options.into.rglob("*") if p.suffix in (".safetensors", ".flac")):
        print(f"{path.stat().st_size / 1024:7.0f} KiB  {path}")


def _known(name: str) -> str:
    if name not in PLANS:
        raise argparse.ArgumentTypeError(f"there is no model {name!r}; there are {', '.join(PLANS)}")
    return name


def _options() -> argparse.Namespace:
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=_known, metavar="MODEL", help=f"some of {', '.join(PLANS)}")
    parser.add_argument("--clips", type=int, help="training clips of each split (default: as planned for the model)")
    parser.add_argument("--epochs", type=int, help="default: as planned for the model")
    parser.add_argument("--only-demonstration", action="store_true", help="make only the clip anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=cores, help="processes that synthesise")
    parser.add_argument("--threads", type=int, default=cores, help="threads that train")
    parser.add_argument("--cache", type=Path, help="folder to keep the sounds in")
    parser.add_argument("--into", type=Path, default=ROOT / "resources", help="folder to write into")
    return parser.parse_args()


# -- One model -----------------------------------------------------------------------------------------------------------


def _make(plan: Plan, options: argparse.Namespace) -> None:
    """Synthesise, train, judge on the test split, write."""
    architecture = find_architecture(plan.architecture)
    clips, window = options.clips or plan.clips, architecture.window()
    print(f"-- {plan.name}", flush=True)
    training = [_heard(clips, split, options) for split in plan.splits]
    sounds, labels = (np.concatenate(parts) if len(parts) > 1 else parts[0] for parts in zip(*training, strict=True))
    validation, test = _heard(VALIDATION_CLIPS, "validation", options), _heard(TEST_CLIPS, "test", options)

    torch.manual_seed(options.seed)
    front_end = make_front_end(architecture.representation(), SAMPLE_RATE, window)
    network = architecture.build(len(LABELS), plan.settings)
    recipe = {**architecture.recipe, **plan.recipe, **({"epochs": options.epochs} if options.epochs else {})}
    recipe = Recipe(**recipe, seed=options.seed)
    began = time.perf_counter()
    train(front_end, network, sounds, labels, window=window, recipe=recipe, validation=validation, progress=_tell)
    seconds = time.perf_counter() - began
    report = _judge(front_end, network, *test, window)
    print(
        f"trained in {seconds:.0f} s; test split: {report.sentence}, {report.window_accuracy:.1%} of windows",
        flush=True,
    )
    if report.clip_accuracy < LEAST:
        raise SystemExit(
            f"{plan.name} is right on less than {LEAST:.0%} of the test clips: train it longer or on more."
        )
    file = save_network(
        options.into / "models" / plan.name,
        plan.name,
        architecture=plan.architecture,
        network=network,
        representation=architecture.representation(),
        sample_rate=SAMPLE_RATE,
        window=window,
        labels=LABELS,
        title=plan.title,
        note=plan.note,
        card=_card(plan, recipe, clips * len(plan.splits), seconds, report),
    )
    check = check_gradient(load_model_file(file), seed=options.seed)
    replace(file, card={**file.card, "gradient": check.card()}).write()
    print(check.sentence, flush=True)


def _heard(count: int, split: str, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Clips of a split at the models' rate, through the resampler that a model hears every clip through.

    In half precision, which rounds 70 dB below the sound: less than the noise that training adds.
    """
    kept = options.cache and options.cache / f"toy-{VERSION}-{split}-{options.seed}-{count}.npy"
    if kept and kept.exists():
        return np.load(kept, mmap_mode="r"), np.arange(count) % len(LABELS)
    began = time.perf_counter()
    clips, labels = render(count, options.seed, split, workers=options.workers)
    resampler = Resampler(RATE, SAMPLE_RATE)
    frames = resampler.length(clips.shape[1])
    first, last = resampler.span(0, frames)
    heard = np.empty((count, frames), np.float16)
    for start in range(0, count, 64):
        some = torch.from_numpy(clips[start : start + 64])
        some = torch.nn.functional.pad(some, (-first, last - clips.shape[1]))
        heard[start : start + 64] = resampler(some, 0, frames).numpy()
    made = time.perf_counter() - began
    print(f"{count} clips of {split} synthesised in {made:.0f} s ({60 * count / made:.0f} a minute)", flush=True)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, heard)
    return heard, labels


def _tell(epoch: Epoch) -> None:
    print(
        f"epoch {epoch.number:2d} of {epoch.of}: loss {epoch.loss:.3f}, right {epoch.accuracy:.1%} in training, "
        f"{epoch.validation:.1%} in validation, {epoch.seconds:.0f} s",
        flush=True,
    )


def _judge(front_end, network, sounds: np.ndarray, labels: np.ndarray, window: int) -> Report:
    """Figures on the test clips (the mean of a clip's windows decides); prints which is taken for which."""
    logits = window_logits(front_end, network, sounds, window=window)
    said = track_logits(logits, SINGLE_LABEL).argmax(-1).numpy()
    clip = np.repeat(np.arange(len(labels)), logits.shape[1])
    report = Report.of(LABELS, labels, said, clip, logits.argmax(-1).flatten().numpy())
    for label, row in zip(LABELS, report.confusion, strict=True):
        print(f"  {label:15}" + "".join(f"{n:5d}" for n in row))
    return report


def _card(plan: Plan, recipe: Recipe, clips: int, seconds: float, report: Report) -> dict[str, Any]:
    halves = " and ".join(HALVES[split] for split in plan.splits)
    return {
        "made": "trained",
        "method": plan.architecture,
        "version": __version__,
        "seed": recipe.seed,
        "seconds": round(seconds),
        "lineage": [f"toy dataset, version {VERSION}, split {split}, seed {recipe.seed}" for split in plan.splits],
        "data": {
            "name": f"toy instruments, half {halves} of the training data",
            "source": f"synthesised by MIRGuard, version {VERSION}, seed {recipe.seed}, CC0",
            "clips": {"train": clips, "validation": VALIDATION_CLIPS, "test": TEST_CLIPS},
            "groups": "individual instruments and rooms, drawn apart for each split",
            "split": "given",
            "skipped": 0,
            "warnings": ["Synthetic sounds alone: " + WARNING],
        },
        "parameters": {
            "epochs": recipe.epochs,
            "batch": recipe.batch,
            "learning_rate": recipe.learning_rate,
            "weight_decay": recipe.weight_decay,
            "label_smoothing": recipe.label_smoothing,
            "gain_db": list(recipe.gain_db),
            "noise_db": list(recipe.noise_db),
        },
        "test": report.card(),
    }


# -- What is bundled besides -----------------------------------------------------------------------------------------------


def _bundle(options: argparse.Namespace) -> None:
    """The demonstration clip, checked with the model as written."""
    model = load_model_file(options.into / "models" / NAME)
    demo = options.into / "demo" / "demo.flac"
    demo.parent.mkdir(parents=True, exist_ok=True)
    save_clip(demonstration(), demo)
    decision = classify(model, load_clip(demo))
    print(f"demonstration: {decision.label} ({decision.confidence:.1%}), windows {', '.join(decision.windows)}")
    if decision.label != INSTRUMENT:
        raise SystemExit(f"The demonstration clip should be heard as {INSTRUMENT}; train longer or change the clip.")


if __name__ == "__main__":
    main()
