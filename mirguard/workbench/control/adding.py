"""Models come and go: those that a person brings, and those that are taken away again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import NOTE, Bench
from mirguard.workbench.control.modelling import FALLBACK, Modelling
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import ListModels
from mirguard.workbench.requests import AddModel, RemoveModel

SUFFIXES = (".toml", ".zip")


class Adding(QObject):
    """`added` carries the ModelInfo of a model that is now in the catalogue and a sentence; `working` a sentence ("" when
    over) and the fraction done or None."""

    added = Signal(object, str)
    working = Signal(str, object)

    def __init__(self, bench: Bench, modelling: Modelling, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._modelling = bench, modelling
        bench.on(AddModel, self._added, self._progress, self._failed, self._cancelled)
        bench.on(RemoveModel, self._removed)

    def add(self, source: str | Path) -> None:
        """Put the model of this model.toml, folder or zip into the catalogue."""
        source = Path(source).expanduser().absolute()
        self.working.emit(f"Adding {source.parent.name if source.name == 'model.toml' else source.name} …", None)
        self._bench.engine.ask(AddModel(source))

    def cancel(self) -> bool:
        """Stop adding; True if something was being added."""
        return self._bench.engine.holds("AddModel") and self._bench.engine.cancel("AddModel")

    def remove(self, name: str) -> None:
        """Delete one of the person's own models."""
        self._bench.engine.ask(RemoveModel(name))

    def _progress(self, answer: Answer) -> None:
        self.working.emit(*answer.value)

    def _added(self, answer: Answer) -> None:
        self.working.emit("", None)
        self._bench.pictures.ask(ListModels())
        self.added.emit(*answer.value)

    def _failed(self, answer: Answer) -> None:
        self.working.emit("", None)
        self._bench.say_failure(answer)

    def _cancelled(self, answer: Answer) -> None:
        self.working.emit("", None)

    def _removed(self, answer: Answer) -> None:
        name = answer.value
        self._bench.say(f"{name} was removed.", NOTE)
        self._bench.pictures.ask(ListModels())
        model = self._bench.document.model
        if model is not None and model.name == name:
            self._modelling.choose(FALLBACK)


def is_model(path: Path) -> bool:
    """Whether what was dropped is a model and no sound: a model.toml or a zip, or a folder with a model.toml in it."""
    if path.is_dir():
        return (path / "model.toml").is_file()
    return path.suffix.lower() in SUFFIXES


def models_among(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The models, and the rest."""
    models, rest = [], []
    for path in paths:
        (models if is_model(path) else rest).append(path)
    return models, rest
