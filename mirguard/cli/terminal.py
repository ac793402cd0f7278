"""What all commands share: the parser, one line of error, one JSON document, files done one by one."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mirguard.errors import MirguardError, UsageError


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.")


def tell(sentence: str) -> None:
    """One line on standard error."""
    print("mirguard:", *sentence.split(), file=sys.stderr)


def chosen_model(options: argparse.Namespace) -> Any:
    """The model asked for; without --model the default, or the toy model with a word on standard error why."""
    import torch

    from mirguard.models.bundled import NAME as TOY
    from mirguard.models.catalogue import default_model, load_model

    torch.set_flush_denormal(True)  # denormal weights make inference on a CPU many times slower
    told = []

    def progress(text: str, _done: float | None) -> None:
        if text not in told:  # it comes again and again while a download goes on
            told.append(text)
            tell(f"{text} ...")

    try:
        return load_model(options.model or default_model(), progress)
    except MirguardError as error:
        if options.model:
            raise
        tell(f"{error} Going on with {TOY}.")
        return load_model(TOY)


def each_file(
    options: argparse.Namespace,
    about: dict[str, Any],
    one: Callable[[str], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> int:
    """Do every file; one that fails is named on standard error, the others go on, and the worst status is returned.

    With --json the document holds the files that could be done; where none could there is no document."""
    documents, status = [], 0
    for name in options.files:
        try:
            found = one(name)
        except MirguardError as error:
            named = Path(name).name in str(error)
            tell(str(error) if named else f"{name}: {error}")
            status = max(status, error.status)
            continue
        documents.append(found)
        if not options.json:
            show(found)
    if options.json and documents:
        show_json({**about, "files": documents})
    return status


def show_json(document: Any) -> None:
    """Strict JSON in ASCII, which every pipe can carry; an infinite SNR (nothing changed) is null."""

    def strict(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strict(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [strict(entry) for entry in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    print(json.dumps(strict(document), indent=2, allow_nan=False))


def decibels(value: float | None) -> str:
    return "undefined (silence)" if value is None else f"{value:.1f} dB"


class Line:
    """What is being done, on one line of standard error, when that is a terminal and the person did not ask for JSON.

    Called with a sentence and the part that is done (or None); as a context it takes the line away at the end."""

    def __init__(self, shown: bool = True) -> None:
        self.on = shown and sys.stderr.isatty()
        self._shown = False

    def __call__(self, sentence: str, fraction: float | None = None) -> None:
        if self.on:
            part = f"{fraction:4.0%} " if fraction is not None else ""
            print(f"\r\033[K{part}{sentence[:100]}", end="", file=sys.stderr, flush=True)
            self._shown = True

    def clear(self) -> None:
        """Take it away until something is said again, for what goes to standard output."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
            self._shown = False

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_error: object) -> None:
        self.clear()


def declared_options(parser: argparse.ArgumentParser, users: Sequence[Any]) -> None:
    """An option for every parameter that any of `users` (attacks, methods: with `name` and `parameters`) declares, explained as
    the first one that has it does; the options are read by `given`."""
    declared: dict[str, list[tuple[str, Any]]] = {}
    for user in users:
        for parameter in user.parameters:
            declared.setdefault(parameter.name, []).append((user.name, parameter))
    for having in declared.values():
        first = having[0][1]
        choices = list(dict.fromkeys(choice for _name, parameter in having for choice in parameter.choices))
        listed = f" ({', '.join(choices)})" if choices else ""
        parser.add_argument(
            first.option,
            dest=f"set_{first.name}",
            metavar={bool: "yes|no", int: "N", float: "X", str: "NAME"}[first.kind],
            help=f"{first.help.replace('%', '%%')}{listed} [{', '.join(name for name, _parameter in having)}]",
        )


def given(options: argparse.Namespace) -> dict[str, Any]:
    """What was given of the declared options, by parameter; what the chosen attack or method lacks is refused there, by name."""
    values = vars(options).items()
    return {name.removeprefix("set_"): value for name, value in values if name.startswith("set_") and value is not None}


def model_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="M",
        help="a model of 'mirguard models list', or a path to a model.toml (default: musicnn-mtt, else the toy model)",
    )
