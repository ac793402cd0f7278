"""Is a result still one as a file, and is its SNR what it says? SC-14, SC-16 and SC-17."""

from __future__ import annotations

import io

import numpy as np
import soundfile
import torch

from mirguard.analysis.measures import SEGMENT_SECONDS, SILENT, TEST_SNR, TEST_TOLERANCE, TRIM, snr_db, snr_self_test
from mirguard.channel.resample import Resampler
from mirguard.checks.finding import FAIL, PASS, WARN, Judgement, not_applicable, table
from mirguard.checks.record import STEPS, Record
from mirguard.checks.statistics import rate
from mirguard.clip import FORMATS, SUBTYPES, Clip, write
from mirguard.words import counted

LARGEST_DROP = 0.05
OTHER_RATES = (44_100, 22_050)
LARGEST_TRIM = 3.0  # dB


def file_fools_too(record: Record) -> Judgement:
    """SC-14: what is saved and read again, in each format and at another rate; and of an attack on magnitudes, what is heard after
    resynthesis."""
    tried = record.main()
    if not tried.rate.hits:
        return not_applicable(f"Nothing is fooled at {record.snr:g} dB, so there is no result to save.")
    made = tried.outcome.adversarial
    rows, after = [(tried.attack, "as made", str(tried.rate))], {}
    for subtype in SUBTYPES:
        record.tell(f"saved as {subtype} and read again")
        after[subtype] = record.heard(reread(made, record.model.sample_rate, subtype)) != record.labels
        rows.append((tried.attack, f"saved as {subtype}, read again", str(rate(after[subtype]))))
    for other in OTHER_RATES:
        if other > record.model.sample_rate:
            record.tell(f"through {other} Hz")
            there = resampled(made, record.model.sample_rate, other).clamp(-1.0, 1.0)
            again = reread(there, other, "PCM_16")
            back = resampled(again, other, record.model.sample_rate)[:, : record.model.window].clamp(-1.0, 1.0)
            after[f"{other} Hz"] = record.heard(back) != record.labels
            rows.append((tried.attack, f"at {other} Hz in 16 bits, and back", str(rate(after[f"{other} Hz"]))))
    drops = {how: (tried.rate.value - rate(fooled).value, rate(fooled)) for how, fooled in after.items()}
    if record.model.differentiable:
        spectral = record.attack("spectral", snr=record.snr, steps=STEPS // 2)
        again = rate(
            record.heard(reread(spectral.outcome.adversarial, record.model.sample_rate, "PCM_16")) != record.labels
        )
        rows.append(("spectral", "after resynthesis", str(spectral.rate)))
        rows.append(("spectral", "saved as PCM_16, read again", str(again)))
        drops["spectral, PCM_16"] = (spectral.rate.value - again.value, again)
    evidence = table(("attack", "heard", "fooled"), rows)
    how, (drop, left) = max(drops.items(), key=lambda found: found[1][0])
    if drop > LARGEST_DROP:
        sentence = (
            f"Success falls by {100 * drop:.0f} points in the file ({how}): report the file's figure, {left.value:.0%}."
        )
        return Judgement(WARN, sentence, evidence)
    return Judgement(PASS, "What fools does so as a file too, in every format and through other rates.", evidence)


def reread(x: torch.Tensor, sample_rate: int, subtype: str) -> torch.Tensor:
    """Each row `(n, frames)` written as a WAV without dither and read again."""
    rows = []
    for row in x:
        buffer = io.BytesIO()
        write(Clip(row.cpu().numpy()[None], sample_rate), buffer, FORMATS[".wav"], subtype)
        buffer.seek(0)
        rows.append(torch.from_numpy(soundfile.read(buffer, dtype="float32", always_2d=True)[0][:, 0].copy()))
    return torch.stack(rows)


def resampled(x: torch.Tensor, rate_in: int, rate_out: int) -> torch.Tensor:
    """`(n, frames)` from one rate to another."""
    resampler = Resampler(rate_in, rate_out)
    frames = resampler.length(x.shape[1])
    a, b = resampler.span(0, frames)
    return resampler(torch.nn.functional.pad(x, (-a, b - x.shape[1])), 0, frames)


def snr_is_snr(record: Record) -> Judgement:
    """SC-16."""
    found = snr_self_test()
    evidence = table(
        ("perturbation", "is", "reads"),
        [(name, f"{TEST_SNR:.2f} dB", "nothing" if read is None else f"{read:.2f} dB") for name, read in found.items()],
    )
    if all(read is not None and abs(read - TEST_SNR) <= TEST_TOLERANCE for read in found.values()):
        return Judgement(
            PASS,
            "A perturbation at 20.00 dB reads 20.00 dB, also where the wrong formulas of the literature do not.",
            evidence,
        )
    return Judgement(FAIL, "The SNR is computed wrongly, so nothing is exported.", evidence)


def nothing_is_clipped_or_silent(record: Record) -> Judgement:
    """SC-17: samples that the perturbation drives to full scale, silence that carries it, and an SNR that hangs on the edges."""
    tried = record.main()
    if not tried.rate.hits:
        return not_applicable(f"Nothing is fooled at {record.snr:g} dB, so there is no result to look at.")
    x, made = record.x[tried.fooled].numpy(), tried.outcome.adversarial[tried.fooled].cpu().numpy()
    clipped = ((np.abs(made) >= 1.0) & (np.abs(x) < 1.0)).sum(1)
    silent = _silent_frames(x, made - x, record.model.sample_rate)
    apart = _trim_gap(x, made)
    rows = [
        ("with samples clipped by it", int((clipped > 0).sum()), f"{int(clipped.sum())} samples"),
        ("with it in silent frames", int((silent > 0).sum()), f"{int(silent.sum())} frames"),
        (
            "whose SNR without the edges is more than 3 dB off",
            "–" if apart is None else int((apart > LARGEST_TRIM).sum()),
            "too short" if apart is None else f"at most {apart.max():.1f} dB",
        ),
    ]
    evidence = table((f"of {counted(len(x), 'fooled clip')}", "clips", "in all"), rows)
    found = [words for words, count, _all in rows if count not in (0, "–")]
    if found:
        return Judgement(WARN, f"There are clips {', and '.join(found)}.", evidence)
    return Judgement(
        PASS,
        "No sample is clipped, no silence carries the perturbation, and the SNR does not hang on the edges.",
        evidence,
    )


def _silent_frames(x: np.ndarray, delta: np.ndarray, sample_rate: int) -> np.ndarray:
    """How many frames of 25 ms of each row hold no sound but δ."""
    size = max(1, round(SEGMENT_SECONDS * sample_rate))

    def power(signal: np.ndarray) -> np.ndarray:
        frames = signal[:, : signal.shape[1] // size * size].reshape(len(signal), -1, size)
        return np.square(frames, dtype=np.float64).mean(2)

    return ((power(x) <= SILENT) & (power(delta) > SILENT)).sum(1)


def _trim_gap(x: np.ndarray, made: np.ndarray) -> np.ndarray | None:
    """How far each row's SNR without 2,048 samples at each end is from the whole one's, in dB; None where nothing would be left."""
    if x.shape[1] <= 2 * TRIM:
        return None
    inner = slice(TRIM, -TRIM)
    gaps = []
    for one, other in zip(x, made, strict=True):
        whole, trimmed = snr_db(one[None], other[None]), snr_db(one[None, inner], other[None, inner])
        gaps.append(np.inf if trimmed is None else abs(whole - trimmed))
    return np.array(gaps)
