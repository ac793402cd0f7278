"""`mg.check`: every check of a model, on a person's sounds or on fresh ones, with what each found."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from mirguard.checks.catalogue import Check, find_checks
from mirguard.checks.finding import PASS, WARN, Finding, Judgement
from mirguard.checks.record import Record
from mirguard.checks.sounds import Source, gather
from mirguard.checks.statistics import ENOUGH
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.kept import fitted_for
from mirguard.experiment.detecting import fitted_detectors
from mirguard.models.catalogue import READY, list_models, load_model
from mirguard.models.contract import Classifier
from mirguard.words import counted

COUNT = 32  # windows
SNR = 30.0  # dB
DETECTORS = (
    "kde",
    "mmd",
)  # that are held to the attacks unless others are named: the one most used, and the test of sets


def check(
    model: Classifier,
    clips: Source = None,
    *,
    ids: Sequence[str] | None = None,
    snr: float = SNR,
    count: int = COUNT,
    surrogates: Sequence[Classifier] | None = None,
    detectors: Sequence[Fitted] | Sequence[str] | None = None,
    seed: int = 0,
    each: Callable[[Finding], None] | None = None,
    progress: Callable[[str, float], None] | None = None,
    cancel: threading.Event | None = None,
    rest: Callable[[], None] | None = None,
) -> list[Finding]:
    """Is a robustness figure of `model` at an SNR of `snr` dB to be believed? One finding a check of the catalogue, or of `ids`.

    `clips`: a folder, a labelled set, clips or pairs of a clip and its true label; without, fresh toy clips for models that know
    the toy instruments, else the demonstration clip. `count` windows that the model hears rightly are attacked; under 30 nothing
    that is counted passes. `surrogates` are models to try transfer from (default: a bundled one with the same windows and labels),
    `detectors` fitted ones or the names of such (default: kde and mmd, where they are fitted). `each` gets every finding as soon
    as it is made, `progress` a sentence and the part that is done; `rest` is called between micro-batches, `cancel` raises
    Cancelled. UsageError where there is nothing to attack."""
    chosen = find_checks(ids)
    done, total = 0.0, sum(one.share for one in chosen)
    current = ""

    def tell(sentence: str) -> None:
        if progress is not None:
            progress(f"{current}{sentence}", done / total)

    tell("Listening")
    sounds = gather(model, clips, count, seed, rest)
    if surrogates is None:
        surrogates = _stranger(model)
    fitted = _fitted(model, detectors)
    record = Record(
        model, sounds, snr, seed, surrogates=surrogates, detectors=fitted, tell=tell, cancel=cancel, rest=rest
    )
    findings = []
    for one in chosen:
        current = f"{one.id} {one.title}: "
        record.pause()
        tell("…")
        began = time.perf_counter()
        judged = _enough(one, one.judge(record), record.size)
        seconds = time.perf_counter() - began
        findings.append(Finding(one.id, one.title, judged.verdict, judged.sentence, judged.evidence, seconds))
        if each is not None:
            each(findings[-1])
        done += one.share
    return findings


def _enough(one: Check, judged: Judgement, clips: int) -> Judgement:
    """Nothing that is counted passes on too few clips."""
    if not one.counts or judged.verdict != PASS or clips >= ENOUGH:
        return judged
    sentence = f"Underpowered, {counted(clips, 'clip')} where {ENOUGH} are needed: {judged.sentence}"
    return replace(judged, verdict=WARN, sentence=sentence)


def _fitted(model: Classifier, wanted: Sequence[Fitted] | Sequence[str] | None) -> list[Fitted]:
    if wanted is None:
        found = (fitted_for(model, name) for name in DETECTORS)
        return [one for one in found if one is not None]
    names = [one for one in wanted if isinstance(one, str)]
    return [one for one in wanted if not isinstance(one, str)] + (fitted_detectors(model, names) if names else [])


def _stranger(model: Classifier) -> tuple[Classifier, ...]:
    """A bundled model that hears the same windows and has the same labels, to try transfer from."""
    for info in list_models():
        if (
            info.state == READY
            and info.kind == "bundled"
            and info.gradients
            and info.name != model.name
            and (info.sample_rate, info.window, info.task) == (model.sample_rate, model.window, model.task)
            and set(info.labels) == set(model.labels)
        ):
            found = load_model(info.name)
            if found.hash != model.hash:
                return (found,)
    return ()
