"""Clips come and go: files opened, dropped or named at the start, the demonstration clip, recent files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mirguard.clip import Clip
from mirguard.errors import MirguardError
from mirguard.resources import resource
from mirguard.workbench.bench import ERROR, WARNING, Bench
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import OpenFiles
from mirguard.workbench.settings import Settings

DEMO = ("demo", "demo.flac")


class Loading:
    """Asks the pictures' lane for files and puts the clips that come into the document."""

    def __init__(self, bench: Bench, settings: Settings) -> None:
        self._bench, self._settings = bench, settings
        self._first: dict[int, bool] = {}  # requests whose first clip is still to be shown
        bench.on(OpenFiles, self._opened, self._loaded, self._failed, self._failed)

    def open(self, paths: Iterable[str | Path]) -> None:
        """Load files and folders; the first new clip is shown as soon as it is there. What is loaded is only shown."""
        wanted = []
        for path in (Path(path).expanduser().absolute() for path in paths):
            known = self._bench.document.find(path)
            if known is None:
                wanted.append(path)
            else:
                self._bench.document.choose(known.key)
        if wanted:
            self._first[self._bench.pictures.ask(OpenFiles(tuple(wanted)))] = True

    def open_demo(self) -> None:
        """Load the demonstration clip that comes with the program."""
        try:
            self.open([resource(*DEMO)])
        except MirguardError as error:
            self._bench.say(str(error), ERROR)

    @property
    def busy(self) -> bool:
        return bool(self._first)

    def _loaded(self, answer: Answer) -> None:
        path, clip, level = answer.value
        if not isinstance(clip, Clip):
            self._bench.say(clip, ERROR)
            self._settings.forget_recent(path)
            return
        known = self._bench.document.find(clip.source)
        entry = known or self._bench.document.add(clip, level)
        self._settings.add_recent(path)
        if self._first.get(answer.id):
            self._first[answer.id] = False
            self._bench.document.choose(entry.key)
        clipped = clip.provenance.get("clipped_samples")
        if clipped:
            self._bench.say(f"{clip.name}: {clipped} samples beyond full scale were clipped.", WARNING)

    def _opened(self, answer: Answer) -> None:
        self._first.pop(answer.id, None)

    def _failed(self, answer: Answer) -> None:
        self._first.pop(answer.id, None)
        if answer.state == "failed":
            self._bench.say_failure(answer)
