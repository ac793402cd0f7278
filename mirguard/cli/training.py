"""`mirguard models train`: a classifier of one's own from labelled sounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mirguard.cli.terminal import Line, declared_options, given, show_json, tell

if TYPE_CHECKING:
    from mirguard.datasets.labelled import LabelledSet
    from mirguard.models.training.make import Trained
    from mirguard.models.training.progress import TrainingProgress
    from mirguard.models.training.report import Report

MOST_SKIPPED = 10
_WIDTH = 18  # of a label in the table


def add_train(subparsers: Any) -> argparse.ArgumentParser:
    """Add the command `train` to those of `mirguard models`."""
    from mirguard.models.training.methods import DEFAULT, list_methods

    what = "Make a classifier out of labelled sounds."
    methods = list_methods()
    parser = subparsers.add_parser(
        "train",
        help=what,
        description=what,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="methods:\n" + "\n".join(f"  {method.name:20} {method.help}" for method in methods),
    )
    parser.set_defaults(run=_train)
    parser.add_argument(  # suppressed, or it would forget that it was given before `train`
        "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document and nothing else"
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a folder with one sub-folder for each class, a CSV with the columns file and label, or a known collection "
        "(see 'mirguard datasets list')",
    )
    parser.add_argument("--name", required=True, metavar="N", help="what the classifier is to be called")
    parser.add_argument("--title", default="", help="a longer name for people")
    parser.add_argument(
        "--method",
        default=DEFAULT,
        metavar="M",
        help=f"one of those below, or any other model to build upon (default {DEFAULT})",
    )
    split_options(parser)
    parser.add_argument(
        "--replace", action="store_true", help="let it take the place of a model of yours with that name"
    )
    declared_options(parser, methods)
    return parser


def split_options(parser: argparse.ArgumentParser) -> None:
    """How labelled sounds are read and divided, as `divided` takes it."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--test", type=float, default=0.2, metavar="PART", help="part kept to test on (default 0.2)")
    parser.add_argument(
        "--validation", type=float, default=0.1, metavar="PART", help="part kept to watch training with (default 0.1)"
    )
    parser.add_argument(
        "--group-by",
        default="auto",
        metavar="RULE",
        help="what stays on one side of the split: auto, file, folder, artist, excerpt, or a regular expression for the name",
    )
    parser.add_argument("--label", default="label", metavar="COLUMN", help="the table's column to take the labels from")
    parser.add_argument("--home", metavar="DIR", help="where the files of a known collection are")
    parser.add_argument("--no-check", action="store_true", help="do not look for recordings that come twice")


def _train(options: argparse.Namespace) -> int:
    from mirguard.models.training.methods import find_method
    from mirguard.parameters import resolve

    settings = given(options)
    resolve(find_method(options.method).parameters, settings)  # whatever can be refused before hours of listening, is
    with Line(not options.json) as line:
        dataset = divided(options, line)
        import torch

        from mirguard.models.training.make import train_classifier

        torch.set_flush_denormal(True)  # denormal weights make a pass on a CPU many times slower
        trained = train_classifier(
            dataset,
            options.name,
            options.method,
            seed=options.seed,
            title=options.title,
            replace=options.replace,
            progress=watching(line),
            **settings,
        )
    if options.json:
        show_json(document(trained))
    else:
        show(trained)
    return 0


def divided(options: argparse.Namespace, line: Line) -> LabelledSet:
    """The labelled sounds, with recordings that come twice kept together, and split."""
    from mirguard.datasets.mirdata_sets import load_set
    from mirguard.datasets.splits import split

    dataset = load_set(options.data, options.home, line, group_by=options.group_by, label=options.label)
    if not options.no_check:
        from mirguard.datasets.leakage import check_leakage, join_duplicates

        leakage = check_leakage(dataset, line)
        if leakage.duplicates or leakage.straddling or leakage.artists:
            dataset = join_duplicates(dataset, leakage)
            dataset = replace(dataset, warnings=tuple(dict.fromkeys((*dataset.warnings, *leakage.sentences))))
    return split(dataset, seed=options.seed, test=options.test, validation=options.validation)


def watching(line: Line) -> Callable[[TrainingProgress], None]:
    """Progress on the line; where nobody watches one, only a word on a download, since half a minute without would look like a
    fault."""
    told = []

    def watch(progress: TrainingProgress) -> None:
        if progress.sentence.startswith("Downloading") and not line.on and not told:
            told.append(progress.sentence)
            tell(f"{progress.sentence} ...")
        line(progress.sentence, progress.fraction)

    return watch


def document(trained: Trained) -> dict[str, Any]:
    file, report = trained.file, trained.report
    return {
        "name": file.name,
        "path": str(file.folder),
        "hash": trained.classifier.hash,
        "labels": list(file.labels),
        "sample_rate": file.sample_rate,
        "window": file.window,
        "differentiable": trained.classifier.differentiable,
        "note": file.note,
        "by_label": {
            entry.label: {"clips": entry.clips, "right": entry.right, "interval": list(entry.interval)}
            for entry in report.by_label
        },
        "skipped": list(trained.skipped),
        **file.card,
    }


def show(trained: Trained) -> None:
    file, report = trained.file, trained.report
    data = file.card["data"]
    clips = sum(data["clips"][part] for part in data["learned_from"])
    print(
        f"{file.name}: learned from {clips} clips of {data['name']} "
        f"in {file.card['seconds']:.0f} s, split {data['split']}"
    )
    for what, right, of, interval in (
        ("clips", report.clips_right, report.clips, report.clip_interval),
        ("windows", report.windows_right, report.windows, report.window_interval),
    ):
        low, high = interval
        print(f"  {right / of:6.1%} of {of} held-out {what} are right (95 % interval {low:.1%} to {high:.1%})")
    print("  (the interval for windows counts clips, since the windows of one clip are alike)")
    _confusion(report)
    for warning in data["warnings"]:
        print(f"  {warning}")
    for sentence in trained.skipped[:MOST_SKIPPED]:
        print(f"  Left out: {sentence}")
    if len(trained.skipped) > MOST_SKIPPED:
        print(f"  Left out: {len(trained.skipped) - MOST_SKIPPED} more (--json names all).")
    if not trained.classifier.differentiable:
        print("  It has no gradient: only attacks that need none can be used.")
    print(f"  {file.folder}")


def _confusion(report: Report) -> None:
    """True labels down, heard labels across, by number where names would not fit."""
    width = max(5, *(len(str(n)) + 1 for row in report.confusion for n in row))
    print(
        f"  {'true, heard as':{_WIDTH + 4}}" + "".join(f"{f'({n})':>{width}}" for n in range(1, len(report.labels) + 1))
    )
    for number, (label, row) in enumerate(zip(report.labels, report.confusion, strict=True), 1):
        print(f"  {f'({number})':4} {_short(label):{_WIDTH}}" + "".join(f"{_cell(n):>{width}}" for n in row))


def _cell(count: int) -> str:
    return str(count) if count else "·"


def _short(label: str, most: int = _WIDTH - 1) -> str:
    return label if len(label) <= most else f"{label[: most - 1]}…"
