#!/usr/bin/env python3
"""Run all of MIRGuard's tests from a checkout, installing what is missing first.

    python3 packaging/test.py [PYTEST OPTIONS] [-- PIP OPTIONS]

prepares the same environment as packaging/run.py and adds what the tests need; the end-to-end tests also need Xvfb, a
window manager and PulseAudio. Without options every test runs; paths are relative to the checkout. For example:

    python3 packaging/test.py -m "not long"
    python3 packaging/test.py tests/test_clip.py -x

The exit status is pytest's.
"""

import os
import sys

import python_version


def main():
    python_version.ensure()
    from bootstrap import hand_over, ready, split
    from environment import Environment

    arguments, pip_options = split(sys.argv[1:])
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__.strip())
        return 0
    environment = Environment()
    status = ready(environment, ["test"], pip_options)
    if status:
        return status
    os.chdir(environment.root)
    return hand_over(environment, "pytest", arguments)


if __name__ == "__main__":
    sys.exit(main())
