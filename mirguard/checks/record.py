"""What attacks did to the sounds of a check, each computed when it is first asked for and kept for all who ask again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.ledger import Step
from mirguard.checks.files import Files, files_of
from mirguard.checks.sounds import Sounds
from mirguard.checks.statistics import Rate, rate
from mirguard.detectors.fitted import Fitted
from mirguard.errors import Cancelled
from mirguard.experiment import BatchOutcome, attack_batch
from mirguard.experiment.plan import resolve_values
from mirguard.models.contract import Classifier
from mirguard.models.tracks import heard_as
from mirguard.words import counted

STEPS = 40  # of the iterative attack that is judged
QUERIES = 150  # of each attack that knows answers alone
# The grid of budgets in dB, the smallest first; the last is a perturbation as loud as the sound itself.
GRID = (60.0, 50.0, 40.0, 30.0, 20.0, 10.0, 0.0)
HIGH = GRID[-1]


@dataclass(frozen=True)
class Tried:
    """One attack at one budget as it was run: every parameter, and what came of it."""

    attack: str
    snr: float | None
    values: dict[str, Any]
    surrogate: str
    outcome: BatchOutcome

    @property
    def fooled(self) -> torch.Tensor:
        """A mask `(n,)`."""
        return self.outcome.success

    @property
    def rate(self) -> Rate:
        return rate(self.fooled)

    @property
    def delta_rms(self) -> torch.Tensor:
        """RMS of each row's δ `(n,)`."""
        return self.outcome.l2 / self.outcome.adversarial.shape[1] ** 0.5


class Record:
    """The sounds, the budget, and the attacks on them. The attack that is judged is PGD with its defaults or, where the model gives
    no gradient, the Square attack. `tell` hears what is being done; `cancel` and `rest` are as for attacks."""

    def __init__(
        self,
        model: Classifier,
        sounds: Sounds,
        snr: float,
        seed: int = 0,
        *,
        surrogates: Sequence[Classifier] = (),
        detectors: Sequence[Fitted] = (),
        tell: Callable[[str], None] = lambda _sentence: None,
        cancel: threading.Event | None = None,
        rest: Callable[[], None] | None = None,
    ) -> None:
        self.model, self.sounds, self.snr, self.seed = model, sounds, snr, seed
        self.surrogates, self.detectors = tuple(surrogates), tuple(detectors)
        self.tell, self.cancel, self._rest = tell, cancel, rest
        self._tried: dict[tuple, Tried] = {}
        self._files_attacked: dict[str, torch.Tensor] = {}

    @property
    def x(self) -> torch.Tensor:
        return self.sounds.x

    @property
    def labels(self) -> torch.Tensor:
        return self.sounds.labels

    @property
    def size(self) -> int:
        """Clips that are attacked."""
        return len(self.labels)

    @property
    def judged(self) -> str:
        return "pgd" if self.model.differentiable else "square"

    def pause(self) -> None:
        """A point of rest: raises Cancelled where somebody asked for the end."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled
        if self._rest is not None:
            self._rest()

    def main(self, snr: float | None = None) -> Tried:
        """The attack that is judged, at the budget of the check or at another one."""
        snr = self.snr if snr is None else snr
        return self.pgd(snr=snr) if self.model.differentiable else self.attack("square", snr=snr, queries=QUERIES)

    def pgd(self, snr: float | None = None, **parameters: Any) -> Tried:
        return self.attack("pgd", snr=self.snr if snr is None else snr, **{"steps": STEPS, **parameters})

    def attack(
        self,
        name: str,
        *,
        snr: float | None = None,
        rows: torch.Tensor | None = None,
        surrogate: Classifier | None = None,
        model: Classifier | None = None,
        max_gradients: int | None = None,
        **parameters: Any,
    ) -> Tried:
        """An attack on all rows, or on those numbered `rows`, with the budget `snr` in dB or `epsilon` among the parameters; made
        on the `surrogate` where there is one, of `model` in place of the one that is checked. Raises Cancelled."""
        model = model or self.model
        key = (
            name,
            snr,
            model.hash,
            model.name,
            surrogate and surrogate.name,
            max_gradients,
            *sorted(parameters.items()),
        )
        if rows is not None:
            key += tuple(rows.tolist())
        if key not in self._tried:
            self._tried[key] = self._run(name, snr, rows, surrogate, model, max_gradients, parameters)
        return self._tried[key]

    def _run(
        self,
        name: str,
        snr: float | None,
        rows: torch.Tensor | None,
        surrogate: Classifier | None,
        model: Classifier,
        max_gradients: int | None,
        parameters: dict[str, Any],
    ) -> Tried:
        self.pause()
        x, labels = (self.x, self.labels) if rows is None else (self.x[rows], self.labels[rows])
        typical = float(x.square().mean(1).sqrt().median())
        given = dict(parameters)
        values = resolve_values(find_attack(name), typical, given.pop("epsilon", None), snr, given)
        budget = "at any size" if snr is None else f"at {snr:g} dB"

        def progress(step: Step) -> None:
            spent = counted(step.gradients, "step") if step.gradients else counted(step.forwards, "query")
            self.tell(f"{name} {budget}, {spent}")

        outcome = attack_batch(
            model,
            x,
            name,
            labels=labels,
            snr=snr,
            seed=self.seed,
            surrogates=() if surrogate is None else (surrogate,),
            progress=progress,
            cancel=self.cancel,
            rest=self._rest,
            max_gradients=max_gradients,
            **parameters,
        )
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled
        return Tried(name, snr, values, surrogate.name if surrogate else "", outcome)

    @cached_property
    def files(self) -> Files:
        """Whole files, of which the check's windows are parts."""
        self.tell("hearing whole files")
        return files_of(self)

    def files_attacked(self, evading: Fitted | None = None) -> torch.Tensor:
        """The windows of `files` under the attack that is judged, which sets out to evade a detector where one is named."""
        key = "" if evading is None else evading.name
        if key not in self._files_attacked:
            self.pause()
            self.tell(f"{self.judged} on whole files{f', evading {key}' if key else ''}")
            spent = {"steps": STEPS} if self.model.differentiable else {"queries": QUERIES}
            made = attack_batch(
                self.model,
                self.files.x,
                self.judged,
                labels=self.files.labels,
                snr=self.snr,
                seed=self.seed,
                evade=() if evading is None else (evading.evadable(),),
                cancel=self.cancel,
                rest=self._rest,
                **spent,
            )
            self.pause()
            self._files_attacked[key] = made.adversarial
        return self._files_attacked[key]

    def noise(self, size: torch.Tensor, draws: int) -> torch.Tensor:
        """How many of `draws` sounds with white noise of RMS `size (n,)` the model mishears, of each row `(n,)`."""
        found = torch.zeros(self.size, dtype=torch.long)
        generator = torch.Generator().manual_seed(self.seed)
        for draw in range(draws):
            self.tell(f"white noise, draw {draw + 1} of {draws}")
            white = torch.randn(self.x.shape, generator=generator)
            found += self.heard(self.x + at_size(white, size, self.x)) != self.labels
        return found

    def heard(self, x: torch.Tensor, model: Classifier | None = None) -> torch.Tensor:
        """The class of each window `(m,)`."""
        return heard_as(model or self.model, x, self.pause)


def at_size(delta: torch.Tensor, size: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """δ `(n, window)` brought to an RMS of `size (n,)` within full scale: what the box cuts off is made up for."""
    for _ in range(3):
        now = delta.square().mean(1).sqrt().clamp_min(1e-30)
        delta = (delta * (size / now)[:, None]).clamp(-1.0 - x, 1.0 - x)
    return delta
