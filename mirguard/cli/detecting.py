"""`mirguard detect`, and `mirguard detectors list | fit | report`."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import Line, chosen_model, each_file, model_option, show_json, tell
from mirguard.errors import UsageError

INDENT = 16
ATTACKS = ("fgsm", "bim", "pgd", "deepfool", "cw-l2", "minimal-l2")


# -- Reading clips -------------------------------------------------------------------------------------------------------


def _detect(options: argparse.Namespace) -> int:
    from mirguard.clip import load_clip
    from mirguard.detectors.catalogue import find_detector
    from mirguard.detectors.detector import FPR
    from mirguard.detectors.verdict import joint
    from mirguard.experiment.detecting import detect, fitted_detectors

    for name in options.detector or ():
        find_detector(name)  # told before anything is loaded or heard
    fpr = FPR.check(options.fpr)
    model = chosen_model(options)
    with Line(not options.json) as line:
        detectors = fitted_detectors(model, options.detector, options.reference, progress=line)
    rests_on = detectors[0].about
    for sentence in rests_on.skipped if options.reference else ():
        tell(f"left out of the reference: {sentence}")
    detectors = _fine_enough(detectors, fpr)
    if options.together:
        return _together(options, model, detectors, fpr)

    def one(name: str) -> dict[str, Any]:
        readings = detect(model, load_clip(name), detectors, fpr=fpr)
        verdict = joint(readings, fpr)
        return {
            "file": name,
            "detectors": {reading.detector: reading.to_json() for reading in readings},
            "joint": None if verdict is None else {"flagged": verdict.flagged, "p": verdict.p, "by": verdict.by},
            "_lines": [verdict_line(reading) for reading in readings],
            "_verdict": None if verdict is None or len(readings) == 1 else verdict.sentence,
        }

    def show(found: dict[str, Any]) -> None:
        print(found["file"])
        for sentence in found["_lines"]:
            print(f"  {sentence}")
        if found["_verdict"]:
            print(f"  Together: {found['_verdict']}")

    def plain(name: str) -> dict[str, Any]:
        found = one(name)
        return {key: value for key, value in found.items() if not (options.json and key.startswith("_"))}

    about = {
        "model": model.name,
        "model_hash": model.hash,
        "reference": {
            "source": rests_on.source,
            "hash": rests_on.reference_hash,
            "clips": rests_on.size,
            "skipped": list(rests_on.skipped),
        },
    }
    return each_file(options, about, plain, show)


def _fine_enough(detectors: list[Any], fpr: float) -> list[Any]:
    """Those whose reference is large enough for the rate; the others are told once, before any file is heard."""
    found, troubles = [], []
    for detector in detectors:
        try:
            detector.threshold(fpr)
            found.append(detector)
        except UsageError as error:
            troubles.append((detector.name, error))
    if not found:
        raise troubles[0][1]
    for name, error in troubles:
        tell(f"{name} is left out: {error}")
    return found


def verdict_line(reading: Any) -> str:
    """One reading in one line."""
    if reading.score is None:
        return f"{reading.detector}: cannot tell. {reading.note}"
    verdict = "FLAGGED" if reading.flagged else "not flagged"
    return (
        f"{reading.detector}: {verdict}; score {reading.score:.4g}, threshold {reading.threshold:.4g} at {reading.fpr:.1%} false "
        f"positives, above {reading.percentile:.0f} % of {len(reading.clean_scores)} clean clips"
    )


def _together(options: argparse.Namespace, model: Any, detectors: list[Any], fpr: float) -> int:
    """All files as one set, by those detectors that test sets."""
    from mirguard.clip import load_clip
    from mirguard.detectors.mmd import test_set
    from mirguard.detectors.sample import hear

    tests = [detector for detector in detectors if detector.set_level]
    if not tests:
        raise UsageError(
            "No detector that tests sets of clips is fitted on this model; fit mmd (mirguard detectors fit mmd)."
        )
    detector = tests[0]
    digests = [hear(model, load_clip(name), (detector,))[0][0] for name in options.files]
    found = test_set(detector, digests)
    flagged = None if found.p_value is None else found.p_value <= fpr
    if options.json:
        document = {
            "model": model.name,
            "detector": detector.name,
            "files": options.files,
            "fpr": fpr,
            "flagged": flagged,
        }
        show_json({**document, **vars(found)})
        return 0
    if flagged is None:
        print(f"{detector.name} cannot tell. {found.note}")
        return 0
    verdict = "Another distribution than the clean clips'" if flagged else "Like clean clips"
    print(
        f"{verdict}: {detector.name} {found.statistic:.4g}, p = {found.p_value:.3g}, {found.windows} windows of "
        f"{found.clips} clips. {found.note}".rstrip()
    )
    return 0


def _detect_arguments(parser: argparse.ArgumentParser) -> None:
    model_option(parser)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument(
        "--detector", action="append", metavar="NAME", help="which detector (default: all fitted ones); may be repeated"
    )
    parser.add_argument(
        "--reference",
        metavar="DIR",
        help="fit them on this folder of clean music first; kept for later calls with this model",
    )
    parser.add_argument(
        "--fpr", type=float, default=0.05, metavar="P", help="false-positive rate, counted in clips (default 0.05)"
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="test all files as one set: do they come from where clean clips come from?",
    )


# -- What detectors there are --------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from mirguard.detectors.catalogue import list_detectors
    from mirguard.detectors.kept import names_fitted_for

    fitted: tuple[str, ...] = ()
    if options.model:
        fitted = names_fitted_for(chosen_model(options))
    if options.json:
        rows = [
            {
                "name": found.name,
                "title": found.title,
                "help": found.help,
                "reference": found.reference,
                "needs": list(found.needs),
                "set_level": found.set_level,
                "of_tags": found.refuses_tags or found.of_tags,
                **({"fitted": found.name in fitted} if options.model else {}),
            }
            for found in list_detectors()
        ]
        show_json({"detectors": rows})
        return 0
    for found in list_detectors():
        state = "" if not options.model else ", fitted" if found.name in fitted else ", not fitted"
        print(f"{found.name:{INDENT}} {found.title} ({found.reference}){state}")
        print(f"{'':{INDENT}} {found.help}")
    return 0


def _fit(options: argparse.Namespace) -> int:
    from mirguard.detectors.catalogue import find_detector
    from mirguard.experiment.detecting import fit_detectors

    for name in options.names:
        find_detector(name)
    model = chosen_model(options)
    with Line(not options.json) as line:
        made = fit_detectors(model, options.reference, options.names or None, seed=options.seed, progress=line)
    for sentence in made.skipped:
        tell(f"left out of the reference: {sentence}")
    if options.json:
        clips = {name: len(detector.clean_scores) for name, detector in made.detectors.items()}
        show_json({"model": model.name, "fitted": clips, "troubles": made.troubles})
        return 0 if made.detectors else 1
    for name, detector in made.detectors.items():
        print(f"{name:{INDENT}} fitted on {model.name}, thresholds counted in {len(detector.clean_scores)} clean clips")
    for name, trouble in made.troubles.items():
        print(f"{name:{INDENT}} {trouble}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from mirguard.experiment.detecting import fitted_detectors
    from mirguard.experiment.detection_report import detection_report
    from mirguard.experiment.sound_set import divided_folder

    model = chosen_model(options)
    detectors = fitted_detectors(model, options.detector)
    with Line(not options.json) as line:
        clips, _none, skipped = divided_folder(options.clips, options.count, 0.0, options.seed, progress=line)
        report = detection_report(
            model,
            clips,
            detectors,
            options.attack or ATTACKS,
            snr=options.snr,
            adaptive=not options.static,
            seed=options.seed,
            progress=line,
        )
    for sentence in skipped:
        tell(f"left out: {sentence}")
    if options.json:
        show_json(report.to_json())
        return 0
    for row in report_lines(report):
        print(row)
    return 0


def report_lines(report: Any) -> list[str]:
    """The report as a table of detectors by attacks: area under the ROC curve, static and, after the stroke, adaptive."""
    attacks = [heading.attack for heading in report.headings]
    width = max(13, *(len(name) for name in attacks)) + 1
    lines = [
        f"{report.model}, {report.clips} clips it has not heard; positives: those that fool it, negatives: clean and noisy ones"
    ]
    lines.append(f"{'':{INDENT}}" + "".join(f"{name:>{width}}" for name in attacks))
    fooled = [f"{one.fooled}/{one.clips}" for one in report.headings]
    lines.append(f"{'fooled':{INDENT}}" + "".join(f"{cell:>{width}}" for cell in fooled))
    snr = ["–" if one.snr_db is None else f"{one.snr_db:.0f} dB" for one in report.headings]
    lines.append(f"{'median SNR':{INDENT}}" + "".join(f"{cell:>{width}}" for cell in snr))
    for detector in dict.fromkeys(figure.detector for figure in report.figures):
        cells = [_cell(report.figure(detector, attack)) for attack in attacks]
        lines.append(f"{detector:{INDENT}}" + "".join(f"{cell:>{width}}" for cell in cells))
    for one in report.sets:
        p = " / ".join("–" if value is None else f"{value:.3f}" for value in (one.clean, one.noisy, one.attacked))
        lines.append(f"{one.detector:{INDENT}}{one.attack}: p of all clips as one set, clean / noisy / attacked {p}")
    lines.append("Area under the ROC curve: attacks that know nothing of the detector / that set out to evade it.")
    return lines


def _cell(figure: Any) -> str:
    static = "–" if figure.static.value is None else f"{figure.static.value:.2f}"
    if figure.adaptive is None or figure.adaptive.value is None:
        return static
    return f"{static} / {figure.adaptive.value:.2f}"


def _detectors_arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(required=True, dest="action")

    def part(name: str, about: str, work: Any) -> argparse.ArgumentParser:
        added = parts.add_parser(name, help=about, description=about)
        model_option(added)
        added.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document and nothing else"
        )
        added.set_defaults(work=work)
        return added

    part("list", "Which detectors are there, and with --model, which are fitted on it?", _list)
    fitting = part("fit", "Fit detectors on a folder of clean music and keep them for a model.", _fit)
    fitting.add_argument("names", nargs="*", metavar="NAME", help="which (default: all that the model allows for)")
    fitting.add_argument("--reference", required=True, metavar="DIR", help="the folder of clean music")
    fitting.add_argument("--seed", type=int, default=0, metavar="S")
    report = part("report", "How well do a model's fitted detectors tell attacked clips from others?", _report)
    report.add_argument(
        "--clips", required=True, metavar="DIR", help="clean music that the detectors were not fitted on"
    )
    report.add_argument(
        "--count", type=int, default=60, metavar="N", help="clips at the most, drawn by chance (default 60)"
    )
    report.add_argument(
        "--detector", action="append", metavar="NAME", help="which (default: all fitted ones); may be repeated"
    )
    report.add_argument(
        "--attack", action="append", metavar="NAME", help=f"which (default: {' '.join(ATTACKS)}); may be repeated"
    )
    report.add_argument("--snr", type=float, default=30.0, metavar="DB", help="of attacks with a budget (default 30)")
    report.add_argument("--static", action="store_true", help="leave out attacks that set out to evade a detector")
    report.add_argument("--seed", type=int, default=0, metavar="S")


def _detectors(options: argparse.Namespace) -> int:
    return options.work(options)


COMMANDS = {
    "detect": ("Would a detector flag these files?", _detect_arguments, _detect),
    "detectors": ("Which detectors there are; fit them; how good they are.", _detectors_arguments, _detectors),
}
