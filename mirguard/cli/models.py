"""`mirguard models`."""

from __future__ import annotations

import argparse

from mirguard.cli.terminal import show_json
from mirguard.errors import UsageError


def _models(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import UNUSABLE, find_model, list_models

    one = options.action == "show"
    if one != (options.name is not None):
        raise UsageError(
            f"'mirguard models {options.action}' {'needs the name of a model' if one else 'takes no name'}."
        )
    found = [find_model(options.name)] if one else list_models()
    if options.json:
        documents = [vars(info) for info in found]
        show_json(documents[0] if one else {"models": documents})
        return 0
    for info in found:
        print(f"{info.name:18} {info.title}")
        if info.state != UNUSABLE:
            print(
                f"{'':18} {info.task}, {len(info.labels)} labels, windows of {info.window / info.sample_rate:g} s at "
                f"{info.sample_rate} Hz; {info.state}"
            )
        for sentence in filter(None, (info.note, info.how)):
            print(f"{'':18} {sentence}")
        if one:
            print(f"{'':18} {', '.join(info.labels)}")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "show"), help="'list' all, or 'show' one with its labels")
    parser.add_argument("name", nargs="?", metavar="M")


COMMANDS = {"models": ("Which models are there?", _arguments, _models)}
