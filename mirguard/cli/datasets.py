"""`mirguard datasets`: what there is, what is in it, whether it leaks, where it comes from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirguard.cli.terminal import Line, show_json, tell
from mirguard.errors import UsageError
from mirguard.words import counted

if TYPE_CHECKING:
    from mirguard.datasets.labelled import Item, LabelledSet
    from mirguard.datasets.leakage import Duplicate


# -- list --------------------------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace) -> int:
    from mirguard.datasets.mirdata_sets import list_known

    documents = [
        {
            "name": known.name,
            "title": known.title,
            "note": known.note,
            "licence": known.licence,
            "citation": known.citation,
            "home": str(known.home),
            "there": known.home.is_dir(),
            "how": known.how,
        }
        for known in list_known()
    ]
    if options.json:
        show_json({"datasets": documents})
        return 0
    print(f"{'toy':18} The toy dataset, made on this machine: 'mirguard datasets make toy DIR'")
    for known in documents:
        print(f"{known['name']:18} {known['title']}")
        print(f"{'':18} {known['note'][:1].upper()}{known['note'][1:]}")
        print(f"{'':18} {known['licence']}")
        print(f"{'':18} " + (f"In {known['home']}" if known["there"] else known["how"]))
    print(f"{'DIR or FILE.csv':18} Your own sounds: a sub-folder a class, or a table with the columns file and label")
    return 0


# -- show and check ----------------------------------------------------------------------------------------------------


def _load(options: argparse.Namespace, told: Line) -> LabelledSet:
    from mirguard.datasets.mirdata_sets import load_set

    return load_set(options.source, options.home, told, group_by=options.group_by, label=options.label)


def _show(options: argparse.Namespace) -> int:
    with Line() as told:
        dataset = _load(options, told)
    if options.json:
        show_json({**_about(dataset), "items": [_item(item) for item in dataset.items]})
        return 0
    print(
        f"{dataset.name}: {counted(len(dataset.items), 'sound')} in {counted(len(dataset.labels), 'class')}, {_groups(dataset)}"
    )
    _print_counts(dataset)
    for about, text in (("Licence", dataset.licence), ("Citation", dataset.citation)):
        if text:
            print(f"{about}: {text}")
    _print_sentences(dataset)
    return 0


def _check(options: argparse.Namespace) -> int:
    from mirguard.datasets.leakage import check_leakage, join_duplicates
    from mirguard.datasets.sound_table import write_table
    from mirguard.datasets.splits import split

    fractions = {"seed": options.seed, "test": options.test, "validation": options.validation}
    with Line() as told:
        loaded = _load(options, told)
        if options.resplit:
            loaded = loaded.without_splits()
        dataset = split(loaded, **fractions)
        leakage = check_leakage(dataset, told)
    how = "given" if loaded.is_split else f"by {_kind(dataset)}"
    written = None
    if options.table:
        kept_together = loaded if loaded.is_split else split(join_duplicates(loaded, leakage), **fractions)
        written = write_table(kept_together, options.table)
    if options.json:
        show_json(
            {
                **_about(dataset),
                "split": how,
                "checked": leakage.checked,
                "leaks": leakage.leaks,
                "duplicates": [_duplicate(pair) for pair in leakage.duplicates],
                "straddling_groups": leakage.straddling,
                "straddling_artists": leakage.artists,
                "unreadable": leakage.unreadable,
                "silent": [str(item.path) for item in leakage.silent],
                "sentences": leakage.sentences,
                "table": written and str(written),
            }
        )
    else:
        seeded = "as given" if how == "given" else f"{how} with seed {options.seed}"
        print(f"{dataset.name}: {counted(len(dataset.items), 'sound')}, {_groups(dataset)}, split {seeded}")
        _print_counts(dataset)
        for sentence in leakage.sentences:
            print(sentence)
        _print_sentences(dataset)
        if written:
            print(
                f"{written} has this split, with repeated recordings kept together; train on it in place of the folder."
            )
        elif leakage.duplicates:
            print(_advice(loaded.is_split))
    return 1 if options.strict and leakage.leaks else 0


def _advice(given: bool) -> str:
    return (
        f"With {'--resplit and ' if given else ''}--table FILE.csv a table is written whose split keeps repeated recordings "
        "together."
    )


def _about(dataset: LabelledSet) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "source": dataset.source,
        "labels": dataset.labels,
        "counts": {label: _parts(counts) for label, counts in dataset.counts().items()},
        "groups": len(dataset.groups()),
        "grouped_by": dataset.grouped_by,
        "skipped": dataset.skipped,
        "warnings": dataset.warnings,
        "licence": dataset.licence,
        "citation": dataset.citation,
    }


def _parts(counts: dict[str, int]) -> dict[str, int]:
    return {split or "unassigned": count for split, count in counts.items()}


def _item(item: Item) -> dict[str, Any]:
    return {
        "file": str(item.path),
        "label": item.label,
        "group": item.group,
        "split": item.split or None,
        "start": item.start,
        "seconds": item.seconds,
        "artist": item.artist or None,
    }


def _duplicate(pair: Duplicate) -> dict[str, Any]:
    return {
        "first": _item(pair.first),
        "second": _item(pair.second),
        "exact": pair.exact,
        "offset": pair.offset,
        "similarity": pair.similarity,
        "straddles": pair.straddles,
        "relabelled": pair.relabelled,
    }


def _print_counts(dataset: LabelledSet) -> None:
    counts = dataset.counts()
    shown = [split for split in ("train", "validation", "test", "") if any(of[split] for of in counts.values())]
    width = max(len(label) for label in (*dataset.labels, "all"))
    print(f"  {'':{width}} " + "".join(f" {split or 'unassigned':>11}" for split in shown))
    for label, of in counts.items():
        print(f"  {label:{width}} " + "".join(f" {of[split]:11}" for split in shown))
    print(f"  {'all':{width}} " + "".join(f" {sum(of[split] for of in counts.values()):11}" for split in shown))


def _print_sentences(dataset: LabelledSet) -> None:
    for sentence in dataset.warnings:
        print(f"Note: {sentence}")
    for sentence in dataset.skipped[:10]:
        print(f"Left out: {sentence}")
    if len(dataset.skipped) > 10:
        print(f"Left out: {len(dataset.skipped) - 10} more (--json names all).")


def _kind(dataset: LabelledSet) -> str:
    return {"given": "group"}.get(dataset.grouped_by, dataset.grouped_by)


def _groups(dataset: LabelledSet) -> str:
    return counted(len(dataset.groups()), _kind(dataset))


# -- download, validate, make ------------------------------------------------------------------------------------------


def _download(options: argparse.Namespace) -> int:
    from mirguard.datasets.mirdata_jobs import download
    from mirguard.datasets.mirdata_sets import find_known

    known = find_known(options.name)
    if not options.json:
        print(f"{known.title}. {known.licence}", flush=True)
    with Line() as told:
        dataset = download(known.name, options.home, told)
    if options.json:
        show_json(_about(dataset))
    else:
        print(f"{counted(len(dataset.items), 'sound')} in {dataset.source}")
        _print_sentences(dataset)
    return 0


def _validate(options: argparse.Namespace) -> int:
    from mirguard.datasets.mirdata_jobs import validate

    with Line() as told:
        found = validate(options.name, options.home, told)
    if options.json:
        show_json(
            {
                "name": options.name,
                "complete": found.complete,
                "files": found.files,
                "missing": found.missing,
                "altered": found.altered,
            }
        )
    elif found.complete:
        print(found.sentence)
    if not found.complete:
        tell(found.sentence)
    return 0 if found.complete else 1


def _make(options: argparse.Namespace) -> int:
    from mirguard.datasets.toy_files import make_toy

    if options.workers < 0:
        raise UsageError(f"--workers is a number of processes, or 0 for one a core; got {options.workers}.")
    with Line() as told:
        made = make_toy(
            Path(options.folder),
            options.clips,
            options.seed,
            format=options.format,
            workers=options.workers,
            progress=lambda done, of: told(f"{done} of {of} clips", done / of),
        )
    if options.json:
        show_json(
            {
                "folder": str(made.folder),
                "clips": made.clips,
                "seed": options.seed,
                "bytes": made.bytes,
                "checksum": made.checksum,
            }
        )
    else:
        parts = ", ".join(f"{count} {split}" for split, count in made.clips.items())
        print(f"{made.folder}: {parts}; {made.bytes / 1e6:.1f} MB, SHA-256 {made.checksum}")
    return 0


# -- Arguments ---------------------------------------------------------------------------------------------------------


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, what: str, run: Any) -> argparse.ArgumentParser:
        new = actions.add_parser(name, help=what, description=what)
        new.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
        new.set_defaults(run=run)
        return new

    action("list", "Which datasets are there?", _list)
    show = action("show", "What is in a dataset?", _show)
    check = action("check", "Does its test part hold what a model would have trained on?", _check)
    for new in (show, check):
        new.add_argument(
            "source", metavar="SOURCE", help="a folder with a sub-folder a class, a table (CSV), or a name of 'list'"
        )
        _home_option(new)
        new.add_argument(
            "--label", default="label", metavar="COLUMN", help="the table's column to take the labels from"
        )
        new.add_argument(
            "--group-by",
            default="auto",
            metavar="RULE",
            help="what stays together: file, folder, artist, excerpt, or a regular expression with one group "
            "(default: the table's columns, else file)",
        )
    check.add_argument("--seed", type=int, default=0, help="of the split, where none is given (default 0)")
    check.add_argument("--test", type=float, default=0.2, metavar="P", help="fraction to test on (default 0.2)")
    check.add_argument("--validation", type=float, default=0.1, metavar="P", help="fraction to validate (default 0.1)")
    check.add_argument("--resplit", action="store_true", help="forget the split that is given and make one")
    check.add_argument(
        "--table",
        metavar="FILE.csv",
        help="write the sounds with a split that keeps repeated recordings together, as a table to train on",
    )
    check.add_argument("--strict", action="store_true", help="leave with status 1 where something leaks")
    download = action("download", "Fetch a published collection with mirdata", _download)
    validate = action("validate", "Compare a published collection with its checksums", _validate)
    for new in (download, validate):
        new.add_argument("name", metavar="NAME", help="a name of 'mirguard datasets list'")
        _home_option(new)
    make = action("make", "Make the toy dataset", _make)
    make.add_argument("what", choices=("toy",))
    make.add_argument("folder", metavar="DIR", help="a new or empty folder")
    make.add_argument("--clips", type=int, default=1000, metavar="N", help="how many (default 1000)")
    make.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other clips (default 0)")
    make.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    make.add_argument("--format", choices=("flac", "wav"), default="flac")


def _home_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", metavar="DIR", help="where a published collection lies (default: mirdata's place)")


# Each action sets what runs it; without one the parser says which there are.
COMMANDS = {"datasets": ("Datasets: list, show, check for leakage, download, validate, make", _arguments, _list)}
