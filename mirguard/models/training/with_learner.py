"""A learner without gradients on statistics of log-mel bands, or on a model's last hidden layers."""

from __future__ import annotations

import numpy as np

from mirguard.models import catalogue
from mirguard.models.contract import Classifier
from mirguard.models.learners.fit import fit_learner
from mirguard.models.learners.saved import save_learner
from mirguard.models.learners.statistics import LAYER, Statistics
from mirguard.models.training.hearing import hear_features
from mirguard.models.training.job import TEST, TRAIN, VALIDATION, Job, Made, check_heard
from mirguard.models.training.methods import STATISTICS, Method, layers_of
from mirguard.models.training.progress import HEARING, LEARNING


def with_learner(method: Method, job: Job) -> Made:
    """Hear everything, fit the learner on training and validation clips, decide on the test clips."""
    source, read, lineage = _source(job)
    heard = hear_features(job.items, source, read, job.ear)
    check_heard(job, heard.items, heard.skipped)
    tested = np.array([item.split == TEST for item in heard.items])[heard.clip]
    job.tell(LEARNING, None, f"Fitting {method.title} on {int((~tested).sum())} windows")
    rule, chosen = fit_learner(
        method.name,
        heard.features[~tested],
        job.numbers(heard.items)[heard.clip[~tested]],
        heard.clip[~tested],
        [item.group for item in heard.items],
        classes=len(job.labels),
        parameters=job.values,
        seed=job.seed,
        rest=job.ear.pause,
    )
    job.ear.pause()

    def save(folder, name, title, note, card):
        return save_learner(
            folder,
            name,
            learner=method.name,
            source=source,
            read=read,
            rule=rule,
            labels=job.labels,
            title=title,
            note=note,
            card=card,
        )

    return Made(
        items=heard.items,
        skipped=heard.skipped,
        logits=rule(heard.features[tested]).astype(np.float32),
        clip=heard.clip[tested],
        save=save,
        chosen=chosen,
        learned=(TRAIN, VALIDATION),
        lineage=lineage,
    )


def _source(job: Job) -> tuple[Statistics | Classifier, tuple[str, ...], tuple[str, ...]]:
    name = job.values["features"]
    if name == STATISTICS:
        return Statistics(), (LAYER,), ()
    model = catalogue.load_model(name, lambda text, part: job.tell(HEARING, part, text))
    # Where there is a small last hidden layer it is better than many pooled features: distances mean more.
    chosen = "penultimate" if "penultimate" in model.layers else None
    return model, layers_of(model.name, chosen, model.layers), (f"{model.name} {model.hash}",)
