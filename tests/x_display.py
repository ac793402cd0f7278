"""A screen of a test's own: Xvfb with openbox as its window manager, and xdotool's hands on mouse and keys."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

NEEDED = ("Xvfb", "openbox", "xdotool")


def missing() -> str | None:
    """Why this machine has no such screen; None if it has."""
    absent = [program for program in NEEDED if shutil.which(program) is None]
    return f"{', '.join(absent)} not found: install xvfb, openbox and xdotool" if absent else None


class Screen:
    """A running screen; programs started with `environment` appear on it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def do(self, *words: str | int) -> str:
        """Let xdotool do it; what it says."""
        done = subprocess.run(
            ["xdotool", *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def key(self, *keys: str) -> None:
        self.do("key", "--clearmodifiers", "--delay", 60, *keys)

    def click(self, x: int, y: int, button: int = 1) -> None:
        self.do("mousemove", "--sync", x, y)
        self.do("click", button)

    def drag(self, start: tuple[int, int], end: tuple[int, int], steps: int = 12) -> None:
        """Press at `start`, move to `end` in steps as a hand does, let go."""
        self.do("mousemove", "--sync", *start)
        self.do("mousedown", 1)
        for step in range(1, steps + 1):
            point = (round(a + (b - a) * step / steps) for a, b in zip(start, end, strict=True))
            self.do("mousemove", *point)
            time.sleep(0.04)
        time.sleep(0.3)
        self.do("mouseup", 1)


@contextmanager
def screen(width: int = 1480, height: int = 900) -> Iterator[Screen]:
    """Start the screen and its window manager, and stop them at the end of the block."""
    reading, writing = os.pipe()
    folder = tempfile.mkdtemp(prefix="mg-screen-")
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
        pass_fds=(writing,),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    manager = None
    try:
        with os.fdopen(reading) as number:
            display = number.readline().strip()  # comes when the server is ready
        if not display:
            raise RuntimeError("Xvfb did not start")
        environment = {**os.environ, "DISPLAY": f":{display}", "HOME": folder, "XDG_CONFIG_HOME": folder}
        environment["XDG_CACHE_HOME"] = folder
        for name in ("WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"):
            environment.pop(name, None)
        manager = subprocess.Popen(["openbox"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        yield Screen(environment)
    finally:
        for process in (manager, server):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(folder, ignore_errors=True)
