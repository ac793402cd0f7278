"""Writing results to files, and reading from the files themselves whether they still do what they should."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.clip import check_export
from mirguard.workbench.bench import WARNING, Bench, attempt
from mirguard.workbench.facts import Entry
from mirguard.workbench.lanes import Answer
from mirguard.workbench.requests import ExportSound


@dataclass(frozen=True)
class ExportResult:
    """What became of one export: where, and what the model says of the file; or the sentence that says why not."""

    what: str
    path: Path
    label: str = ""
    confidence: float = 0.0
    success: bool = False
    trouble: str = ""


class Exporting(QObject):
    """Exports of the clip on screen; each is answered by `exported`."""

    exported = Signal(object)  # ExportResult

    def __init__(self, bench: Bench, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench = bench
        bench.on(ExportSound, self._done, failed=self._failed)

    @property
    def possible(self) -> bool:
        entry = self._bench.document.current
        return entry is not None and entry.outcome is not None

    def export(self, what: str, path: str | Path, subtype: str, entry: Entry | None = None) -> bool:
        """Ask for one file of a clip's result (the clip on screen's, if none is named); False, with a message, where it
        cannot be written at all."""
        entry = entry or self._bench.document.current
        if entry is None or entry.outcome is None:
            self._bench.say("There is nothing to export yet; run an attack first.", WARNING)
            return False
        if not attempt(self._bench, check_export, path, subtype):
            return False
        model = entry.made_with[1]
        self._bench.engine.ask(ExportSound(entry.outcome, model, what, Path(path), subtype))
        return True

    def _done(self, answer: Answer) -> None:
        request, export = answer.request, answer.value
        self.exported.emit(
            ExportResult(request.what, export.path, export.decision.label, export.decision.confidence, export.success)
        )

    def _failed(self, answer: Answer) -> None:
        self.exported.emit(ExportResult(answer.request.what, answer.request.path, trouble=answer.value))
        self._bench.say_failure(answer)


def suggested_name(entry: Entry, what: str, suffix: str = ".wav") -> str:
    """A file name that says what it is: "song.pgd.adversarial.wav"."""
    design = entry.made_with[0] if entry.made_with else None
    attack = f".{design.attack}" if design else ""
    return f"{Path(entry.name).stem}{attack}.{what}{suffix}"
