"""What packaging/run.py and packaging/test.py share: read the command line, prepare, hand over to a Python module."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from environment import CannotPrepare, Environment

SEPARATOR = "--"  # what follows it on the command line goes to pip


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments before `--`, and pip's options after it."""
    arguments = list(arguments)
    if SEPARATOR not in arguments:
        return arguments, []
    at = arguments.index(SEPARATOR)
    return arguments[:at], arguments[at + 1 :]


def ready(environment: Environment, extras: Sequence[str], pip_options: Sequence[str]) -> int:
    """Install what is missing; an exit status, 0 if all is there. What went wrong is said on standard error."""
    try:
        if not environment.is_ready(extras, pip_options):
            import install  # only now: a second start needs nothing of it

            install.prepare(environment, extras, pip_options)
    except CannotPrepare as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Start again to go on; what was downloaded is kept.", file=sys.stderr)
        return 130
    return 0


def hand_over(environment: Environment, module: str, arguments: Sequence[str]) -> int:
    """Become `python -m module arguments` in the environment; its exit status, where a process cannot be replaced.

    The working folder stays the person's own and is not searched for modules (-P).
    """
    command = [str(environment.python), "-P", "-m", module, *arguments]
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "nt":
        import subprocess

        return subprocess.call(command)
    os.execv(command[0], command)
