"""What a person sees while the program is being made ready: numbered steps, and a line for each thing that happens."""

from __future__ import annotations

import re
import sys
import time

REFRESH = 1.0  # seconds between two looks at the clock on a terminal
REMINDER = 15.0  # seconds of silence after which a log file gets a line


class Console:
    """Steps and lines on standard error, which leaves standard output to the program.

    On a terminal the last line counts the seconds while nothing happens; in a file, a line now and then says so.
    """

    def __init__(self, steps: int, stream=None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._steps = steps
        self._step = 0
        self._doing = ""
        self._since = self._reminded = time.monotonic()
        self._pending = False

    def step(self, text: str) -> None:
        self._step += 1
        self.line(f"[{self._step}/{self._steps}] {text}")

    def detail(self, text: str) -> None:
        """Something that has begun; `tick` says how long it has been going on."""
        self._end_pending()
        self._doing = f"      {text}"
        self._since = self._reminded = time.monotonic()
        self._write(self._doing if self._live else self._doing + "\n")
        self._pending = self._live

    def tick(self) -> None:
        now = time.monotonic()
        if self._live and self._pending and now - self._since >= 2 * REFRESH:
            self._write(f"\r{self._doing}  {now - self._since:.0f} s")
        elif not self._live and now - self._reminded >= REMINDER:
            self._reminded = now
            self._write(f"{self._doing} (for {now - self._since:.0f} s)\n")

    def line(self, text: str) -> None:
        self._end_pending()
        self._doing = text
        self._since = self._reminded = time.monotonic()
        self._write(text + "\n")

    def _end_pending(self) -> None:
        if self._pending:
            self._pending = False
            self._write("\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class PipReader:
    """Turns pip's output, line by line, into what is worth showing.

    `total` is the number of packages that are expected; it grows when pip fetches more.
    """

    _FETCHED = re.compile(
        r"^\s*(?:Downloading|Using cached|Processing) (?:\S*[/\\])?(?P<file>[^/\\]+\.whl)(?P<size> \(.*\))?\s*$"
    )

    def __init__(self, total: int) -> None:
        self.total = total
        self.fetched = 0
        self.installing = False
        self.errors: list[str] = []
        self._seen: set[str] = set()

    def read(self, line: str) -> str | None:
        """What to show for one line of pip's, or None."""
        if line.startswith("ERROR: "):
            self.errors.append(line[len("ERROR: ") :].strip())
            return None
        if line.startswith("Installing collected packages: "):
            self.installing = True
            count = len(line.split(","))
            return f"installing {count} package{'s' * (count > 1)}"
        if line.lstrip().startswith("Installing build dependencies: started"):
            return "preparing MIRGuard itself"
        found = self._FETCHED.match(line)
        if not found or found["file"] in self._seen:
            return None
        self._seen.add(found["file"])
        self.fetched += 1
        self.total = max(self.total, self.fetched)
        name, version = found["file"].split("-")[:2]
        return f"{self.fetched} of about {self.total}: {name} {version.partition('+')[0]}{found['size'] or ''}"
