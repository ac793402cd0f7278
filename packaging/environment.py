"""The virtual environment `.venv` in the checkout: is it ready, and if not, make it so.

Ready means that a stamp in it, written last, says that all of what is wanted now was installed. Reading the stamp is
all that a second start costs. What an interrupted start leaves behind is recognised and made anew; downloads are not
lost, they are in pip's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import python_version

HERE = Path(__file__).resolve().parent
TESTS_HEADING = "# What its tests need besides."  # in the constraints file


class CannotPrepare(Exception):
    """What keeps the program from being installed, as one sentence for the person who started it."""


class Environment:
    """The virtual environment of the checkout at `root`."""

    def __init__(self, root: Path = HERE.parent) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.stamp = self.folder / "mirguard-stamp.json"
        # Lies in the environment from before it is made until it works, and again while pip changes it.
        self.unfinished = self.folder / "mirguard-unfinished"
        self.discarded = root / ".venv-discarded"
        self.lock = root / ".venv.lock"
        self.constraints = root / "packaging" / "constraints.txt"
        self.peers = root / "packaging" / "peers.txt"
        self.log = self.folder / "mirguard-install.log"

    # -- Is it ready? --------------------------------------------------------------------------------------------------

    def wanted(self) -> dict[str, str]:
        """What an environment must have been made from, and for, to be ready."""
        digest = hashlib.sha256()
        for path in (
            self.root / "pyproject.toml",
            self.constraints,
            self.peers,
            HERE / "system_libraries.py",
            HERE / "environment.py",
        ):
            digest.update(path.read_bytes())
        # The real path of the interpreter ends in its version, so that an upgraded system Python is noticed.
        return {"made_from": digest.hexdigest(), "root": str(self.root), "python": os.path.realpath(self.python)}

    def read_stamp(self) -> dict:
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def has_packages(self, extras: Sequence[str] = (), pip_options: Sequence[str] = ()) -> bool:
        """Whether all packages are installed, with these extras and (if any are given) with these options for pip."""
        stamp = self.read_stamp()
        return (
            stamp.items() >= self.wanted().items()
            and set(extras) <= set(stamp["extras"])
            and (not pip_options or list(pip_options) == stamp["pip_options"])
            and not self.unfinished.exists()
            and os.access(self.python, os.X_OK)
        )

    def is_ready(self, extras: Sequence[str] = (), pip_options: Sequence[str] = ()) -> bool:
        """Whether nothing at all is left to do, the system's libraries included."""
        return self.has_packages(extras, pip_options) and {"program", *extras} <= set(self.read_stamp()["libraries"])

    def installed(self) -> dict[str, list[str]]:
        """The extras and the options for pip of the last installation, whether or not it is still good."""
        stamp = self.read_stamp()
        return {"extras": stamp.get("extras", []), "pip_options": stamp.get("pip_options", [])}

    def pinned(self, for_tests: bool) -> int:
        """How many packages the constraints file and, for tests, the list of peers name; about as many will be fetched."""
        program, _, tests = self.constraints.read_text(encoding="utf-8").partition(TESTS_HEADING)
        tests += self.peers.read_text(encoding="utf-8")
        return (program + tests * for_tests).count("==")

    def write_stamp(self, extras: Sequence[str], pip_options: Sequence[str], libraries: Sequence[str]) -> None:
        """Say what is there, whole or not at all; the last thing that an installation does.

        `libraries` says what the system's libraries suffice for: "program", "test", or both.
        """
        stamp = {
            **self.wanted(),
            "extras": sorted(extras),
            "pip_options": list(pip_options),
            "libraries": list(libraries),
        }
        temporary = self.stamp.with_suffix(".new")
        temporary.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        os.replace(temporary, self.stamp)

    # -- What state is it in? ------------------------------------------------------------------------------------------

    def state(self) -> str:
        """`absent`, `usable`, `broken` (ours to make anew) or `foreign` (a folder that is no environment)."""
        if not self.folder.exists() and not self.folder.is_symlink():
            return "absent"
        if self.unfinished.exists():
            return "broken"
        if not (self.folder / "pyvenv.cfg").exists():
            return "foreign" if not self.folder.is_dir() or any(self.folder.iterdir()) else "absent"
        return "usable" if self._works() else "broken"

    def _works(self) -> bool:
        """Whether its Python starts, is one that we support and the one it was made for, and has pip."""
        import subprocess

        question = "import sys, pip; print(*sys.version_info[:2])"
        try:
            answer = subprocess.run([self.python, "-I", "-c", question], capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        version = tuple(map(int, answer.stdout.split()))
        return python_version.supported(version) and self._made_for() in (None, version)

    def _made_for(self) -> tuple[int, ...] | None:
        """The version that pyvenv.cfg names: packages lie in a folder called after it."""
        for line in (self.folder / "pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key.strip() in ("version", "version_info"):
                return tuple(map(int, value.strip().split(".")[:2]))
        return None

    # -- One at a time -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, on_wait) -> Iterator[int]:
        """Only one start installs at a time; `on_wait()` is called once if another does. Yields the lock's descriptor.

        The lock is the descriptor's: a pip that outlives the start which began it holds the lock until it ends.
        """
        try:
            file = open(self.lock, "a")  # noqa: SIM115 - closed below, outside what this `except` is about
        except OSError as error:
            raise CannotPrepare(
                f"{self.root} cannot be written ({error.strerror}); copy the checkout to a folder of your own."
            ) from error
        with file:
            if not _try_lock(file.fileno(), wait=False):
                on_wait()
                _try_lock(file.fileno(), wait=True)
            yield file.fileno()


def _try_lock(descriptor: int, wait: bool) -> bool:
    if os.name == "nt":
        import msvcrt
        import time

        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.5)
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def base_python() -> str:
    """The Python to make environments with: the one behind this one, should this one live in an environment itself."""
    return getattr(sys, "_base_executable", None) or sys.executable
