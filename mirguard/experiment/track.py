"""An experiment on one clip: attack, export, re-read, re-classify, measure."""

from __future__ import annotations

import io
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from mirguard import __version__
from mirguard.analysis.measures import require_snr, snr_db
from mirguard.attacks.budget import LINF, before_rounding
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.ledger import Ledger, Step
from mirguard.attacks.problem import WholeTrack
from mirguard.attacks.view import View
from mirguard.clip import FORMATS, Clip, check_export, energy, load_clip, save_clip, write
from mirguard.errors import UsageError
from mirguard.experiment.attack import Rest, attack_problem, view_of
from mirguard.experiment.goal import choose_target
from mirguard.experiment.outcome import Experiment, Export, Outcome, Progress
from mirguard.models.contract import Classifier
from mirguard.models.decision import Decision, decide, decision_of, track_logits
from mirguard.models.evadable import Evadable, Probe
from mirguard.models.tracks import classify, window_logits


def run(
    experiment: Experiment,
    clip: Clip,
    model: Classifier,
    *,
    surrogates: Sequence[Classifier] = (),
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Rest | None = None,
    watch: Sequence[Probe] = (),
    evade: Sequence[Evadable] = (),
    export_to: str | Path | None = None,
    max_gradients: int | None = None,
) -> Outcome:
    """Attack `clip` as the experiment says, then export, re-read, re-classify and measure.

    `progress` is called after each look at the model, `rest` between micro-batches, `cancel` ends the attack at the next
    of them (the best candidate until then is what comes back). What the probes of `watch` make of each candidate is in
    `Progress.seen`; `evade` are the detectors that the experiment names, fitted on this model.
    """
    planned = (experiment.clip_hash, experiment.model_hash, *(code for _name, code in experiment.surrogates))
    if planned != (clip.hash, model.hash, *(surrogate.hash for surrogate in surrogates)):
        raise UsageError("This experiment was planned for another clip or model; plan it again.")
    if experiment.evade != tuple(detector.name for detector in evade):
        raise UsageError("This experiment was planned to evade other detectors; plan it again.")
    require_snr()
    if export_to is not None:
        export_to = check_export(export_to, experiment.subtype)
    began = time.perf_counter()
    attack, values = find_attack(experiment.attack), experiment.values
    heard = window_logits(model, clip, rest)
    clean = decide(heard, model.labels, model.task)
    view = view_of(
        surrogates or (model,),
        experiment.channel,
        experiment.draws,
        clip.sample_rate,
        experiment.seed,
        watch=() if surrogates else watch,
        evade=evade,
    )
    own = _of_surrogates(surrogates, view, clip, rest) if surrogates else track_logits(heard[None], model.task)[0]
    label, target = _aim(experiment, values, clean, view, own)
    target_name = None if target is None else view.labels[target]
    problem = WholeTrack(
        clip,
        label,
        target,
        values["norm"],
        before_rounding(values["epsilon"], values["norm"], experiment.subtype, clip.frames),
        experiment.seed,
        experiment.subtype,
        experiment.restriction,
    )
    report = None if progress is None else lambda step: progress(_progress(step, view, clean))
    ledger, cancelled = attack_problem(problem, view, attack, values, report, cancel, rest, max_gradients)

    delta = ledger.best[0].numpy()
    exported_clip = _exported(clip, delta, experiment, export_to)
    again = window_logits(model, exported_clip, rest)
    decision = decide(again, model.labels, model.task)
    success = decision.label == target_name if target is not None else decision.label != clean.label
    wanted = heard.argmax(-1) if target is None else model.index(target_name)
    flipped = again.argmax(-1) != wanted if target is None else again.argmax(-1) == wanted
    difference = exported_clip.samples - clip.samples
    noise = energy(difference)
    before = _before_export(ledger, view, clean, decision)
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
        snr_db=snr_db(clip.samples, exported_clip.samples),
        l2=math.sqrt(noise),
        linf=float(np.abs(difference).max()),
        gradients=int(ledger.gradients[0]),
        forwards=int(ledger.forwards[0]),
        seconds=time.perf_counter() - began,
        trace={name: [float(line[0]) for line in lines] for name, lines in ledger.trace.items()},
        target=target_name,
        reached=bool(ledger.success[0]),
        warnings=_warnings(clip, bool(ledger.success[0]), success, experiment, float(np.abs(delta).max())),
    )


def _of_surrogates(
    surrogates: Sequence[Classifier], view: View, clip: Clip, rest: Callable[[], None] | None
) -> torch.Tensor:
    """What the surrogates together say of the clip, as track logits `(K,)`."""
    heard = [window_logits(surrogate, clip, rest)[None] for surrogate in surrogates]
    return view.together([track_logits(z, view.task) for z in view.in_order(heard)])[0]


def _aim(
    experiment: Experiment, values: dict, clean: Decision, view: View, own: torch.Tensor
) -> tuple[int, int | None]:
    """The class to leave and the class to reach, or None, in the order of the view's labels; `own` are its logits of the clip."""
    named = None if experiment.target is None else view.models[0].index(experiment.target)
    truth = None if experiment.truth is None else view.models[0].index(experiment.truth)
    target = choose_target(values.get("goal", "as-set"), own, named, truth, experiment.seed)
    if target is not None and view.labels[target] == clean.label:
        raise UsageError(f"The clip is already {clean.label!r} to {experiment.model}; choose another target.")
    return int(own.argmax()), target


def _progress(step: Step, view: View, clean: Decision) -> Progress:
    return Progress(
        gradients=step.gradients,
        forwards=step.forwards,
        total=step.total,
        loss=float(step.loss[0]),
        margin=float(step.margin[0]),
        snr_db=float(step.snr_db[0]),
        success=bool(step.success[0]),
        decision=decision_of(step.logits[0], view.labels, view.task, clean.windows),
        delta=step.delta[0],
        best=step.best[0],
        seen=step.seen,
        seconds=step.seconds,
    )


def _before_export(ledger: Ledger, view: View, clean: Decision, decision: Decision) -> Decision:
    """The decision on the best candidate before rounding, as the ledger judged it; the clean one if nothing was judged."""
    if ledger.best_logits is None:
        return clean
    return decision_of(ledger.best_logits[0], view.labels, view.task, decision.windows)


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
        "surrogates": [name for name, _hash in experiment.surrogates],
        "channel": [one.to_json() for one in experiment.channel],
        "restriction": experiment.restriction.to_json(),
        "evade": list(experiment.evade),
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
    if fooled and not survives and experiment.surrogates:
        names = " and ".join(name for name, _hash in experiment.surrogates)
        found.append(f"The perturbation fools {names} but does not carry over to {experiment.model}.")
    elif fooled and not survives:
        found.append(
            f"The perturbation fools {experiment.model} only before it is rounded to {experiment.subtype}; "
            "raise the confidence or export a finer format."
        )
    if survives and not fooled and not experiment.surrogates:
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
    require_snr()
    subtype = subtype or outcome.experiment.subtype
    sound = {"adversarial": outcome.clip, "perturbation": outcome.perturbation}.get(what)
    if sound is None:
        raise UsageError(f"What to export is 'adversarial' or 'perturbation', not {what!r}.")
    saved = save_clip(sound, path, subtype)
    decision = classify(model, load_clip(saved))
    target = outcome.target
    success = decision.label == target if target is not None else decision.label != outcome.clean.label
    return Export(saved, decision, success)
