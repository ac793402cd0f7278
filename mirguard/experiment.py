"""One experiment: attack a clip, export, re-read, re-classify, measure. The only place where that happens.

An `Experiment` names everything by name and hash and holds no modules, so it can travel; `run` turns it into an `Outcome`.
Labels and measures of an outcome are those of the exported sound: clipped, quantised, read again.
"""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from mirguard import __version__
from mirguard.analysis.measures import power_ratio_db
from mirguard.attacks.budget import LINF, before_rounding, epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import Attack, find_attack
from mirguard.attacks.ledger import Ledger, Step
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch, Problem, WholeTrack
from mirguard.attacks.view import View
from mirguard.clip import FORMATS, SUBTYPES, Clip, check_export, energy, load_clip, rms, save_clip, write
from mirguard.errors import Cancelled, UsageError
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision, decide, decision_of
from mirguard.models.tracks import classify, window_logits
from mirguard.parameters import resolve

Rest = Callable[[], None]


@dataclass(frozen=True)
class Experiment:
    """What is to be done, complete: `parameters` hold every declared value of the attack, defaults included."""

    clip_name: str
    clip_hash: str
    model: str
    model_hash: str
    attack: str
    parameters: tuple[tuple[str, Any], ...]
    target: str | None = None
    seed: int = 0
    subtype: str = "PCM_16"

    @property
    def values(self) -> dict[str, Any]:
        return dict(self.parameters)


@dataclass(frozen=True)
class Progress:
    """How a running attack on a clip stands; `delta` and `best` are `(frames,)`, `features` `(windows, d)` of the watched layer."""

    gradients: int
    total: int | None
    loss: float
    margin: float
    snr_db: float
    success: bool
    decision: Decision
    delta: torch.Tensor
    best: torch.Tensor
    features: torch.Tensor | None
    seconds: float


@dataclass(frozen=True)
class Export:
    """What the model says of the file a user gets; `path` is None where it was only encoded in memory."""

    path: Path | None
    decision: Decision
    success: bool


@dataclass(frozen=True)
class Outcome:
    """The result of an experiment on one clip; `clip` is the adversarial sound as re-read, `perturbation` what it differs by.

    `l2` is √Σδ² and `linf` max|δ| in units of full scale; `success`, `windows_flipped`, `snr_db`, `l2`, `linf` are of the export.
    `status` is "success", "failed" or "cancelled" (then the best candidate until there)."""

    experiment: Experiment
    clip: Clip
    perturbation: Clip
    clean: Decision
    adversarial: Decision
    exported: Export
    status: str
    windows_flipped: int
    snr_db: float | None
    l2: float
    linf: float
    gradients: int
    forwards: int
    seconds: float
    trace: dict[str, list[float]]
    warnings: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        return self.exported.success

    def to_json(self) -> dict[str, Any]:
        """The document `mirguard attack --json` prints."""
        return {
            "file": self.experiment.clip_name,
            "clip_hash": self.experiment.clip_hash,
            "model": self.experiment.model,
            "model_hash": self.experiment.model_hash,
            "attack": self.experiment.attack,
            "parameters": self.experiment.values,
            "target": self.experiment.target,
            "seed": self.experiment.seed,
            "threads": torch.get_num_threads(),
            "version": __version__,
            "clean": _brief(self.clean),
            "adversarial": _brief(self.adversarial),
            "success": self.success,
            "status": self.status,
            "windows": len(self.clean.windows),
            "windows_flipped": self.windows_flipped,
            "exported": {
                "path": None if self.exported.path is None else str(self.exported.path),
                "subtype": self.experiment.subtype,
                **_brief(self.exported.decision),
                "success": self.exported.success,
            },
            "snr_db": self.snr_db if self.snr_db is None or math.isfinite(self.snr_db) else None,
            "snr_definition": "10*log10(sum x^2 / sum delta^2) over all channels of the whole clip",
            "l2": self.l2,
            "linf": self.linf,
            "gradients": self.gradients,
            "forwards": self.forwards,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }


def _brief(decision: Decision) -> dict[str, Any]:
    return {"label": decision.label, "confidence": decision.confidence}


