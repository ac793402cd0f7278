#!/usr/bin/env python3
"""Start MIRGuard from a checkout, installing what is missing first.

    python3 packaging/run.py [FILE ...] [-- PIP OPTIONS]

opens the workbench with these sounds. The first start makes a Python environment in .venv beside this folder and
installs everything into it; later starts find it ready. On Debian and Ubuntu missing system libraries are installed
too where that needs no password; otherwise the command that does it is printed.

Without a screen, a demonstration runs off-screen instead: it loads a sound (the first FILE, or one that comes with the
program), attacks it, reads the detectors and writes both sounds, a picture of the window and a report.

    --output DIR        where the demonstration writes (mirguard-demo in the current folder, if not said)
    --demonstration     the demonstration, although there is a screen
    --install-only      install what is missing and stop
    -h, --help          this text

A command of the terminal program works as well: python3 packaging/run.py classify song.wav --json

Options after -- go to pip and are remembered for later updates. On Linux, torch without its CUDA libraries (2 GB less):

    python3 packaging/run.py -- --extra-index-url https://download.pytorch.org/whl/cpu
"""

from __future__ import print_function

import os
import sys

import python_version


class WrongUsage(Exception):
    """A command line that makes no sense; the text says why."""


def parse(arguments):
    """Our own options, which come before everything else, and the rest, which is the program's."""
    options = {"output": None, "demonstration": False, "install_only": False, "help": False}
    rest = list(arguments)
    while rest:
        name, given, value = rest[0].partition("=")
        if name in ("-h", "--help"):
            options["help"] = True
        elif name in ("--demonstration", "--install-only"):
            options[name[2:].replace("-", "_")] = True
        elif name == "--output":
            if not given and len(rest) == 1:
                raise WrongUsage("--output needs a folder.")
            options["output"] = value if given else rest.pop(1)
        else:
            break
        rest.pop(0)
    return options, rest


def has_screen(environ):
    """Whether a window can be shown: always outside Linux; there, if X11, Wayland or another Qt platform is named."""
    if not sys.platform.startswith("linux"):
        return True
    if environ.get("QT_QPA_PLATFORM", "").partition(":")[0] in ("offscreen", "minimal"):
        return False
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))


def wants_window(arguments):
    """Whether these arguments open the workbench: there are none, or the first is a file (and no command)."""
    return not arguments or os.path.exists(arguments[0])


def program(options, arguments, environ):
    """The module to run and its arguments."""
    if options["demonstration"] or (wants_window(arguments) and not has_screen(environ)):
        output = os.path.abspath(options["output"] or "mirguard-demo")
        # It shows one sound; whatever else stands there and is no file is an option of its own.
        shown = arguments[:1] + [argument for argument in arguments[1:] if not os.path.exists(argument)]
        return "mirguard.workbench.demonstration", shown + ["--output", output]
    if options["output"]:
        raise WrongUsage("--output is for the demonstration; add --demonstration.")
    return "mirguard", arguments


def main():
    python_version.ensure()
    from bootstrap import hand_over, ready, split
    from environment import Environment

    arguments, pip_options = split(sys.argv[1:])
    try:
        options, rest = parse(arguments)
        module, arguments = program(options, rest, os.environ)
    except WrongUsage as error:
        print(error, file=sys.stderr)
        return 2
    if options["help"]:
        print(__doc__.strip())
        return 0
    environment = Environment()
    status = ready(environment, [], pip_options)
    if status or options["install_only"]:
        return status
    if module == "mirguard.workbench.demonstration":
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        print("No window is shown; results go to %s" % arguments[-1], file=sys.stderr)
    return hand_over(environment, module, arguments)


if __name__ == "__main__":
    sys.exit(main())
