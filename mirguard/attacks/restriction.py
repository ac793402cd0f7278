"""Where a perturbation may be: Eykholt et al. 2018's masks, in sound.

A `Restriction` is what a person asks for, in seconds, Hz and dB; `build` makes of it the two operations that attacks need on
δ `(rows, n)`: `direction` (what of a gradient lies in the permitted space) and `limit` (δ brought back into it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mirguard.errors import UsageError

if TYPE_CHECKING:  # the window holds restrictions long before torch is there
    import torch

FADE = 0.005  # seconds, on either side of an edge


@dataclass(frozen=True)
class Restriction:
    """All that is given must hold at once.

    `time` is a range in seconds, `band` a range in Hz, `above` a level in dB below the clip's loudest 20 ms: only where the clip
    is at least that loud; `masked` keeps δ under the clip's masking threshold in every time–frequency bin."""

    time: tuple[float, float] | None = None
    band: tuple[float, float] | None = None
    above: float | None = None
    masked: bool = False

    def __bool__(self) -> bool:
        return self != FREE

    def to_json(self) -> dict[str, object]:
        """What is restricted, without what is not."""
        return {name: value for name, value in vars(self).items() if value}

    def check(self, duration: float, sample_rate: int) -> Restriction:
        """Itself, if it leaves anything of a clip of `duration` seconds; UsageError otherwise."""
        if self.time is not None:
            begin, end = self.time
            if not (0 <= begin < end) or begin >= duration:
                raise UsageError(
                    f"A time range is two seconds, the first before the second, within the clip's {duration:.2f} s; "
                    f"got {begin:g} to {end:g}."
                )
        if self.band is not None:
            low, high = self.band
            if not (0 <= low < high) or low >= sample_rate / 2:
                raise UsageError(
                    f"A band is two frequencies in Hz, the lower first, below {sample_rate / 2:g} Hz for this clip; "
                    f"got {low:g} to {high:g}."
                )
        if self.above is not None and not -120.0 <= self.above <= 0.0:
            raise UsageError(
                f"The level above which the clip may be changed is -120 to 0 dB below its loudest; got {self.above:g}."
            )
        return self


FREE = Restriction()  # nothing is restricted


class Permitted:
    """The space that several restrictions leave; each part has `direction`, `limit` and says whether it is `diagonal`
    (a factor for each sample, so that clipping to a box leaves it)."""

    def __init__(self, parts: Sequence) -> None:
        self.parts = tuple(parts)
        self.diagonal = all(part.diagonal for part in self.parts)

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            gradient = part.direction(gradient)
        return gradient

    def limit(self, delta: torch.Tensor) -> torch.Tensor:
        for part in self.parts:
            delta = part.limit(delta)
        return delta


class Mask:
    """The samples where `inside (rows or 1, n)` is True. Steps fade in and out at its edges, so that δ begins and ends without
    a click and keeps to a band; nothing is ever outside."""

    diagonal = True

    def __init__(self, inside: torch.Tensor, fade: int) -> None:
        """`fade` is in samples."""
        import torch

        self.inside = inside.float()
        # The distance-weighted share of the surroundings that lie inside, squeezed so that it begins at 0 on the edge.
        around = torch.hann_window(2 * fade + 1, periodic=False, device=inside.device)
        share = torch.nn.functional.conv1d(self.inside[:, None], (around / around.sum())[None, None], padding=fade)[
            :, 0
        ]
        self.factor = (2.0 * share - 1.0).clamp_min(0.0) * self.inside

    def direction(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * self.factor

    def limit(self, delta: torch.Tensor) -> torch.Tensor:
        return delta.mul_(self.inside)


def build(restriction: Restriction, sound: torch.Tensor, sample_rate: int) -> Permitted | None:
    """The permitted space for `sound (rows, n)` (of a track: its down-mix); None where nothing is restricted."""
    restriction.check(sound.shape[1] / sample_rate, sample_rate)
    parts = []
    if restriction.band is not None:
        from mirguard.channel.band import Band

        parts.append(Band(restriction.band, sample_rate))
    if restriction.masked:
        from mirguard.channel.masking import UnderThreshold

        parts.append(UnderThreshold(sound, sample_rate))
    # Masks come last: what a filter smears over their edges is cut off.
    fade = max(1, round(FADE * sample_rate))
    if restriction.time is not None:
        parts.append(Mask(_between(restriction.time, sound, sample_rate), fade))
    if restriction.above is not None:
        parts.append(Mask(_loud(restriction.above, sound, sample_rate), fade))
    return Permitted(parts) if parts else None


def _between(seconds: tuple[float, float], sound: torch.Tensor, sample_rate: int) -> torch.Tensor:
    import torch

    inside = torch.zeros(1, sound.shape[1], dtype=torch.bool, device=sound.device)
    inside[:, round(seconds[0] * sample_rate) : max(1, round(seconds[1] * sample_rate))] = True
    return inside


def _loud(above: float, sound: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Where the RMS of a block of 20 ms lies within `above` dB of the loudest block's."""
    import torch

    block = max(1, round(0.02 * sample_rate))
    count = -(-sound.shape[1] // block)
    padded = torch.nn.functional.pad(sound, (0, count * block - sound.shape[1]))
    power = padded.view(len(sound), count, block).square().mean(2)
    loud = (power > 0) & (power >= power.amax(1, keepdim=True) * 10.0 ** (above / 10.0))
    return loud.repeat_interleave(block, 1)[:, : sound.shape[1]]
