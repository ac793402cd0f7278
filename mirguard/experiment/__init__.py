"""One experiment: attack a clip, export, re-read, re-classify, measure. The only place where that happens.

An `Experiment` names everything by name and hash and holds no modules, so it can travel; `run` turns it into an `Outcome`.
Labels and measures of an outcome are those of the exported sound: clipped, quantised, read again.
"""

from __future__ import annotations

from typing import Any

import torch

from mirguard.channel.chain import parse
from mirguard.clip import Clip
from mirguard.detectors.fitted import Fitted
from mirguard.errors import UsageError
from mirguard.experiment.batch import attack_batch
from mirguard.experiment.detecting import evadables
from mirguard.experiment.outcome import BatchOutcome, Experiment, Export, Outcome, Progress
from mirguard.experiment.plan import plan
from mirguard.experiment.track import export, run
from mirguard.models.catalogue import load_model
from mirguard.models.contract import Classifier

__all__ = [
    "BatchOutcome",
    "Experiment",
    "Export",
    "Outcome",
    "Progress",
    "attack",
    "attack_batch",
    "export",
    "plan",
    "run",
]


def attack(model: Classifier, sound: Clip | torch.Tensor, name: str, **options: Any) -> Outcome | BatchOutcome:
    """`mg.attack`: a clip gives an `Outcome`, a tensor of windows a `BatchOutcome`.

    Takes `epsilon` or `snr`, `target`, `seed`, `progress`, `cancel`, `surrogates` (models or their names), `channel` (effects,
    as `Link` or as words such as "gain:low=-3"), `restriction` (a `Restriction`), `evade` (names of detectors fitted on the model,
    or detectors) and the attack's own parameters."""
    options["surrogates"] = tuple(
        load_model(one) if isinstance(one, str) else one for one in options.get("surrogates", ())
    )
    options["channel"] = tuple(parse(one) if isinstance(one, str) else one for one in options.get("channel", ()))
    evade = tuple(
        found
        for one in options.pop("evade", ())
        for found in (evadables(model, (one,)) if isinstance(one, str) else (one,))
    )
    evade = tuple(one.evadable() if isinstance(one, Fitted) else one for one in evade)
    if isinstance(sound, torch.Tensor):
        return attack_batch(model, sound, name, evade=evade, **options)
    if not isinstance(sound, Clip):
        raise UsageError(f"What is attacked is a Clip or a tensor of windows, not {type(sound).__name__}.")
    running = {
        key: options.pop(key)
        for key in ("progress", "cancel", "rest", "watch", "export_to", "max_gradients")
        if key in options
    }
    experiment = plan(sound, model, name, evade=[detector.name for detector in evade], **options)
    return run(experiment, sound, model, surrogates=options["surrogates"], evade=evade, **running)
