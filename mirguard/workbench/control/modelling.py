"""The model in use, and what it says of every loaded clip."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from mirguard.workbench.bench import ERROR, WARNING, Bench
from mirguard.workbench.lanes import Answer
from mirguard.workbench.pictures import ListModels
from mirguard.workbench.requests import Classify, ClassifyOnScreen, LoadModel
from mirguard.workbench.settings import Settings

FALLBACK = "toy-instruments"


class Modelling(QObject):
    """Loads the model chosen, falls back to the bundled one, classifies what is loaded: the clip on screen first."""

    loading = Signal(str, object)  # a sentence ("" when over), and the fraction done or None

    def __init__(self, bench: Bench, settings: Settings, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._bench, self._settings = bench, settings
        self._wanted: str | None = None
        self._asked: dict[int, Classify] = {}
        bench.on(ListModels, self._listed)
        bench.on(LoadModel, self._loaded, self._progress, self._load_failed)
        bench.on(Classify, self._classified, failed=self._unclassified)
        bench.document.watch("clips", self.classify_all)
        bench.document.watch("current", self.classify_current)
        bench.document.watch("model", self.classify_all)

    def start(self, model: str | None = None) -> None:
        """Look what models there are and load one: the one named, else the one used last, else the default."""
        self._wanted = model or self._settings.model
        self._bench.pictures.ask(ListModels())
        if self._wanted:
            self._load(self._wanted)

    def choose(self, name: str) -> None:
        """Another model, because a person wants it."""
        document = self._bench.document
        if document.model is None or document.model.name != name:
            self._settings.model = name
            self._load(name)

    def _load(self, name: str) -> None:
        self.loading.emit(f"Loading {name} …", None)
        self._bench.engine.ask(LoadModel(name))

    def _listed(self, answer: Answer) -> None:
        models, default = answer.value
        self._bench.document.set_models(models)
        if not self._wanted:
            self._wanted = default
            self._load(default)

    def _progress(self, answer: Answer) -> None:
        self.loading.emit(*answer.value)

    def _loaded(self, answer: Answer) -> None:
        self.loading.emit("", None)
        self._bench.document.set_model(answer.value)
        # What was fetched is now here: the list says so.
        self._bench.pictures.ask(ListModels())

    def _load_failed(self, answer: Answer) -> None:
        self.loading.emit("", None)
        document = self._bench.document
        name = answer.request.name
        if document.model is not None:
            self._bench.say(answer.value, ERROR, answer.details)
            document.tell("model")
        elif name != FALLBACK:
            self._bench.say(f"{answer.value} Going on with {FALLBACK}.", WARNING, answer.details)
            self._load(FALLBACK)
        else:
            self._bench.say(answer.value, ERROR, answer.details)
            document.set_model(None, answer.value)

    def classify_all(self) -> None:
        """Have every clip without labels classified."""
        document = self._bench.document
        if document.model is None:
            return
        for entry in document.entries.values():
            if entry.decision is None and not entry.trouble:
                self._classify(entry.key)

    def classify_current(self) -> None:
        """The clip on screen goes first."""
        entry = self._bench.document.current
        if entry is not None and entry.decision is None and self._bench.document.model is not None:
            self._classify(entry.key)

    def _classify(self, key: int) -> None:
        document, engine = self._bench.document, self._bench.engine
        kind = ClassifyOnScreen if key == document.current_key else Classify
        request = kind(key, document.entries[key].clip, document.model.name)
        # The same question a second time would only make the first one begin anew.
        if self._asked.get(key) != request or not engine.holds(request.slot):
            self._asked[key] = request
            engine.ask(request)

    def _classified(self, answer: Answer) -> None:
        self._asked.pop(answer.request.key, None)
        if self._current(answer):
            self._bench.document.set_decision(answer.request.key, answer.value)

    def _unclassified(self, answer: Answer) -> None:
        self._asked.pop(answer.request.key, None)
        if self._current(answer):
            self._bench.document.set_decision(answer.request.key, None, answer.value)
            self._bench.say_failure(answer)

    def _current(self, answer: Answer) -> bool:
        model = self._bench.document.model
        return model is not None and model.name == answer.request.model
