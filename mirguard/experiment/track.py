"""An experiment on one clip: attack, export, re-read, re-classify, measure."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from mirguard import __version__
from mirguard.analysis.measures import power_ratio_db
from mirguard.attacks.budget import LINF, before_rounding
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.ledger import Ledger, Step
from mirguard.attacks.problem import WholeTrack
from mirguard.attacks.view import View
from mirguard.clip import FORMATS, Clip, check_export, energy, load_clip, save_clip, write
from mirguard.errors import UsageError
from mirguard.experiment.attack import Rest, attack_problem
from mirguard.experiment.outcome import Experiment, Export, Outcome, Progress
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision, decide, decision_of
from mirguard.models.tracks import classify, window_logits


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
    ledger, cancelled = attack_problem(problem, View(model, watch), attack, values, report, cancel, rest, max_gradients)

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