def plan(
    clip: Clip,
    model: Classifier,
    attack: str,
    *,
    target: str | None = None,
    epsilon: float | None = None,
    snr: float | None = None,
    seed: int = 0,
    subtype: str = "PCM_16",
    **parameters: Any,
) -> Experiment:
    """An experiment with every value checked and every default filled in; UsageError says in one sentence what is wrong."""
    found = find_attack(attack)
    if found.needs_gradient and not model.differentiable:
        raise UsageError(
            f"{model.name} gives no gradient; {attack} needs one. Choose an attack that needs none, such as noise."
        )
    if subtype not in SUBTYPES:
        raise UsageError(f"Exports are {', '.join(SUBTYPES)}; got {subtype!r}.")
    values = _values(found, rms(clip.samples), epsilon, snr, parameters)
    before_rounding(values["epsilon"], values["norm"], subtype, clip.frames)
    if target is not None:
        target = model.labels[model.index(target)]
    return Experiment(
        clip.name, clip.hash, model.name, model.hash, attack, tuple(values.items()), target, int(seed), subtype
    )


def _values(
    attack: Attack, level: float, epsilon: float | None, snr: float | None, given: dict[str, Any]
) -> dict[str, Any]:
    if epsilon is not None and snr is not None:
        raise UsageError(
            "Give the budget once: either as an amplitude (--epsilon) or as a signal-to-noise ratio (--snr)."
        )
    if snr is not None:
        if not math.isfinite(float(snr)):
            raise UsageError(f"The signal-to-noise ratio (--snr) is a number of decibels; got {snr!r}.")
        epsilon = snr_to_epsilon(float(snr), level)
        if not 1e-6 <= epsilon <= 1.0:
            raise UsageError(
                f"An SNR of {float(snr):g} dB would need a perturbation of {epsilon:.2g} of full scale; it can be 1e-06 to 1, "
                f"for this clip {epsilon_to_snr(1.0, level):.0f} to {epsilon_to_snr(1e-6, level):.0f} dB."
            )
    return resolve(attack.parameters, {**given, "epsilon": epsilon}, rms=level)


def run(
    experiment: Experiment,
    clip: Clip,
    model: Classifier,
    *,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Rest | None = None,
    watch: str | None = None,
    export_to: str | Path | None = None,
    max_gradients: int | None = None,
) -> Outcome:
    """Attack `clip` as the experiment says, then export, re-read, re-classify and measure.

    `progress` is called after each look at the model, `rest` between micro-batches, `cancel` ends the attack at the next
    of them (the best candidate until then is what comes back); `watch` names a layer for `Progress.features`.
    """
    if experiment.clip_hash != clip.hash or experiment.model_hash != model.hash:
        raise UsageError("This experiment was planned for another clip or model; plan it again.")
    if export_to is not None:
        export_to = check_export(export_to, experiment.subtype)
    began = time.perf_counter()
    attack, values = find_attack(experiment.attack), experiment.values
    heard = window_logits(model, clip, rest)
    clean = decide(heard, model.labels, model.task)
    target = None if experiment.target is None else model.index(experiment.target)
    if experiment.target == clean.label:
        raise UsageError(f"The clip is already {clean.label!r} to {model.name}; choose another target.")
    problem = WholeTrack(
        clip,
        model,
        model.index(clean.label),
        target,
        values["norm"],
        before_rounding(values["epsilon"], values["norm"], experiment.subtype, clip.frames),
        experiment.seed,
        experiment.subtype,
    )
    report = None if progress is None else lambda step: progress(_progress(step, model, clean))
    ledger, cancelled = _attack(problem, View(model, watch), attack, values, report, cancel, rest, max_gradients)

    delta = ledger.best[0].numpy()
    exported_clip = _exported(clip, delta, experiment, export_to)
    again = window_logits(model, exported_clip, rest)
    decision = decide(again, model.labels, model.task)
    success = decision.label == experiment.target if target is not None else decision.label != clean.label
    flipped = again.argmax(-1) == target if target is not None else again.argmax(-1) != heard.argmax(-1)
    difference = exported_clip.samples - clip.samples
    noise = energy(difference)
    before = _before_export(ledger, model, clean, decision)
    return Outcome(
        experiment=experiment,
        clip=exported_clip,
        perturbation=Clip(
            difference, clip.sample_rate, provenance={**exported_clip.provenance, "name": "perturbation"}
        ),
        clean=clean,
        adversarial=before,
        exported=Export(export_to, decision, success),
        status="cancelled" if cancelled else "success" if success else "failed",
        windows_flipped=int(flipped.sum()),
        snr_db=power_ratio_db(energy(clip.samples), noise),
        l2=math.sqrt(noise),
        linf=float(np.abs(difference).max()),
        gradients=int(ledger.gradients[0]),
        forwards=int(ledger.forwards[0]),
        seconds=time.perf_counter() - began,
        trace={name: [float(line[0]) for line in lines] for name, lines in ledger.trace.items()},
        warnings=_warnings(clip, bool(ledger.success[0]), success, experiment, float(np.abs(delta).max())),
    )


