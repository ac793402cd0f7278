"""Is this a Python that MIRGuard runs on? If not, start the same command with one that is.

Written so that any Python from 2.7 on can read it: an old one must be able to say that it is too old.
"""

from __future__ import print_function

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 13)

_QUESTION = "import sys; sys.exit(not (%r <= sys.version_info[:2] <= %r))" % (OLDEST, NEWEST)


def supported(version):
    """Whether a version `(major, minor, ...)` is one of ours."""
    return OLDEST <= tuple(version[:2]) <= NEWEST


def candidates():
    """The commands by which a supported Python is usually called, the newest first."""
    minors = range(NEWEST[1], OLDEST[1] - 1, -1)
    if os.name == "nt":
        return [["py", "-3.%d" % minor] for minor in minors]
    return [["python3.%d" % minor] for minor in minors]


def find():
    """The first of these commands that works here, or None."""
    import subprocess  # only here, where it is needed: a second start is to be quick

    with open(os.devnull, "w") as nowhere:
        for command in candidates():
            try:
                if subprocess.call(command + ["-c", _QUESTION], stdout=nowhere, stderr=nowhere) == 0:
                    return command
            except OSError:
                continue
    return None


def sentence(version):
    """What to say to a person who has no supported Python."""
    return (
        "MIRGuard runs on Python %d.%d to %d.%d; this is Python %d.%d. Install one of them and start again with it, "
        "for example: python%d.%d %s" % (OLDEST + NEWEST + tuple(version[:2]) + OLDEST + (sys.argv[0],))
    )


def ensure():
    """Return under a supported Python; else start the command again under one, or say what is missing, and leave."""
    if supported(sys.version_info):
        return
    command = find()
    if command is None:
        print(sentence(sys.version_info), file=sys.stderr)
        sys.exit(1)
    import subprocess

    sys.exit(subprocess.call(command + sys.argv))
