"""`mirguard models list | show | add | remove | train`."""

from __future__ import annotations

import argparse

from mirguard.cli.model_cards import INDENT, card_lines, confusion_lines, facts, gradient_lines, label_line, say
from mirguard.cli.terminal import Line, show_json
from mirguard.cli.training import add_train


def _list(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import list_models

    found = list_models()
    if options.json:
        show_json({"models": [vars(info) for info in found]})
        return 0
    for info in found:
        print(f"{info.name:{INDENT}} {info.title}")
        say(facts(info))
    return 0


def _show(options: argparse.Namespace) -> int:
    from mirguard.models.catalogue import find_model

    info = find_model(options.name)
    if options.json:
        show_json(vars(info))
        return 0
    print(f"{info.name:{INDENT}} {info.title}")
    say(facts(info))
    say([label_line(info.labels)])
    say(card_lines(info.card))
    for line in confusion_lines(info.card.get("test"), info.labels):
        print(f"{'':{INDENT}} {line}")
    if info.path:
        say([f"Kept as {info.path}"])
    return 0


def _add(options: argparse.Namespace) -> int:
    import torch

    from mirguard.models.add import add_model
    from mirguard.models.catalogue import info_of

    torch.set_flush_denormal(True)
    with Line(not options.json) as line:
        file = add_model(
            options.source, options.name, replace=options.replace, progress=lambda text, _done: line(f"{text} ...")
        )
    info = info_of(file)
    if options.json:
        show_json(vars(info))
        return 0
    print(f"{info.name:{INDENT}} {info.title}")
    say([f"Added. {sentence}" if k == 0 else sentence for k, sentence in enumerate(facts(info))])
    say(gradient_lines(info.card.get("gradient")))
    return 0


def _remove(options: argparse.Namespace) -> int:
    from mirguard.models.add import remove_model

    remove_model(options.name)
    if options.json:
        show_json({"removed": options.name})
    else:
        print(f"{options.name} is removed.")
    return 0


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
