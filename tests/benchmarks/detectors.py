"""How well detectors tell attacked clips from others: area under the ROC curve, for attacks that know nothing of them / that evade.

    python tests/benchmarks/detectors.py                            # toy-instruments and its shipped detectors, 40 clips
    python tests/benchmarks/detectors.py --model M --fit DIR --clips-of DIR   # any model, fitted on one folder, held to another
    python tests/benchmarks/detectors.py --musicnn                  # a classifier trained here on musicnn's features of toy clips

Positives are the exported sounds that fool the model, negatives all clips, clean and with white noise at the SNR that the attack
reached. No clip was fitted on. Budgeted attacks use all of --snr; the others stop at the smallest perturbation they find. After
each static figure stands the share of positives flagged at 5 % false positives; of the adaptive attack, how many clips fool the
model and pass the detector at that rate. Intervals are 95 % (clips drawn with replacement).
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from mirguard.clip import Clip
from mirguard.datasets.synthesis import LABELS, dataset
from mirguard.datasets.toy_files import make_toy
from mirguard.detectors.sample import Sample
from mirguard.experiment.detecting import fit_detectors, fitted_detectors
from mirguard.experiment.detection_report import detection_report
from mirguard.experiment.sound_set import divided_folder
from mirguard.models.catalogue import load_model

ATTACKS = ("fgsm", "bim", "pgd", "deepfool", "cw-l2", "jsma", "spectral", "minimal-l2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="toy-instruments")
    parser.add_argument(
        "--musicnn", action="store_true", help="train a classifier on musicnn's features of toy clips first"
    )
    parser.add_argument("--fit", metavar="DIR", help="clean music to fit the detectors on (default: those shipped)")
    parser.add_argument(
        "--clips-of", metavar="DIR", help="clean music to attack (default: toy clips of a seed of its own)"
    )
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--detector", nargs="*")
    parser.add_argument("--attack", nargs="*", default=ATTACKS)
    parser.add_argument("--snr", type=float, default=30.0)
    parser.add_argument("--static", action="store_true", help="leave out attacks that evade")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--json", type=Path, help="write all figures and scores there")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    began = time.perf_counter()

    def tell(sentence: str, _part: float | None) -> None:
        print(f"# {time.perf_counter() - began:6.0f} s  {sentence}", flush=True)

    if options.musicnn:
        model, detectors = _on_musicnn(options, tell)
    else:
        model = load_model(options.model)
        if options.fit:
            detectors = list(
                fit_detectors(model, options.fit, options.detector, keeping=False, progress=tell).detectors.values()
            )
        else:
            detectors = fitted_detectors(model, options.detector)
    clips = (
        divided_folder(options.clips_of, options.clips, 0.0)[0]
        if options.clips_of
        else _toy(options.clips, options.seed)
    )
    report = detection_report(
        model,
        clips,
        detectors,
        tuple(options.attack),
        snr=options.snr,
        adaptive=not options.static,
        seed=0,
        progress=tell,
    )
    if options.json:
        options.json.write_text(json.dumps(report.to_json()))
    print(
        f"{model.name}, {report.clips} clips, {options.snr:g} dB, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for heading in report.headings:
        snr = "–" if heading.snr_db is None else f"{heading.snr_db:.1f} dB"
        print(f"\n{heading.attack}: {heading.fooled} of {heading.clips} fooled, median SNR {snr}")
        for one in (one for one in report.sets if one.attack == heading.attack):
            p = " / ".join("–" if value is None else f"{value:.3f}" for value in (one.clean, one.noisy, one.attacked))
            print(f"  {one.detector:14} p of all clips as one set, clean / noisy / attacked: {p}")
        for detector in (one for one in detectors if not one.set_level):
            one = report.figure(detector.name, heading.attack)
            caught, false = ("–" if share is None else f"{share:4.0%}" for share in (one.caught[1], one.false[1]))
            line = f"  {detector.name:14} {one.static!s:22} flags {caught} ({false} of clean)"
            if one.adaptive is not None:
                passed = "–" if one.evaded is None else f"{one.evaded}/{report.clips}"
                line += f"   evaded: {one.adaptive!s:22} fool and pass {passed} (fool {one.fooled})"
            print(line)
    print("\nat least 0.9 against each of fgsm, bim, pgd:", ", ".join(_good(report, detectors)) or "none")


def _good(report, detectors) -> list[str]:
    wanted = [name for name in ("fgsm", "bim", "pgd") if any(heading.attack == name for heading in report.headings)]
    return [
        one.name
        for one in detectors
        if not one.set_level and all((report.figure(one.name, attack).static.value or 0) >= 0.9 for attack in wanted)
    ]


def _toy(count: int, seed: int) -> list[Clip]:
    """Test clips that neither models nor detectors have heard."""
    return [
        Clip(made.samples[None], made.sample_rate, provenance={"name": f"{made.label} {index // len(LABELS) + 1}"})
        for index, made in enumerate(dataset(count, seed, "test"))
    ]


def _on_musicnn(options: argparse.Namespace, tell):
    """A new last layer on musicnn's frozen features, learned from a labelled folder of toy clips; detectors fitted on others."""
    from mirguard.datasets.folder import labelled_folder
    from mirguard.datasets.splits import split
    from mirguard.models.training.make import train_classifier

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_toy(folder / "toy", 200, seed=5)
        tell("training on musicnn's features", None)
        trained = train_classifier(
            split(labelled_folder(folder / "toy")), "musicnn-on-toy", "musicnn-mtt", folder=folder / "models"
        )
        print(f"# {trained.report.sentence}")
        model = trained.classifier
        clean = Sample.of(model, _toy(150, 5005), "150 toy clips")
        detectors = fit_detectors(model, clean, options.detector, keeping=False, progress=tell)
        for name, trouble in detectors.troubles.items():
            print(f"# {name}: {trouble}")
    return model, list(detectors.detectors.values())


if __name__ == "__main__":
    main()
