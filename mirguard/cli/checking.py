"""`mirguard check`: is a robustness figure of a model to be believed?"""

from __future__ import annotations

import argparse
import textwrap
import time
from typing import Any

from mirguard.cli.terminal import Line, chosen_model, show_json

WIDTH = 110
INDENT = " " * 8


def _check(options: argparse.Namespace) -> int:
    from mirguard.checks.catalogue import find_checks

    ids = [one.id for one in find_checks(options.only)]
    from mirguard.checks.check import check
    from mirguard.models.catalogue import load_model

    began = time.perf_counter()
    model = chosen_model(options)
    surrogates = tuple(load_model(name) for name in options.surrogate) or None
    with Line(not options.json) as line:

        def show(found: Any) -> None:
            line.clear()
            _show(found)

        findings = check(
            model,
            options.clips,
            ids=ids,
            snr=options.snr,
            count=options.count,
            surrogates=surrogates,
            detectors=options.detector or None,
            seed=options.seed,
            each=None if options.json else show,
            progress=line,
        )
    seconds = time.perf_counter() - began
    verdicts = [found.verdict for found in findings]
    if options.json:
        about = {"model": model.name, "model_hash": model.hash, "clips": options.clips, "snr_db": options.snr}
        counted = {"count": options.count, "seed": options.seed, "seconds": seconds}
        show_json({**about, **counted, "findings": [found.to_json() for found in findings]})
    else:
        said = ", ".join(
            f"{verdicts.count(verdict)} {words}" for verdict, words in WORDS.items() if verdict in verdicts
        )
        print(f"{model.name}: {said}; {seconds:.0f} s")
    return int("fail" in verdicts)


WORDS = {"pass": "passed", "warn": "to be looked at", "fail": "FAILED", "not applicable": "not applicable"}
SIGNS = {"pass": "pass", "warn": "WARN", "fail": "FAIL", "not applicable": "–"}


def _show(found: Any) -> None:
    print(f"{found.id}  {SIGNS[found.verdict]:4}  {found.title}")
    print(textwrap.fill(found.sentence, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))
    for line in _lines(found.evidence):
        print(f"{INDENT}  {line}".rstrip())
    print(end="", flush=True)


def _lines(evidence: Any) -> list[str]:
    """The table in columns as wide as they need to be; what does not fit into a line goes on in the next."""
    if not evidence.rows:
        return []
    rows = [evidence.columns, *([_cell(value) for value in row] for row in evidence.rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(evidence.columns))]
    lines = []
    for row in rows:
        *head, last = (value.ljust(width) for value, width in zip(row, widths, strict=True))
        start = "   ".join(head) + "   " if head else ""
        parts = textwrap.wrap(last.strip(), max(30, WIDTH - len(start))) or [""]
        lines += [start + parts[0], *(" " * len(start) + part for part in parts[1:])]
    return lines


def _cell(value: Any) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def _arguments(parser: argparse.ArgumentParser) -> None:
    from mirguard.checks.catalogue import CHECKS

    parser.add_argument("model", metavar="MODEL", help="a model of 'mirguard models list', or a path to a model.toml")
    parser.add_argument(
        "--clips",
        metavar="DIR",
        help="a folder of sounds, with one sub-folder a label where the labels are known (default: fresh toy clips for models that "
        "know them, else the demonstration clip)",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="SC", help="only these: " + "; ".join(f"{one.id} {one.title}" for one in CHECKS)
    )
    parser.add_argument("--snr", type=float, default=30.0, metavar="DB", help="the budget that is judged (default 30)")
    parser.add_argument(
        "--count", type=int, default=32, metavar="N", help="windows to attack; under 30 prove little (default 32)"
    )
    parser.add_argument(
        "--surrogate",
        nargs="+",
        default=(),
        metavar="M",
        help="models to try transfer from (default: a bundled one that fits)",
    )
    parser.add_argument(
        "--detector",
        nargs="+",
        default=(),
        metavar="NAME",
        help="fitted detectors to hold to the attacks (default: kde and mmd, where they are fitted)",
    )
    parser.add_argument("--seed", type=int, default=0)


COMMANDS = {"check": ("Is a robustness figure of this model to be believed?", _arguments, _check)}
