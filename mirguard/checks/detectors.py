"""Are a detector's figures to be believed? SC-20 to SC-22.

A detector that was never held to an attack that knows of it, to noise of the same size, or to clips that it was not fitted on,
has shown little (Carlini & Wagner 2017; Feinman et al. 2017's own figures were taken on the clips it was fitted on).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binomtest

from mirguard.checks.baselines import BLACK_BOXES, black_box
from mirguard.checks.files import logits_of, numbered
from mirguard.checks.finding import FAIL, PASS, WARN, Judgement, not_applicable, table, worst
from mirguard.checks.record import Record, Tried, at_size
from mirguard.checks.statistics import ENOUGH, SIGNIFICANT
from mirguard.detectors.fitted import Fitted
from mirguard.detectors.roc import Area, area, roc
from mirguard.detectors.two_sample import mmd_test
from mirguard.errors import UsageError
from mirguard.words import counted

RATES = (0.05, 0.01)  # of false positives
FEWEST = 5  # attacked clips, below which no area is told
WEAKER = (10.0, 20.0)  # dB below the budget of the check
LEVEL, SPLITS, PERMUTATIONS = 0.05, 200, 199


@dataclass(frozen=True)
class Scored:
    """A detector's scores of files: clean, with noise, and of those that the plain and the evading attack fool the model with, with
    the numbers of those files."""

    clean: np.ndarray
    noisy: np.ndarray
    attacked: np.ndarray
    fooled: np.ndarray
    evading: np.ndarray | None
    evaded: np.ndarray

    def area(self, which: str) -> Area:
        """Against clean and noisy files together, clips being drawn as wholes."""
        positive, clips = (self.attacked, self.fooled) if which == "attacked" else (self.evading, self.evaded)
        if positive is None or len(positive) < FEWEST:
            return Area(None, None, None)
        files = np.arange(len(self.clean))
        return area(positive, clips, [*self.clean, *self.noisy], np.concatenate([files, files]))

    @property
    def false_at_95(self) -> float | None:
        """The share of negatives that is flagged where 95 % of the attacked are."""
        if len(self.attacked) < FEWEST:
            return None
        false, true = roc([*self.clean, *self.noisy], self.attacked)
        return float(false[true >= 0.95 - 1e-9].min())


def static_and_adaptive(record: Record) -> Judgement:
    """SC-20: each detector held to an attack that knows nothing of it and to one that evades it, thresholds as they were set on the
    clips put aside when it was fitted."""
    per_clip = [one for one in record.detectors if not one.set_level]
    if not per_clip:
        return _none_fitted(record)
    rows, verdicts, said = [], [], []
    for detector in per_clip:
        known = set(detector.about.hashes) & set(record.sounds.hashes)
        if known:
            verdicts.append(FAIL)
            said.append(f"{detector.name} was fitted on {counted(len(known), 'clip')} of these")
            rows.append((detector.name, *["fitted on these clips"] * 2, "–", *["–"] * len(RATES)))
            continue
        found = _scored(record, detector)
        static, adaptive = found.area("attacked"), found.area("evading")
        evading = str(adaptive) if detector.evades else "gives no gradient"
        if found.evading is not None and len(found.evading) < FEWEST:
            evading = f"fools {len(found.evading)} files"
        false = "–" if found.false_at_95 is None else f"{found.false_at_95:.0%}"
        rows.append((detector.name, str(static), evading, false, *(_caught(detector, found, one) for one in RATES)))
        if static.value is None:
            verdicts.append(WARN)
            said.append(f"too few files are fooled to hold {detector.name} to")
        elif static.low <= 0.5:
            verdicts.append(WARN)
            said.append(f"{detector.name} tells attacked files no better than by chance")
        elif adaptive.value is not None and adaptive.low <= 0.5:
            verdicts.append(WARN)
            said.append(
                f"{detector.name} notices the plain attack ({static.value:.2f}) but not one that evades it ({adaptive.value:.2f})"
            )
        else:
            verdicts.append(PASS)
            said.append(f"{detector.name} has an area of {static.value:.2f}" + _left(adaptive))
    columns = ("detector", "area, plain attack", "area, evading it", "FPR at 95 % TPR")
    evidence = table((*columns, *(f"TPR (FPR) at {one:.0%}" for one in RATES)), rows)
    verdict, sentence = worst(verdicts), f"Held to the attacks: {'; '.join(said)}."
    if verdict == PASS and len(record.files.rows) < ENOUGH:
        return Judgement(WARN, f"Underpowered, {counted(len(record.files.rows), 'file')}: {sentence}", evidence)
    return Judgement(verdict, sentence, evidence)


def _left(adaptive: Area) -> str:
    return "" if adaptive.value is None else f", and {adaptive.value:.2f} where the attack evades it"


def _caught(detector: Fitted, found: Scored, rate: float) -> str:
    """The share of attacked files above the threshold of that rate, and of negatives."""
    try:
        threshold = detector.threshold(rate)
    except UsageError:
        return "too few clean clips"
    negatives = np.concatenate([found.clean, found.noisy])
    caught = f"{np.mean(found.attacked > threshold):.0%}" if len(found.attacked) else "–"
    return f"{caught} ({np.mean(negatives > threshold):.0%})"


def _scored(record: Record, detector: Fitted) -> Scored:
    files = record.files
    made = record.files_attacked()
    size = (made - files.x).square().mean(1).sqrt()
    white = torch.randn(files.x.shape, generator=torch.Generator().manual_seed(record.seed))
    noisy = files.x + at_size(white, size, files.x)
    fooled = ~files.right(logits_of(record, made), record)
    evading, evaded = None, torch.zeros(0, dtype=torch.long)
    if detector.evades and record.model.differentiable:
        again = record.files_attacked(detector)
        mask = ~files.right(logits_of(record, again), record)
        evading, evaded = file_scores(record, detector, again)[mask], mask.nonzero()[:, 0]
    return Scored(
        file_scores(record, detector, files.x).numpy(),
        file_scores(record, detector, noisy).numpy(),
        file_scores(record, detector, made)[fooled].numpy(),
        fooled.nonzero()[:, 0].numpy(),
        None if evading is None else evading.numpy(),
        evaded.numpy(),
    )


def file_scores(record: Record, detector: Fitted, x: torch.Tensor) -> torch.Tensor:
    """The detector's score of each file `(files,)` where its windows are those of `x (n, window)`."""
    digests, z = digested(record, detector, x)
    said = record.files.decisions(z, record)
    scores = [
        detector.score(digests[list(rows)], decision.label)
        for rows, decision in zip(record.files.rows, said, strict=True)
    ]
    return torch.tensor(scores, dtype=torch.float64)


