"""The engine's side of the window: models, detectors and attacks, on the engine's own thread.

Nothing here knows Qt. torch is imported when the thread prepares itself, so that the window is on the screen first.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirguard.clip import Clip, rms
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.workbench.facts import MAIN, DetectorFacts, ModelFacts, ReferenceFacts, Snapshot
from mirguard.workbench.model_names import free_name
from mirguard.workbench.requests import STOPPED, Attack, ExportSound, MakeUniversal, TrainClassifier
from mirguard.workbench.watching import Watch

if TYPE_CHECKING:
    from mirguard.attacks.universal_file import Universal
    from mirguard.detectors.fitted import Fitted
    from mirguard.detectors.reading import Reading
    from mirguard.experiment import Export, Outcome, Progress
    from mirguard.models.catalogue import ModelInfo
    from mirguard.models.contract import Classifier
    from mirguard.models.decision import Decision
    from mirguard.models.training.make import Trained
    from mirguard.workbench.lanes import Job

log = logging.getLogger(__name__)
SNAPSHOT_SECONDS = 0.1  # at most so often does a running attack tell the window where it stands
SOUND_SECONDS = 0.6  # and at most so often with a copy of the perturbation, which is then drawn and played
SECONDS_PER_FRAME = 5e-7  # and of a long clip less often, so that drawing it leaves time for the attack
FEATURES_KEPT = 32  # clips whose features are remembered, so that another false-positive rate costs no forward pass


def prepare_engine() -> Workshop:
    """Set up the engine's thread: torch, one core left to window and sound, denormals off (both are per thread)."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    torch.set_flush_denormal(True)
    step_back()
    return Workshop()


