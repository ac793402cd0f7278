"""The engine's side of the window: models, detectors and attacks, on the engine's own thread.

Nothing here knows Qt. torch is imported when the thread prepares itself, so that the window is on the screen first.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirguard.clip import Clip, rms
from mirguard.errors import Cancelled, MirguardError, UsageError
from mirguard.workbench.facts import ModelFacts, ReferenceFacts, Snapshot
from mirguard.workbench.model_names import free_name
from mirguard.workbench.requests import STOPPED, Attack, ExportSound, MakeUniversal, TrainClassifier

if TYPE_CHECKING:
    from mirguard.attacks.universal_file import Universal
    from mirguard.detectors.reading import Reading
    from mirguard.experiment import Export, Outcome, Progress
    from mirguard.models.catalogue import ModelInfo
    from mirguard.models.contract import Classifier
    from mirguard.models.decision import Decision
    from mirguard.models.training.make import Trained
    from mirguard.workbench.lanes import Job

DETECTOR = "kde"
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

    A full round over torch's and Qt's modules holds Python's lock for 70 to 150 ms: window and sound would wait for it."""
    gc.collect()
    gc.freeze()


class Workshop:
    """What the engine keeps between jobs: detectors fitted so far and the features of the last clips."""

    def __init__(self) -> None:
        self._fitted: dict[str, tuple[Any, Any]] = {}
        self._features: OrderedDict[tuple[str, str], tuple[Any, Decision]] = OrderedDict()

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

    def detector(self, model: Classifier) -> Any:
        """The detector fitted on the model; raises MirguardError where there is none."""
        if model.hash not in self._fitted:
            from mirguard.detectors.kept import fitted_for

            detector = fitted_for(model, DETECTOR)
            if detector is None:
                raise UsageError(f"There is no clean reference for {model.title or model.name} yet.")
            self._fitted[model.hash] = detector
        return self._fitted[model.hash]

    def reference_facts(self, name: str, fpr: float) -> ReferenceFacts:
        """What the detector rests on; a rate it is too small for, or its absence, is told in `trouble`."""
        model = self.model(name)
        try:
            detector = self.detector(model)
        except MirguardError as error:
            return ReferenceFacts(trouble=str(error))
        threshold, trouble = None, ""
        try:
            threshold = detector.threshold(fpr)
        except MirguardError as error:
            trouble = str(error)
        about = detector.about
        return ReferenceFacts(about.size, detector.clean_scores, threshold, detector.layers[0], about.source, trouble)

    def detect(self, name: str, clip: Clip, fpr: float, job: Job) -> Reading | None:
        """The reading of a clip; None where there is no reference or it is too small for the rate."""
        model = self.model(name)
        try:
            detector = self.detector(model)
            detector.threshold(fpr)
        except MirguardError:
            return None
        (digest,), decision = self._heard(model, detector, clip, job)
        return detector.read(digest, decision, fpr, known=clip.hash in detector.about.hashes)

    def _heard(self, model: Classifier, detector: Any, clip: Clip, job: Job) -> tuple[Any, Decision]:
        """What the detector makes of each window and the decision of the same pass, remembered for the last clips."""
        from mirguard.detectors.sample import hear

        key = (model.hash, clip.hash)
        if key not in self._features:
            self._features[key] = hear(model, clip, (detector,), job.rest)
            while len(self._features) > FEATURES_KEPT:
                self._features.popitem(last=False)
        self._features.move_to_end(key)
        return self._features[key]

    def build_reference(self, name: str, folder: Path, fpr: float, job: Job) -> tuple[ReferenceFacts, tuple[str, ...]]:
        from mirguard.experiment.detecting import fit_detectors

        def progress(sentence: str, fraction: float | None) -> None:
            job.progress((f"{sentence} …", fraction))

        model = self.model(name)
        made = fit_detectors(model, folder, (DETECTOR,), progress=progress, cancel=job.cancel, rest=job.rest)
        self._fitted.pop(model.hash, None)
        return self.reference_facts(name, fpr), made.skipped

    # --- attacks ---

    def attack(self, request: Attack, job: Job) -> Outcome:
        from mirguard.experiment import plan, run

        design, model = request.design, self.model(request.model)
        surrogates = tuple(self.model(name) for name in design.surrogates)
        experiment = plan(
            request.clip, model, design.attack, surrogates=surrogates, **design.options(rms(request.clip.samples))
        )
        try:
            detector = self.detector(model)
            detector.threshold(request.fpr)
        except MirguardError:
            detector = None
        narrator = Narrator(job, detector, request.fpr, request.clip.frames)
        outcome = run(
            experiment,
            request.clip,
            model,
            surrogates=surrogates,
            progress=narrator,
            cancel=job.cancel,
            rest=_rest_of(job),
            watch=() if detector is None else (detector,),
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

    def __init__(self, job: Job, detector: Any, fpr: float, frames: int) -> None:
        from mirguard.experiment.insight.keeping import Keeper

        self._job, self._detector, self._fpr = job, detector, fpr
        self.keeper = Keeper(frames)
        self._points: list[tuple[float, float, float]] = []
        self._heard = 0  # so many of the keeper's were told
        self._told = self._sounded = 0.0

    def __call__(self, progress: Progress) -> None:
        self._points.append((progress.loss, progress.margin, progress.snr_db))
        self.keeper(progress)
        now = time.monotonic()
        if now - self._told < SNAPSHOT_SECONDS and progress.forwards > 1:
            return
        self._told, delta, reading = now, None, None
        if now - self._sounded >= max(SOUND_SECONDS, len(progress.delta) * SECONDS_PER_FRAME):
            delta = progress.delta.detach().cpu().numpy().copy()
            delta.flags.writeable = False
            if delta.any():  # the first look is at the original itself, which is nothing new to see
                self._sounded = now
            else:
                delta = None
        if self._detector is not None and progress.seen:
            reading = self._detector.read(progress.seen[0], progress.decision, self._fpr)
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
                reading=reading,
                heard=heard,
            )
        )
