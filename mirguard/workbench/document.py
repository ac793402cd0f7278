"""What the window shows: clips, model, attack design, results. Plain objects without Qt that tell watchers what changed.

Only the controllers change the document; panels are shown parts of it and ask for changes. A topic is a word; watchers
are called with no arguments, after the change, in the order in which they began to watch.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mirguard.attacks.attack import Attack
from mirguard.attacks.catalogue import list_attacks
from mirguard.clip import Clip, rms
from mirguard.errors import UsageError
from mirguard.workbench.design import Design
from mirguard.workbench.facts import (
    ADVERSARIAL,
    ORIGINAL,
    PERTURBATION,
    Entry,
    ModelFacts,
    Moment,
    ReferenceFacts,
    Run,
    Snapshot,
)

if TYPE_CHECKING:
    from mirguard.detectors.reading import Reading
    from mirguard.experiment import Outcome
    from mirguard.experiment.baseline import Baseline
    from mirguard.models.decision import Decision

TOPICS = (
    "clips",
    "current",
    "labels",
    "models",
    "model",
    "design",
    "run",
    "live",
    "outcome",
    "readings",
    "reference",
    "fpr",
    "moment",
    "baseline",
)


class Document:
    """Everything on show. Change it through its methods; `watch` tells what changed."""

    def __init__(self) -> None:
        self.entries: dict[int, Entry] = {}
        self.current_key: int | None = None
        self.attacks: tuple[Attack, ...] = list_attacks()
        self.models: tuple[Any, ...] = ()  # models.catalogue.ModelInfo
        self.model: ModelFacts | None = None
        self.model_state = "Starting the engine …"  # a sentence while there is no model
        self.design = Design()
        self.run: Run | None = None
        self.moment: Moment | None = None  # of the current clip
        self.fpr = 0.05
        self.reference: ReferenceFacts | None = None
        self._keys = itertools.count(1)
        self._watchers: dict[str, list[Callable[[], None]]] = defaultdict(list)

    def watch(self, topic: str, *callbacks: Callable[[], None]) -> None:
        if topic not in TOPICS:
            raise ValueError(f"no topic {topic!r}")
        self._watchers[topic].extend(callbacks)

    def tell(self, *topics: str) -> None:
        for topic in topics:
            for callback in self._watchers[topic]:
                callback()

    # --- clips ---

    @property
    def current(self) -> Entry | None:
        return None if self.current_key is None else self.entries[self.current_key]

    def add(self, clip: Clip, level: float | None = None) -> Entry:
        """A new entry at the end of the list; `level` is the clip's RMS, where somebody has computed it already."""
        entry = Entry(next(self._keys), clip, rms(clip.samples) if level is None else level)
        self.entries[entry.key] = entry
        self.tell("clips")
        if self.current_key is None:
            self.choose(entry.key)
        return entry

    def find(self, source: Any) -> Entry | None:
        """The entry read from that file, if it is loaded."""
        return next((entry for entry in self.entries.values() if entry.clip.source == source), None)

    def choose(self, key: int) -> None:
        if key in self.entries and key != self.current_key:
            self.current_key, self.moment = key, None
            self.tell("current", "moment")

    def remove(self, key: int) -> None:
        """Take a clip off the list; its neighbour becomes the current one."""
        if key not in self.entries:
            return
        keys = list(self.entries)
        place = keys.index(key)
        del self.entries[key]
        left = list(self.entries)
        chosen = key == self.current_key
        if chosen:
            self.current_key = left[min(place, len(left) - 1)] if left else None
            self.moment = None
        self.tell("clips")
        if chosen:
            self.tell("current", "moment")

    def set_decision(self, key: int, decision: Decision | None, trouble: str = "") -> None:
        if key in self.entries:
            self.entries[key].decision, self.entries[key].trouble = decision, trouble
            self.tell("labels")

    # --- model ---

    def set_models(self, models: tuple[Any, ...]) -> None:
        self.models = models
        self.tell("models")

    def set_model(self, model: ModelFacts | None, state: str = "") -> None:
        """Another model: what the one before said of the clips no longer counts; finished attacks stay, as stale."""
        self.model_state = state
        if model != self.model:
            self.model, self.reference = model, None
            for entry in self.entries.values():
                entry.decision, entry.trouble = None, ""
                entry.readings.clear()
            self.set_moment(None)
            if model is not None:
                target = self.design.target if self.design.target in model.labels else None
                alike = {info.name for info in self.stand_ins}
                kept = tuple(name for name in self.design.surrogates if name in alike)
                self.design = replace(self.design, target=target, surrogates=kept, evade=())
            self.tell("model", "labels", "design", "reference", "readings")
        else:
            self.tell("model")

    # --- design and results ---

    def change_design(self, **changes: Any) -> None:
        changed = replace(self.design, **changes)
        if changed != self.design:
            self.design = changed
            self.tell("design")

    def set_value(self, name: str, value: Any) -> None:
        """Set one parameter of the attack; None gives it back to its default."""
        values = {key: kept for key, kept in self.design.values.items() if key != name}
        if value is not None:
            values[name] = value
        self.change_design(values=values)

    def stale(self, entry: Entry) -> bool:
        """Whether the clip's result was made with other settings than those on show."""
        if entry.outcome is None or entry.made_with is None:
            return False
        design, model = entry.made_with
        return model != (self.model.name if self.model else "") or not design.same_attack(self.design)

    @property
    def attack_trouble(self) -> str:
        """Why the attack that is designed cannot be used on the model, in a sentence; "" if it can."""
        design = self.design
        if not design.surrogates and (trouble := unsuited(design.declaration, self.model)):
            return trouble
        blind = [info for info in self.stand_ins if info.name in design.surrogates and not info.gradients]
        if blind and design.declaration.gradients:
            return f"{blind[0].title or blind[0].name} gives no gradients and {design.declaration.title} needs them: untick it."
        if self.model is not None and design.needs_target:
            return f"{design.declaration.title} needs a target: choose the label that is to come out."
        return ""

    @property
    def stand_ins(self) -> list[Any]:
        """The models that an attack may be made on instead of the chosen one: other ones with its labels (ModelInfo)."""
        chosen = self.model
        if chosen is None:
            return []
        return [
            info
            for info in self.models
            if info.name != chosen.name
            and info.task == chosen.task
            and set(info.labels) == set(chosen.labels)
            and info.state != "unusable"
        ]

    def begin(self, run: Run) -> None:
        self.run, self.moment = run, None
        self.tell("run", "moment")

    def advance(self, snapshot: Snapshot) -> None:
        if self.run is not None:
            self.run.last = snapshot
            self.run.trace.extend(snapshot.points)
            self.run.heard.extend(snapshot.heard)
            self.tell("live")

    def end(self, outcome: Outcome | None) -> None:
        """The attack is over; without an outcome the clip keeps the one it had."""
        run, self.run = self.run, None
        entry = self.entries.get(run.key) if run else None
        if entry is not None and outcome is not None:
            found = outcome.trace  # complete, where the snapshots left out what came faster than they
            entry.outcome = outcome
            entry.trace = list(zip(found["loss"], found["margin"], found["snr_db"], strict=True))
            entry.trail, entry.baseline = run.trail, None
            entry.made_with = (run.design, run.model)
            entry.readings.pop(ADVERSARIAL, None)
            self.tell("run", "outcome", "readings")
        else:
            self.tell("run")

    def set_baseline(self, key: int, baseline: Baseline) -> None:
        self.entries[key].baseline = baseline
        self.tell("baseline")

    def set_readings(self, key: int, side: str, readings: tuple[Reading, ...]) -> None:
        """What detectors say of a sound; each takes the place of what it said before."""
        if key in self.entries:
            known = {reading.detector: reading for reading in (*self.entries[key].readings.get(side, ()), *readings)}
            self.entries[key].readings[side] = tuple(known.values())
            self.tell("readings")

    def set_reference(self, facts: ReferenceFacts | None) -> None:
        self.reference = facts
        self.tell("reference")

    def set_fpr(self, fpr: float) -> None:
        if not 0.0 < fpr < 1.0:
            raise UsageError("A false-positive rate lies between 0 and 1.")
        if fpr != self.fpr:
            self.fpr = fpr
            self.tell("fpr")

    def set_moment(self, moment: Moment | None) -> None:
        """Show and play another perturbation of the current clip than the result's for a while; None is the result again."""
        if moment is not self.moment:
            self.moment = moment
            self.tell("moment")

    def shown(self, entry: Entry) -> dict[str, Clip]:
        """The sounds to be seen and heard: those there are, or those of the moment."""
        return self.sounds(entry) | (self.moment.sounds if self.moment and entry is self.current else {})

    def sounds(self, entry: Entry) -> dict[str, Clip]:
        """The sounds there are of a clip: original, and adversarial and perturbation once there is a result."""
        found = {ORIGINAL: entry.clip}
        if entry.outcome is not None:
            found |= {ADVERSARIAL: entry.outcome.clip, PERTURBATION: entry.outcome.perturbation}
        return found


def unsuited(attack: Attack, model: ModelFacts | None) -> str:
    """Why that attack cannot be used on that model, in a sentence; "" if it can."""
    if model is None or model.differentiable or not attack.gradients:
        return ""
    return (
        f"{model.title} gives no gradients and {attack.title} needs them: choose an attack that needs none, such as White noise, "
        "or let other models stand in for it under “Through”."
    )