def step_back() -> None:
    """Let the window and the sound go before this thread where the system knows threads of different niceness."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)


def spare_the_collector() -> None:
    """Keep what the libraries have made out of the garbage collector's rounds.

    A full round over torch's and Qt's modules holds Python's lock for 70 to 150 ms: window and sound would wait for it. Nothing is
    collected before: not on this thread (see `collector`)."""
    gc.freeze()


class Workshop:
    """What the engine keeps between jobs: detectors fitted so far and the features of the last clips."""

    def __init__(self) -> None:
        self._fitted: dict[str, list[Fitted]] = {}
        self._features: OrderedDict[tuple, tuple[Any, Decision]] = OrderedDict()

    # --- models ---

    def model(self, name: str) -> Classifier:
        from mirguard.models.catalogue import load_model

        return load_model(name)

    def load_model(self, name: str, job: Job) -> ModelFacts:
        from mirguard.models.catalogue import load_model

        def progress(sentence: str, fraction: float | None) -> None:
            # No rest: what would be served in it needs a model too, and models are loaded one at a time.
            if job.cancel.is_set():
                raise Cancelled
            job.progress((sentence, fraction))

        model = load_model(name, progress)
        spare_the_collector()
        return ModelFacts(
            name=model.name,
            title=model.title or model.name,
            note=model.note,
            task=model.task,
            labels=tuple(model.labels),
            sample_rate=model.sample_rate,
            window=model.window,
            layers=tuple(model.layers),
            hash=model.hash,
            differentiable=model.differentiable,
        )

    def train(self, request: TrainClassifier, job: Job) -> Trained:
        """Train and keep a classifier. The classifier itself stays on this thread, in nobody's hands until it is chosen."""
        from dataclasses import replace

        from mirguard.models.training.make import train_classifier

        def progress(value: Any) -> None:
            if job.cancel.is_set():  # seen while a backbone is fetched, too
                raise Cancelled
            job.progress(value)

        trained = train_classifier(
            request.dataset,
            request.name,
            request.method,
            seed=request.seed,
            progress=progress,
            cancel=job.cancel,
            rest=job.rest,
            **dict(request.settings),
        )
        spare_the_collector()
        return replace(trained, classifier=None)

    def add_model(self, source: Path, job: Job) -> tuple[ModelInfo, str]:
        """What is now in the catalogue, and a sentence on it. Where the name is taken it gets a number."""
        from mirguard.models.add import add_model
        from mirguard.models.catalogue import info_of, list_models
        from mirguard.models.model_file import read_model_file

        def progress(sentence: str, fraction: float | None) -> None:
            if job.cancel.is_set():
                raise Cancelled
            job.progress((f"{sentence} …", fraction))

        try:
            return info_of(add_model(source, progress=progress)), "It was added to your models."
        except UsageError:
            wanted = source.stem if source.suffix.lower() == ".zip" else read_model_file(source).name
            name = free_name(wanted, [info.name for info in list_models()])
            if name == wanted:
                raise
        info = info_of(add_model(source, name, progress=progress))
        return info, f"It was added as {name}, because there was a model called {wanted} already."

    def remove_model(self, name: str) -> str:
        from mirguard.models.add import remove_model

        remove_model(name)
        return name

    def classify(self, name: str, clip: Clip, job: Job) -> Decision:
        from mirguard.models.tracks import classify

        return classify(self.model(name), clip, job.rest)

    # --- detectors ---

    def detectors(self, model: Classifier) -> list[Fitted]:
        """The detectors fitted on the model; raises MirguardError where there is none."""
        if model.hash not in self._fitted:
            from mirguard.detectors.kept import fitted_for, names_fitted_for

            found, damaged = [], None
            for name in names_fitted_for(model):
                try:
                    one = fitted_for(model, name)
                except FileError as error:  # of another version, say: the others are as good as ever
                    damaged = error
                    log.warning("a detector is left out: %s", error)
                    continue
                found += [] if one is None else [one]
            if not found:
                raise damaged or UsageError(f"No detector is fitted on {model.title or model.name} yet.")
            self._fitted[model.hash] = found
        return self._fitted[model.hash]

    def detector(self, model: Classifier) -> Fitted:
        """The one of them that is shown where there is room for one; raises MirguardError where there is none."""
        found = self.detectors(model)
        return next((detector for detector in found if detector.name == MAIN), found[0])

    def _at_rate(self, model: Classifier, fpr: float, slow: bool) -> list[Fitted]:
        """Those that rest on enough clean clips for the rate, either the slow ones or the others."""
        found = []
        try:
            for detector in self.detectors(model):
                if detector.scored_at_rest == slow and not _trouble(detector, fpr)[1]:
                    found.append(detector)
        except MirguardError:
            return []
        return found

    def reference_facts(self, name: str, fpr: float) -> ReferenceFacts:
        """What the model's detectors rest on; a rate that is too fine for one is told in its `trouble`."""
        try:
            detectors = self.detectors(self.model(name))
        except MirguardError as error:
            return ReferenceFacts(absent=str(error))
        return ReferenceFacts(
            tuple(
                DetectorFacts(
                    detector.name,
                    detector.about.size,
                    detector.clean_scores,
                    threshold,
                    detector.layers,
                    detector.about.source,
                    trouble,
                    detector.evades,
                    detector.scored_at_rest,
                )
                for detector in detectors
                for threshold, trouble in (_trouble(detector, fpr),)
            )
        )

    def detect(self, name: str, clip: Clip, fpr: float, job: Job, slow: bool = False) -> tuple[Reading, ...]:
        """What the detectors say of a clip, or those of them that take their time."""
        model = self.model(name)
        detectors = self._at_rate(model, fpr, slow)
        if not detectors:
            return ()
        digests, decision = self._heard(model, detectors, clip, job)
        return tuple(
            detector.read(digest, decision, fpr, known=clip.hash in detector.about.hashes)
            for detector, digest in zip(detectors, digests, strict=True)
        )

    def _heard(self, model: Classifier, detectors: list[Fitted], clip: Clip, job: Job) -> tuple[Any, Decision]:
        """What each detector makes of each window and the decision of the same pass, remembered for the last clips."""
        from mirguard.detectors.sample import hear

        key = (model.hash, clip.hash, tuple(map(id, detectors)))
        if key not in self._features:
            self._features[key] = hear(model, clip, detectors, job.rest)
            while len(self._features) > FEATURES_KEPT:
                self._features.popitem(last=False)
        self._features.move_to_end(key)
        return self._features[key]

    def build_reference(self, name: str, folder: Path, fpr: float, job: Job) -> tuple[ReferenceFacts, tuple[str, ...]]:
        from mirguard.experiment.detecting import fit_detectors

        def progress(sentence: str, fraction: float | None) -> None:
            job.progress((f"{sentence} …", fraction))

        model = self.model(name)
        made = fit_detectors(model, folder, progress=progress, cancel=job.cancel, rest=job.rest)
        self._fitted.pop(model.hash, None)
        self._features.clear()
        return self.reference_facts(name, fpr), (*made.skipped, *made.troubles.values())

    # --- attacks ---

    def attack(self, request: Attack, job: Job) -> Outcome:
        from mirguard.experiment import plan, run

        design, model = request.design, self.model(request.model)
        surrogates = tuple(self.model(name) for name in design.surrogates)
        experiment = plan(
            request.clip, model, design.attack, surrogates=surrogates, **design.options(rms(request.clip.samples))
        )
        watching = [] if surrogates else self._at_rate(model, request.fpr, slow=False)
        evade = [one.evadable() for name in experiment.evade for one in self.detectors(model) if one.name == name]
        narrator = Narrator(job, watching, request.fpr, request.clip.frames)
        outcome = run(
            experiment,
            request.clip,
            model,
            surrogates=surrogates,
            progress=narrator,
            cancel=job.cancel,
            rest=_rest_of(job),
            watch=narrator.watch.probes,
            evade=evade,
        )
        job.tell(narrator.keeper.trail())
        return outcome

    def make_universal(self, request: MakeUniversal, job: Job) -> tuple[Universal, tuple[str, ...]]:
        from mirguard.attacks.universal_file import own_path, save_universal
        from mirguard.experiment.sound_set import divided, divided_folder
        from mirguard.experiment.universal import make_universal

        def progress(sentence: str, fraction: float | None) -> None:
            now = time.monotonic()
            if now - told[0] >= SNAPSHOT_SECONDS:
                told[0] = now
                job.progress((sentence, fraction))

        told, skipped = [0.0], ()
        if request.folder is not None:
            clips, held_out, skipped = divided_folder(request.folder, progress=progress, cancel=job.cancel)
        else:
            clips, held_out = divided(request.clips)
        made = make_universal(
            self.model(request.model),
            clips,
            request.method,
            name=request.name,
            snr=request.snr,
            target=request.target,
            held_out=held_out,
            source=str(request.folder or "open clips"),
            progress=progress,
            cancel=job.cancel,
            rest=job.rest,
        )
        save_universal(made, own_path(request.name))
        return made, skipped

    def export(self, request: ExportSound) -> Export:
        from mirguard.experiment import export

        return export(request.outcome, request.path, self.model(request.model), request.what, request.subtype)


