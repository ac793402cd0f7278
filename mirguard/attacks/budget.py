"""Budgets: ε as an amplitude of full scale and as an SNR, two faces of one number.

For L2, ε is the RMS of δ; for L∞ the largest |δ|, whose RMS is then at most ε. Either way an ε of
RMS(x)·10^(−D/20) keeps the result's SNR at D dB or more. For L1 it is the mean of |δ|, which is at most the RMS
and so bounds no SNR.
"""

from __future__ import annotations

import math

from mirguard.clip import step_of
from mirguard.errors import UsageError
from mirguard.parameters import Parameter

L1, L2, LINF = "l1", "l2", "linf"
SNR = Parameter(
    "snr",
    "The budget as the signal-to-noise ratio that the result keeps at least.",
    minimum=-200.0,
    maximum=400.0,
    unit="dB",
    label="SNR",
    optional=True,
)


def snr_to_epsilon(snr: float, rms: float) -> float:
    """The amplitude for an SNR of `snr` dB on a clip of that RMS over all channels."""
    if rms <= 0.0:
        raise UsageError("A silent clip has no SNR; set the perturbation's size as an amplitude (--epsilon).")
    return rms * 10.0 ** (-snr / 20.0)


def epsilon_to_snr(epsilon: float, rms: float) -> float:
    """The SNR in dB that an amplitude guarantees; −inf for a silent clip."""
    return 20.0 * math.log10(rms / epsilon) if rms > 0.0 else -math.inf


def before_rounding(epsilon: float, norm: str, subtype: str, samples: int) -> float:
    """The ε to attack with so that the exported file of `samples` samples, rounded to `subtype`, still keeps within `epsilon`.

    Rounding moves a sample by at most half a step (L∞, and L1's mean). For L2 it adds an error q of power step²/12
    and the product with δ, whose mean over n samples has a standard deviation of 2·RMS(δ)·RMS(q)/√n: room is left for five
    of those.
    """
    step = step_of(subtype)
    if norm != L2:
        room = epsilon - step / 2
    else:
        q = step / math.sqrt(12.0)
        luck = 5.0 * q / math.sqrt(samples)
        room = math.sqrt(max(0.0, luck**2 + epsilon**2 - (1.05 + 5.0 / math.sqrt(samples)) * q**2)) - luck
    if room <= 0.0:
        raise UsageError(
            f"An ε of {epsilon:.2g} is below what {subtype.replace('PCM_', '')}-bit files can hold (steps of {step:.2g}); "
            "use a larger ε or a finer format."
        )
    return room * (1.0 - 1e-6)  # float32 has its own rounding
