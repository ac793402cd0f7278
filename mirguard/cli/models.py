"""`mirguard models list | show | add | remove | train`."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mirguard.cli.terminal import show_json
from mirguard.cli.training import add_train

INDENT = 18  # columns for names
WIDTH = 120
MOST_ROWS = 16  # of a confusion matrix shown whole
MOST_CONFUSIONS = 8


def _list(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import list_models

    found = list_models()
    if options.json:
        show_json({"models": [vars(info) for info in found]})
        return 0
    for info in found:
        print(f"{info.name:{INDENT}} {info.title}")
        _tell(_facts(info))
    return 0


def _show(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import find_model

    info = find_model(options.name)
    if options.json:
        show_json(vars(info))
        return 0
    print(f"{info.name:{INDENT}} {info.title}")
    _tell(_facts(info))
    _tell([", ".join(info.labels)])
    _tell(_card(info.card))
    for line in _confusion(info.card.get("test"), info.labels):
        print(f"{'':{INDENT}} {line}")
    if info.path:
        _tell([f"Kept as {info.path}"])
    return 0


def _add(options: argparse.Namespace) -> int:
    import torch

    from mirguard.models.add import add_model
    from mirguard.models.catalogue import info_of

    torch.set_flush_denormal(True)
    file = add_model(options.source, options.name, replace=options.replace, progress=_progress())
    info = info_of(file)
    if options.json:
        show_json(vars(info))
        return 0
    print(f"{info.name:{INDENT}} {info.title}")
    _tell([f"Added. {sentence}" if k == 0 else sentence for k, sentence in enumerate(_facts(info))])
    _tell(_gradient(info.card.get("gradient")))
    return 0


def _remove(options: argparse.Namespace) -> int:
    from mirguard.models.add import remove_model

    remove_model(options.name)
    if options.json:
        show_json({"removed": options.name})
    else:
        print(f"{options.name} is removed.")
    return 0


def _progress():
    """Told on standard error where a person is watching."""
    if not sys.stderr.isatty():
        return None

    def progress(text: str, done: float | None) -> None:
        print(f"\r\033[K{f'{text} ...' if done != 1 else ''}", end="", file=sys.stderr, flush=True)

    return progress


def _tell(sentences: Sequence[str] | Iterator[str]) -> None:
    for sentence in filter(None, sentences):
        indent = " " * (INDENT + 1)
        print(textwrap.fill(sentence, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))


def _facts(info: Any) -> Iterator[str]:
    from mirguard.models.catalogue import UNUSABLE

    if info.state != UNUSABLE:
        gradients = "" if info.gradients else ", no gradients"
        yield (
            f"{info.kind}, {info.task}, {len(info.labels)} labels, windows of {info.window / info.sample_rate:g} s at "
            f"{info.sample_rate} Hz{gradients}; {info.state}"
        )
    yield info.note
    yield info.how


def _card(card: Mapping[str, Any]) -> Iterator[str]:
    """What a card says, as far as it does: it may come from anybody, so nothing in it is taken for granted."""
    made, method = card.get("made"), card.get("method")
    if made:
        by = f" by {method}" if method else ""
        took = f", in {_number(card['seconds'])} s" if _is_number(card.get("seconds")) else ""
        yield f"Made: {made}{by}{took}."
    yield from _data(_table(card.get("data")))
    yield from _accuracy(_table(card.get("test")))
    yield from _gradient(card.get("gradient"))
    lineage = card.get("lineage")
    if isinstance(lineage, list) and lineage:
        yield f"Made of: {'; '.join(map(str, lineage))}."


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    if not data:
        return
    source = f" ({data['source']})" if data.get("source") not in (None, "", data.get("name")) else ""
    clips = _table(data.get("clips"))
    counts = ", ".join(f"{_number(count)} {part}" for part, count in clips.items())
    split = f", split {data['split']}" if data.get("split") else ""
    yield f"Data: {data.get('name') or 'unnamed'}{source}{f': {counts} clips' if counts else ''}{split}."
    if data.get("skipped"):
        yield f"{_number(data['skipped'])} files could not be used."
    warnings = data.get("warnings")
    yield from map(str, warnings if isinstance(warnings, list) else ())


def _accuracy(test: Mapping[str, Any]) -> Iterator[str]:
    for what in ("clip", "window"):
        if _is_number(right := test.get(f"{what}_accuracy")):
            count = test.get(f"{what}s")
            of = f" of {_number(count)} test {what}s" if _is_number(count) else f" of the test {what}s"
            yield f"Accuracy: {100 * right:.1f} %{of}{_interval(test.get(f'{what}_interval'))}."


def _interval(interval: Any) -> str:
    if isinstance(interval, list) and len(interval) == 2 and all(map(_is_number, interval)):
        return f" (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)"
    return ""


def _gradient(gradient: Any) -> Iterator[str]:
    found = _table(gradient)
    if found.get("sentence"):
        yield f"Gradient: {_verdict(found.get('verdict'))}{found['sentence']}"
    if found.get("parity_sentence"):
        yield f"Parity: {_verdict(found.get('parity_verdict'))}{found['parity_sentence']}"


def _verdict(verdict: Any) -> str:
    return {"pass": "passes. ", "fail": "FAILS. "}.get(verdict, "")


def _confusion(test: Any, labels: Sequence[str]) -> Iterator[str]:
    """The matrix, rows the true labels; of a large one, what is most often taken for what."""
    matrix = _table(test).get("confusion")
    square = (
        isinstance(matrix, list)
        and len(matrix) == len(labels)
        and all(isinstance(row, list) and len(row) == len(labels) and all(map(_is_number, row)) for row in matrix)
    )
    if not square:
        return
    if len(labels) > MOST_ROWS:
        pairs = [
            (matrix[k][j], k, j) for k in range(len(labels)) for j in range(len(labels)) if k != j and matrix[k][j]
        ]
        yield "Most confused:" if pairs else "Nothing was confused."
        for count, k, j in sorted(pairs, reverse=True)[:MOST_CONFUSIONS]:
            yield f"  {_number(count)} x {labels[k]} taken for {labels[j]}"
        return
    width = max(map(len, labels))
    cell = max(len(_number(count)) for row in matrix for count in row) + 2
    cell = max(cell, len(str(len(labels))) + 3)
    yield "Confusion (rows: true, columns: heard as):"
    yield f"{'':{width + 4}}" + "".join(f"{f'({k})':>{cell}}" for k in range(1, len(labels) + 1))
    for k, (label, row) in enumerate(zip(labels, matrix, strict=True), 1):
        yield f"{label:{width}} {f'({k})':>3}" + "".join(f"{_number(count) if count else '.':>{cell}}" for count in row)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> str:
    return f"{value:,.0f}" if _is_number(value) else str(value)


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, dest="action")

    def action(name: str, sentence: str, run) -> argparse.ArgumentParser:
        new = actions.add_parser(name, help=sentence, description=sentence)
        new.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document and nothing else"
        )
        new.set_defaults(run=run)
        return new

    action("list", "Which models are there?", _list)
    show = action("show", "What is known of a model: its labels, how it was made, how good it is.", _show)
    show.add_argument("name", metavar="M", help="a model of 'mirguard models list', or a path to a model.toml")
    add = action(
        "add", "Add a model of your own: exported program, TorchScript, ONNX, or safetensors of a known network.", _add
    )
    add.add_argument(
        "source", metavar="SOURCE", help="a model.toml with its weights beside it, its folder, or a zip of both"
    )
    add.add_argument("--name", metavar="N", help="what it is to be called here (default: as its model.toml says)")
    add.add_argument("--replace", action="store_true", help="take the place of your model of that name")
    remove = action("remove", "Remove a model of your own, for good.", _remove)
    remove.add_argument("name", metavar="M", help="one of your models in 'mirguard models list'")
    add_train(actions)


def _models(options: argparse.Namespace) -> int:
    return options.run(options)


COMMANDS = {"models": ("List, show, add, remove and train models.", _arguments, _models)}