def _trouble(detector: Fitted, fpr: float) -> tuple[float | None, str]:
    """A detector's threshold at a rate, and why there is none."""
    try:
        return detector.threshold(fpr), ""
    except MirguardError as error:
        return None, str(error)


def _rest_of(job: Job):
    """The attack's points of rest. The first one after a cancellation comes when the attack itself has stopped and only
    measures what it reached: the window is told."""
    told = False

    def rest() -> None:
        nonlocal told
        if job.cancel.is_set() and not told:
            told = True
            job.tell(STOPPED)
        job.serve()

    return rest


class Narrator:
    """Turns every look of an attack at the model into the few snapshots that a window can show."""

    def __init__(self, job: Job, detectors: list[Fitted], fpr: float, frames: int) -> None:
        from mirguard.experiment.insight.keeping import Keeper

        self._job = job
        self.keeper = Keeper(frames)
        self._points: list[tuple[float, float, float]] = []
        self._heard = 0  # so many of the keeper's were told
        self._told = self._sounded = 0.0
        self.watch = Watch(detectors, fpr)

    def __call__(self, progress: Progress) -> None:
        self._points.append((progress.loss, progress.margin, progress.snr_db))
        self.keeper(progress)
        self.watch.looked(progress)
        now = time.monotonic()
        if now - self._told < SNAPSHOT_SECONDS and progress.forwards > 1:
            return
        self._told, delta = now, None
        if now - self._sounded >= max(SOUND_SECONDS, len(progress.delta) * SECONDS_PER_FRAME):
            delta = progress.delta.detach().cpu().numpy().copy()
            delta.flags.writeable = False
            if delta.any():  # the first look is at the original itself, which is nothing new to see
                self._sounded = now
            else:
                delta = None
        points, self._points = tuple(self._points), []
        heard = tuple(self.keeper.heard[self._heard :])
        self._heard += len(heard)
        self._job.progress(
            Snapshot(
                gradients=progress.gradients,
                forwards=progress.forwards,
                total=progress.total,
                loss=progress.loss,
                margin=progress.margin,
                snr_db=progress.snr_db,
                success=progress.success,
                decision=progress.decision,
                seconds=progress.seconds,
                points=points,
                delta=delta,
                readings=self.watch.readings,
                heard=heard,
            )
        )
