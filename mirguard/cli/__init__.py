"""The terminal's way in: `mirguard [FILE ...]` opens the workbench, `mirguard COMMAND ...` works without a window.

With --json a command prints one JSON document on standard output and nothing else there. Errors are one line on standard
error that says what is wrong and what to do. Exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mirguard import __version__
from mirguard.cli import (
    attacking,
    checking,
    datasets,
    defending,
    detecting,
    doctor,
    hearing,
    models,
    surviving,
    universal,
)
from mirguard.cli.terminal import Parser, tell
from mirguard.errors import MirguardError, UsageError

# Each module declares its commands: name -> (what it does in one sentence, its arguments, its work).
MODULES = (hearing, attacking, surviving, universal, detecting, checking, models, defending, datasets, doctor)
COMMANDS = {name: declared for module in MODULES for name, declared in module.COMMANDS.items()}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # → and δ on a terminal that has none, names in another encoding
            stream.reconfigure(errors="backslashreplace")
    try:
        status = _command(arguments) if arguments and arguments[0] in COMMANDS else _workbench(arguments)
        print(end="", flush=True)
        return status
    except MirguardError as error:
        tell(str(error))
        return error.status
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read our output has left (`| head`): no error
            tell(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        _let_go_of_output()
        return 1
    except MemoryError:
        tell("There is not enough memory for this; try a shorter clip.")
        return 1
    except KeyboardInterrupt:
        tell("stopped.")
        return 1


def _let_go_of_output() -> None:
    """Where standard output takes nothing more, not even the interpreter's end may try to write there."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _command(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    return options.run(options)


def _workbench(arguments: list[str]) -> int:
    parser = Parser(
        prog="mirguard",
        description="Open the workbench, or work in the terminal: how fragile is a music classifier?",
        epilog="Commands: " + ", ".join(COMMANDS) + ". 'mirguard COMMAND --help' says more of each.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="sound files to open")
    parser.add_argument("--version", action="version", version=f"mirguard {__version__}")
    files = parser.parse_args(arguments).files
    unknown = [name for name in files if not Path(name).suffix and not Path(name).exists()]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is neither a file nor a command; the commands are {', '.join(COMMANDS)}.")
    from mirguard.workbench.app import main as open_workbench

    return open_workbench(files)


def _parser() -> Parser:
    parser = Parser(prog="mirguard")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (what, arguments, run) in COMMANDS.items():
        new = commands.add_parser(name, help=what, description=what)
        new.set_defaults(run=run)
        new.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        arguments(new)
    return parser