def _attack(
    problem: Problem,
    view: View,
    attack: Attack,
    values: dict[str, Any],
    progress: Callable[[Step], None] | None,
    cancel: threading.Event | None,
    rest: Rest | None,
    max_gradients: int | None,
) -> tuple[Ledger, bool]:
    """The ledger after the attack, and whether it was cut short."""
    settings = {name: values[name] for name in ("confidence", "stop_early") if name in values}
    ledger = Ledger(problem, max_gradients=max_gradients, progress=progress, cancel=cancel, rest=rest, **settings)
    try:
        attack.call(Oracle(problem, view, ledger), values)
    except Cancelled:
        return ledger, True
    return ledger, False


def _progress(step: Step, model: Classifier, clean: Decision) -> Progress:
    return Progress(
        gradients=step.gradients,
        total=step.total,
        loss=float(step.loss[0]),
        margin=float(step.margin[0]),
        snr_db=float(step.snr_db[0]),
        success=bool(step.success[0]),
        decision=decision_of(step.logits[0], model.labels, model.task, clean.windows),
        delta=step.delta[0],
        best=step.best[0],
        features=step.features,
        seconds=step.seconds,
    )


def _before_export(ledger: Ledger, model: Classifier, clean: Decision, decision: Decision) -> Decision:
    """The decision on the best candidate before rounding, as the ledger judged it; the clean one if nothing was judged."""
    if ledger.best_logits is None:
        return clean
    return decision_of(ledger.best_logits[0], model.labels, model.task, decision.windows)


def _exported(clip: Clip, delta: np.ndarray, experiment: Experiment, path: Path | None) -> Clip:
    """x + δ written in the export format and read again; in memory when there is no path."""
    made_by = {
        "version": __version__,
        "attack": experiment.attack,
        "model": experiment.model,
        "model_hash": experiment.model_hash,
        "input": experiment.clip_name,
        "input_hash": experiment.clip_hash,
        "parameters": experiment.values,
        "target": experiment.target,
        "seed": experiment.seed,
        "threads": torch.get_num_threads(),
        "name": f"{Path(experiment.clip_name).stem} ({experiment.attack})",
    }
    adversarial = Clip(np.clip(clip.samples + delta, -1.0, 1.0), clip.sample_rate, provenance=made_by)
    if path is not None:
        save_clip(adversarial, path, experiment.subtype)
        return replace(load_clip(path), provenance=made_by)
    buffer = io.BytesIO()
    write(adversarial, buffer, FORMATS[".wav"], experiment.subtype)
    buffer.seek(0)
    samples, rate = soundfile.read(buffer, dtype="float32", always_2d=True)
    return Clip(np.ascontiguousarray(samples.T), rate, provenance=made_by)


def _warnings(clip: Clip, fooled: bool, survives: bool, experiment: Experiment, peak: float) -> tuple[str, ...]:
    found = []
    if fooled and not survives:
        found.append(
            f"The perturbation fools {experiment.model} only before it is rounded to {experiment.subtype}; "
            "raise the confidence or export a finer format."
        )
    if survives and not fooled:
        found.append("Only the rounding of the export changed the label; the attack itself did not.")
    beyond = clip.provenance.get("clipped_samples")
    if beyond:
        found.append(f"{beyond} samples of the original lay beyond full scale and were clipped before the attack.")
    if experiment.values["norm"] == LINF and peak == 0.0:
        found.append("The perturbation is empty: the attack found no direction to move in.")
    return tuple(found)


def export(
    outcome: Outcome, path: str | Path, model: Classifier, what: str = "adversarial", subtype: str | None = None
) -> Export:
    """Save the adversarial sound or the perturbation as WAV or FLAC, read the file again and re-classify it."""
    subtype = subtype or outcome.experiment.subtype
    sound = {"adversarial": outcome.clip, "perturbation": outcome.perturbation}.get(what)
    if sound is None:
        raise UsageError(f"What to export is 'adversarial' or 'perturbation', not {what!r}.")
    saved = save_clip(sound, path, subtype)
    decision = classify(model, load_clip(saved))
    target = outcome.experiment.target
    success = decision.label == target if target is not None else decision.label != outcome.clean.label
    return Export(saved, decision, success)