def digested(record: Record, detector: Fitted, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the detector makes of each window `(n, d)`, and its logits `(n, K)`."""
    digests, logits = [], []
    for part in x.split(record.model.micro_batch):
        record.pause()
        with torch.no_grad():
            heard, z = record.model.activations(part.to(record.model.device), detector.layers)
            digests.append(detector.digest(heard, z).cpu())
            logits.append(z.cpu())
    return torch.cat(digests), torch.cat(logits)


def other_attacks(record: Record) -> Judgement:
    """SC-21: areas on single windows for attacks of other kinds and for weaker ones, against clean and noisy windows."""
    per_clip = [one for one in record.detectors if not one.set_level]
    if not per_clip:
        return _none_fitted(record)
    attacks = _attacks(record)
    main = record.main()
    white = torch.randn(record.x.shape, generator=torch.Generator().manual_seed(record.seed))
    noisy = record.x + at_size(white, main.delta_rms, record.x)
    numbers, columns, lowest = np.arange(record.size), [], []
    for detector in per_clip:
        negatives = np.concatenate([window_scores(record, detector, x) for x in (record.x, noisy)])
        column = [_learned_from(detector)]
        for name, tried in attacks:
            record.tell(f"{detector.name} on {name}")
            fooled = tried.fooled.numpy()
            if fooled.sum() < FEWEST:
                column.append(f"– ({fooled.sum()} fooled)")
                continue
            scores = window_scores(record, detector, tried.outcome.adversarial)[fooled]
            found = area(scores, numbers[fooled], negatives, np.concatenate([numbers, numbers]))
            column.append(str(found))
            lowest.append((found.value, f"{detector.name} on {name}"))
        columns.append(column)
    names = ("learned from", *(name for name, _tried in attacks))
    evidence = table(("area", *(one.name for one in per_clip)), zip(names, *columns, strict=True))
    if not lowest:
        return Judgement(WARN, "No attack fools enough windows to hold a detector to.", evidence)
    least, where = min(lowest)
    return Judgement(PASS, f"The least area is {least:.2f}, of {where}; out of {len(attacks)} attacks.", evidence)


def _attacks(record: Record) -> list[tuple[str, Tried]]:
    """Those of the other checks at one budget, and the one that is judged at weaker ones."""
    found = []
    if record.model.differentiable:
        found = [("fgsm", record.attack("fgsm", snr=record.snr)), ("pgd, margin", record.pgd(loss="margin"))]
    found += [(name, black_box(record, name)) for name in BLACK_BOXES]
    found += [
        (f"{record.judged}, {snr:g} dB", record.main(snr))
        for snr in (record.snr, *(record.snr + less for less in WEAKER))
    ]
    return found


def _learned_from(detector: Fitted) -> str:
    from mirguard.detectors.catalogue import find_detector
    from mirguard.experiment.detecting import KINDS, SNRS

    if "adversarial" not in find_detector(detector.name).needs:
        return "clean sounds alone"
    return f"{', '.join(name for name, _values in KINDS)} at {min(SNRS):g} to {max(SNRS):g} dB"


def window_scores(record: Record, detector: Fitted, x: torch.Tensor) -> np.ndarray:
    """The detector's score of each window `(n,)` by itself."""
    digests, z = digested(record, detector, x)
    with torch.no_grad():
        return detector.window_scores(digests[:, None], z.argmax(1))[:, 0].double().numpy()


def sets_keep_their_level(record: Record) -> Judgement:
    """SC-22: clean files are split in two by chance, again and again; a test of sets at 5 % must reject as often as that, within
    the binomial test's 95 %. Given the files, each split is one more permutation, so the splits are independent."""
    tests = [one for one in record.detectors if one.set_level]
    if not tests:
        return _none_fitted(record, " of sets (mmd)")
    file_of = numbered(record.files.rows).numpy()
    count = len(record.files.rows)
    if count < 4:
        return not_applicable(f"{counted(count, 'clean file')} cannot be split in two sets; give more clips.")
    rows, verdicts = [], []
    for detector in tests:
        digests, _z = digested(record, detector, record.files.x)
        points, rng, rejected = detector.points_of(digests), np.random.default_rng(record.seed), 0
        for split in range(SPLITS):
            record.pause()
            record.tell(f"{detector.name}, split {split + 1} of {SPLITS}")
            first = np.isin(file_of, rng.permutation(count)[: count // 2])
            found = mmd_test(
                points[first],
                points[~first],
                PERMUTATIONS,
                (file_of[first], file_of[~first]),
                split,
                sigma=detector.sigma,
            )
            rejected += found.p_value <= LEVEL
        p = float(binomtest(int(rejected), SPLITS, LEVEL).pvalue)
        rows.append((detector.name, f"{LEVEL:.0%}", f"{rejected} of {SPLITS} ({rejected / SPLITS:.1%})", p))
        verdicts.append(PASS if p >= SIGNIFICANT else FAIL)
    evidence = table(("test of sets", "level", "clean against clean rejected", "binomial p"), rows)
    if worst(verdicts) == PASS:
        return Judgement(PASS, "Clean files against clean files are rejected as rarely as the level says.", evidence)
    wrong = " and ".join(row[0] for row, verdict in zip(rows, verdicts, strict=True) if verdict == FAIL)
    sentence = (
        f"Clean files against clean files are not rejected at the level that {wrong} states: its verdicts mean nothing."
    )
    return Judgement(FAIL, sentence, evidence)


def _none_fitted(record: Record, kind: str = "") -> Judgement:
    return not_applicable(
        f"No detector{kind} is fitted on {record.model.name}; fit one (mirguard detectors fit NAME --model {record.model.name} "
        "--reference DIR) and name it (--detector)."
    )
