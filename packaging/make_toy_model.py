"""Make what is bundled of the toy model: train it, judge it, build its clean reference, render the demonstration clip.

    python packaging/make_toy_model.py            # about eight minutes on two cores; writes into resources/

Everything is synthesised from a seed: nothing is downloaded and nothing here belongs to anyone else. Run again with the same
arguments on the same machine, it gives the same model.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402

from mirguard.channel.resample import Resampler  # noqa: E402
from mirguard.clip import Clip, load_clip, save_clip  # noqa: E402
from mirguard.datasets.demonstration import INSTRUMENT, demonstration  # noqa: E402
from mirguard.datasets.synthesis import LABELS, RATE, SECONDS, VERSION, dataset, render  # noqa: E402
from mirguard.detectors.kde import Kde  # noqa: E402
from mirguard.detectors.reference import Reference  # noqa: E402
from mirguard.models.decision import SINGLE_LABEL, track_logits  # noqa: E402
from mirguard.models.front_end import LogMel  # noqa: E402
from mirguard.models.networks.log_mel_cnn import LogMelCnn, save_log_mel_cnn  # noqa: E402
from mirguard.models.toy import NAME, load_toy  # noqa: E402
from mirguard.models.tracks import classify  # noqa: E402
from mirguard.models.training.loop import Epoch, Recipe, train, window_logits  # noqa: E402

FRONT_END = {"sample_rate": 16_000, "n_fft": 1024, "hop": 320, "n_mels": 64, "fmin": 30.0}
WINDOW = 32_000  # samples: 2 s
VALIDATION_CLIPS = 300
TEST_CLIPS = 600


def main() -> None:
    options = _options()
    torch.set_num_threads(options.workers)
    torch.set_flush_denormal(True)
    weights = options.into / "models" / f"{NAME}.safetensors"
    if not options.keep_weights:
        _make(weights, options)
    _bundle(weights, options)
    for path in sorted(p for p in options.into.rglob("*") if p.suffix in (".safetensors", ".flac")):
        print(f"{path.stat().st_size / 1024:7.0f} KiB  {path}")


def _make(weights: Path, options: argparse.Namespace) -> None:
    """Synthesise, train, judge on the test split, write."""
    began = time.perf_counter()
    train_set = _heard(options.clips, "train", options)
    validation = _heard(VALIDATION_CLIPS, "validation", options)
    test = _heard(TEST_CLIPS, "test", options)
    made = time.perf_counter() - began
    count = options.clips + VALIDATION_CLIPS + TEST_CLIPS
    print(f"{count} clips synthesised in {made:.0f} s ({60 * count / made:.0f} a minute)", flush=True)

    torch.manual_seed(options.seed)
    front_end, network = LogMel(**FRONT_END), LogMelCnn(len(LABELS)).to(memory_format=torch.channels_last)
    began = time.perf_counter()
    recipe = Recipe(epochs=options.epochs, seed=options.seed)
    train(front_end, network, *train_set, window=WINDOW, recipe=recipe, validation=validation, progress=_tell)
    trained = time.perf_counter() - began
    clips, windows = _judge(front_end, network, *test)
    print(
        f"trained in {trained:.0f} s; test split: {clips:.1%} of clips, {windows:.1%} of windows are right", flush=True
    )

    weights.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "synthesis": VERSION,
        "seed": options.seed,
        "clips": options.clips,
        "epochs": options.epochs,
        "test_clips": TEST_CLIPS,
        "clip_accuracy": round(clips, 4),
        "window_accuracy": round(windows, 4),
    }
    save_log_mel_cnn(weights, network, front_end=FRONT_END, window=WINDOW, labels=LABELS, training=about)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=3000, help="training clips (default 3000)")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--reference-clips", type=int, default=300, help="clean clips in the detectors' reference")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes and threads")
    parser.add_argument("--keep-weights", action="store_true", help="make only the reference and the clip anew")
    parser.add_argument("--into", type=Path, default=ROOT / "resources", help="folder to write into")
    return parser.parse_args()


def _heard(count: int, split: str, options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Clips of a split at the model's rate, through the resampler that the model hears every clip through."""
    clips, labels = render(count, options.seed, split, workers=options.workers)
    resampler = Resampler(RATE, FRONT_END["sample_rate"])
    frames = resampler.length(clips.shape[1])
    first, last = resampler.span(0, frames)
    heard = []
    for start in range(0, count, 64):
        some = torch.from_numpy(clips[start : start + 64])
        some = torch.nn.functional.pad(some, (-first, last - clips.shape[1]))
        heard.append(resampler(some, 0, frames).numpy())
    return np.concatenate(heard), labels


def _tell(epoch: Epoch) -> None:
    print(
        f"epoch {epoch.number:2d} of {epoch.of}: loss {epoch.loss:.3f}, right {epoch.accuracy:.1%} in training, "
        f"{epoch.validation:.1%} in validation, {epoch.seconds:.0f} s",
        flush=True,
    )


def _judge(front_end, network, sounds: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy on clips (the mean of their windows decides) and on windows; prints the confusion of clips."""
    logits = window_logits(front_end, network, sounds, window=WINDOW)
    wanted = torch.from_numpy(labels)
    said = track_logits(logits, SINGLE_LABEL).argmax(-1)
    confusion = torch.zeros(len(LABELS), len(LABELS), dtype=torch.int64)
    confusion.index_put_((wanted, said), torch.ones_like(wanted), accumulate=True)
    for label, row in zip(LABELS, confusion.tolist(), strict=True):
        print(f"  {label:15}" + "".join(f"{n:5d}" for n in row))
    windows = (logits.argmax(-1) == wanted[:, None]).double().mean()
    return float((said == wanted).double().mean()), float(windows)


def _bundle(weights: Path, options: argparse.Namespace) -> None:
    """The clean reference and the demonstration clip, both checked with the weights as written."""
    model = load_toy(weights)
    clean = (
        Clip(clip.samples, clip.sample_rate, provenance={"name": f"{clip.label} {index // len(LABELS) + 1}"})
        for index, clip in enumerate(dataset(options.reference_clips, options.seed, "reference"))
    )
    reference = Reference.from_clips(model, clean, f"{options.reference_clips} synthetic clips of the reference split")
    reference.save(options.into / "references" / f"{NAME}.safetensors")
    print(f"reference: {reference.size} clips of {SECONDS:g} s")

    demo = options.into / "demo" / "demo.flac"
    demo.parent.mkdir(parents=True, exist_ok=True)
    save_clip(demonstration(), demo)
    decision = classify(model, load_clip(demo))
    flagged = Kde(reference)
    print(f"demonstration: {decision.label} ({decision.confidence:.1%}), windows {', '.join(decision.windows)}")
    print(f"threshold of kde at 5 % of clean clips: {flagged.threshold(0.05):.2f}")
    if decision.label != INSTRUMENT:
        raise SystemExit(f"The demonstration clip should be heard as {INSTRUMENT}; train longer or change the clip.")


if __name__ == "__main__":
    main()
