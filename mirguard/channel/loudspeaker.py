"""From a loudspeaker through a room to a microphone: the whole way of a physical attack (Yakura & Sakuma 2019)."""

from __future__ import annotations

import torch

from mirguard.channel.band import band_pass
from mirguard.channel.noise import noise
from mirguard.channel.room import room
from mirguard.channel.transform import InTurn, uniform


class Saturated:
    """y = tanh(gx)/g: slight sounds pass as they are, loud ones are rounded off at 1/g (`drive` g)."""

    reach = (0, 0)

    def __init__(self, drive: float) -> None:
        self.drive = drive

    def __call__(self, signal: torch.Tensor, start: int) -> torch.Tensor:
        return torch.tanh(self.drive * signal) / self.drive


def playback(
    sample_rate: int,
    generator: torch.Generator,
    drive: float,
    absorption_low: float,
    absorption_high: float,
    noise_low: float,
    noise_high: float,
) -> InTurn:
    """A loudspeaker from 60–200 Hz to 7–16 kHz that saturates by up to `drive`, a room, a microphone from 30–120 Hz to
    7–18 kHz, and its noise in dB of full scale."""
    return InTurn(
        [
            band_pass(sample_rate, generator, 60.0, 200.0, 7_000.0, 16_000.0),
            Saturated(uniform(0.05, max(drive, 0.05), generator)),
            room(sample_rate, generator, absorption_low, absorption_high, 20),
            band_pass(sample_rate, generator, 30.0, 120.0, 7_000.0, 18_000.0),
            noise(sample_rate, generator, noise_low, noise_high),
        ]
    )