@dataclass(frozen=True)
class BatchOutcome:
    """The result on a batch of windows: every field is per row, `adversarial` is `(rows, window)`, traces are `(looks, rows)`.

    `success` was recomputed on `adversarial` outside the attack. `status` is "clean-wrong" (misclassified before anything was
    done; returned unchanged), "success", "failed" or "cancelled"."""

    adversarial: torch.Tensor
    success: torch.Tensor
    status: tuple[str, ...]
    snr_db: torch.Tensor
    l2: torch.Tensor
    linf: torch.Tensor
    gradients: torch.Tensor
    forwards: torch.Tensor
    trace: dict[str, torch.Tensor]


def attack_batch(
    model: Classifier,
    x: torch.Tensor,
    attack: str,
    *,
    labels: torch.Tensor | None = None,
    target: str | torch.Tensor | None = None,
    epsilon: float | None = None,
    snr: float | None = None,
    seed: int = 0,
    progress: Callable[[Step], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Rest | None = None,
    max_gradients: int | None = None,
    **parameters: Any,
) -> BatchOutcome:
    """Attack windows `x (rows, window)` in ±1 at the model's rate, each row on its own.

    `labels (rows,)` are the true classes (default: the model's own decisions); `target` is a label for all rows or
    class numbers `(rows,)`. With `snr` every row has the budget of its own level.
    """
    found = find_attack(attack)
    if x.ndim != 2 or x.shape[1] != model.window:
        raise UsageError(f"{model.name} takes windows of shape (rows, {model.window}); got {tuple(x.shape)}.")
    if not bool(torch.isfinite(x).all()) or float(x.abs().max()) > 1.0:
        raise UsageError("Windows must be finite and within full scale ±1.")
    x = x.detach().float()
    with torch.no_grad():
        said = torch.cat(
            [model.logits(part.to(model.device)).to(x.device) for part in x.split(model.micro_batch)]
        ).argmax(1)
    labels = said if labels is None else torch.as_tensor(labels, device=x.device).long()
    targets = None
    if target is not None:
        targets = (
            torch.full_like(labels, model.index(target))
            if isinstance(target, str)
            else torch.as_tensor(target, device=x.device).long()
        )
        if bool((targets == labels).any()):
            raise UsageError("Some rows have the target as their label already; choose another target for them.")
    level = x.square().mean(1).sqrt()
    if snr is not None and bool((level <= 0).any()):
        raise UsageError("A silent row has no SNR; set the perturbation's size as an amplitude (epsilon).")
    # With an SNR each row has the budget of its own level; the one in `values` stands for the median row.
    typical = float(level.median())
    values = _values(found, typical, epsilon, snr, parameters)
    scale = torch.ones_like(level) if snr is None else level / typical
    problem = Batch(x, labels, targets, values["norm"], values["epsilon"] * scale, seed, scale)
    ledger, cancelled = _attack(problem, View(model), found, values, progress, cancel, rest, max_gradients)

    wrong = said != labels if targets is None else torch.zeros_like(said, dtype=torch.bool)
    adversarial = torch.where(wrong[:, None], x, (x + ledger.best).clamp(-1.0, 1.0))
    with torch.no_grad():
        final = torch.cat(
            [model.logits(part.to(model.device)).to(x.device) for part in adversarial.split(model.micro_batch)]
        ).argmax(1)
    success = final == targets if targets is not None else final != labels
    delta = adversarial - x
    rest_status = "cancelled" if cancelled else "failed"
    return BatchOutcome(
        adversarial=adversarial,
        success=success,
        status=tuple(
            "clean-wrong" if w else "success" if s else rest_status for w, s in zip(wrong, success, strict=True)
        ),
        snr_db=problem.snr_db(delta, torch.arange(len(x), device=x.device)),
        l2=delta.norm(dim=1),
        linf=delta.abs().amax(1),
        gradients=ledger.gradients,
        forwards=ledger.forwards,
        trace={name: torch.stack(lines) if lines else torch.empty(0, len(x)) for name, lines in ledger.trace.items()},
    )


def attack(model: Classifier, sound: Clip | torch.Tensor, name: str, **options: Any) -> Outcome | BatchOutcome:
    """`mg.attack`: a clip gives an `Outcome`, a tensor of windows a `BatchOutcome`.

    Takes `epsilon` or `snr`, `target`, `seed`, `progress`, `cancel` and the attack's own parameters."""
    if isinstance(sound, torch.Tensor):
        return attack_batch(model, sound, name, **options)
    if not isinstance(sound, Clip):
        raise UsageError(f"What is attacked is a Clip or a tensor of windows, not {type(sound).__name__}.")
    running = {
        key: options.pop(key)
        for key in ("progress", "cancel", "rest", "watch", "export_to", "max_gradients")
        if key in options
    }
    return run(plan(sound, model, name, **options), sound, model, **running)
