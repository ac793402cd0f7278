"""`mirguard defend`: hardened models, made by the field's defences."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import Line, declared_options, given, show_json, tell
from mirguard.cli.training import divided, document, show, split_options, watching
from mirguard.errors import UsageError

LIST = "list"


def _defend(options: argparse.Namespace) -> int:
    from mirguard.defences.catalogue import find_defence
    from mirguard.defences.toy_set import toy_clips
    from mirguard.parameters import resolve

    if options.defence == LIST:
        return _list(options)
    defence, settings = find_defence(options.defence), given(options)
    resolve(defence.parameters, settings)  # whatever can be refused before an hour of learning, is
    for option in ("model", "data", "name"):
        if not getattr(options, option):
            raise UsageError(f"mirguard defend {defence.name} needs --{option}; see mirguard defend --help.")
    import torch

    from mirguard.defences.defend import check_parent, defend
    from mirguard.models.catalogue import load_model

    torch.set_flush_denormal(True)  # denormal weights make a pass on a CPU many times slower
    clips = toy_clips(options.data)
    with Line(not options.json) as line:
        parent = check_parent(load_model(options.model, line), defence)
        if clips is not None:
            options.data, options.no_check = _toy(clips, line), True
        try:
            made = defend(
                parent,
                divided(options, line),
                options.name,
                defence.name,
                seed=options.seed,
                title=options.title,
                replace=options.replace,
                resume=options.resume,
                progress=watching(line),
                **settings,
            )
        except KeyboardInterrupt:
            tell("stopped; the same command with --resume goes on from the last whole epoch.")
            return 1
    if options.json:
        show_json(document(made))
    else:
        show(made)
    return 0


def _toy(clips: int, line: Line) -> str:
    from mirguard.defences.toy_set import toy_folder

    def progress(done: int, of: int) -> None:
        line(f"Making toy clips, {done} of {of}", done / of)

    return str(toy_folder(clips, progress=progress))


def _list(options: argparse.Namespace) -> int:
    from mirguard.defences.catalogue import list_defences

    if options.json:
        show_json({"defences": [_declared(defence) for defence in list_defences()]})
        return 0
    for defence in list_defences():
        print(f"{defence.name:22} {defence.help} ({defence.reference})")
        print(f"{'':22} {defence.knowledge}")
        print(f"{'':22} " + ", ".join(parameter.option for parameter in defence.parameters))
    return 0


def _declared(defence: Any) -> dict[str, Any]:
    parameters = {}
    for parameter in defence.parameters:
        parameters[parameter.name] = {
            "help": parameter.help,
            "kind": parameter.kind.__name__,
            "default": None if callable(parameter.default) else parameter.default,
            "minimum": parameter.minimum,
            "maximum": parameter.maximum,
            "choices": list(parameter.choices),
        }
    about = {key: getattr(defence, key) for key in ("name", "title", "help", "reference", "knowledge", "tags")}
    return {**about, "layer": defence.attached or None, "parameters": parameters}


def _arguments(parser: argparse.ArgumentParser) -> None:
    from mirguard.defences.catalogue import list_defences

    defences = list_defences()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "defences:\n" + "\n".join(f"  {defence.name:22} {defence.help}" for defence in defences)
    parser.add_argument("defence", metavar="DEFENCE", help=f"one of those below, or '{LIST}' for what each is")
    parser.add_argument(
        "--model", metavar="M", help="the model to harden: a network of 'mirguard models list', or a path"
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="sounds with the model's labels to learn from: a folder, table or known collection as for 'mirguard models train'; "
        "'toy' (or 'toy:N' clips) makes those of the toy models. Divide it as for the model, with the same seed, or clips are "
        "tested on that the model has heard",
    )
    parser.add_argument("--name", metavar="NEW", help="what the hardened model is to be called")
    parser.add_argument("--title", default="", help="a longer name for people")
    parser.add_argument("--resume", action="store_true", help="go on from the last whole epoch of the same command")
    parser.add_argument("--replace", action="store_true", help="take the place of a model of yours with that name")
    split_options(parser)
    declared_options(parser, defences)


COMMANDS = {
    "defend": ("Make a hardened model out of a model: adversarial training and other defences.", _arguments, _defend)
}
