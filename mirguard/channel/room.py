"""A room, by the image-source method (Allen & Berkley, JASA 65, 1979).

The walls of a box are mirrors that swallow a share α of the energy: the microphone hears the source and all its images, each
delayed by its distance and weakened by 1/distance and by √(1 − α) for each reflection,

    h(t) = Σ  (1 − α)^{reflections/2} / (4π d) · δ(t − d/c).

Delays are of parts of samples (Peterson 1986). The direct sound is moved to time 0 and Σh² made 1, so that a room neither
merely delays nor makes louder.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from mirguard.channel.fir import Filter
from mirguard.channel.transform import uniform

SPEED = 343.0  # m/s
SMALLEST, LARGEST = (3.0, 4.0, 2.0), (5.0, 6.0, 4.0)  # m
FROM_WALLS, APART = 0.3, 0.5  # m that source and microphone are at least from walls and from each other
HALF = 16  # samples on each side of the interpolating sinc


def images(size: np.ndarray, source: np.ndarray, microphone: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances `(images,)` in m, and reflections, of all images of at most `order` reflections; places `(3,)` in m.

    Along each axis the images of a source at s lie at 2nL ± s; their walls are met |2n| and |2n − 1| times (eq. 6-10)."""
    n = np.arange(-(order // 2) - 1, order // 2 + 2)
    place = np.concatenate([2 * n[:, None] * size + source, 2 * n[:, None] * size - source])  # (images, 3)
    met = np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)])
    kept = met <= order
    met, square = met[kept], (place[kept] - microphone) ** 2
    reflections = met[:, None, None] + met[:, None] + met
    distance = square[:, 0, None, None] + square[:, 1, None] + square[:, 2]
    near = reflections <= order
    return np.sqrt(distance[near]), reflections[near]


def response(distance: np.ndarray, reflections: np.ndarray, absorption: float, sample_rate: int) -> Filter:
    """The filter that the images make."""
    at = (distance - distance.min()) * sample_rate / SPEED
    strength = (1.0 - absorption) ** (reflections / 2.0) / (4.0 * math.pi * distance)
    first = np.floor(at).astype(np.int64)
    part = at - first
    around = np.arange(1 - HALF, HALF + 1)
    t = around - part[:, None]
    spread = np.sinc(t) * np.cos(np.pi * t / (2 * HALF)) ** 2 * strength[:, None]
    taps = np.bincount((first[:, None] + around + HALF - 1).ravel(), spread.ravel())
    return Filter(torch.from_numpy(taps / np.sqrt(np.square(taps).sum())), 1 - HALF)


def room(
    sample_rate: int, generator: torch.Generator, absorption_low: float, absorption_high: float, order: int
) -> Filter:
    """A room of 3 to 5 × 4 to 6 × 2 to 4 m, source and microphone anywhere in it, α uniform in its range."""
    size = np.array([uniform(a, b, generator) for a, b in zip(SMALLEST, LARGEST, strict=True)])
    absorption = uniform(absorption_low, absorption_high, generator)
    source = _place(size, generator)
    microphone = _place(size, generator)
    while np.linalg.norm(source - microphone) < APART:
        microphone = _place(size, generator)
    return response(*images(size, source, microphone, order), absorption, sample_rate)


def _place(size: np.ndarray, generator: torch.Generator) -> np.ndarray:
    return np.array([uniform(FROM_WALLS, length - FROM_WALLS, generator) for length in size])
