"""How a clip's channels reach the one or two channels that are played."""

from __future__ import annotations

from functools import cache

# Speakers in the order of WAV files (WAVEFORMATEXTENSIBLE), by number of channels.
LAYOUTS = {
    3: "L R C",
    4: "L R Ls Rs",
    5: "L R C Ls Rs",
    6: "L R C LFE Ls Rs",
    7: "L R C LFE Cs Ls Rs",
    8: "L R C LFE Lb Rb Ls Rs",
}
# What each speaker gives to left and right: ITU-R BS.775, where centre and surround go in 3 dB lower and the
# bass channel is left out.
HALF_POWER = 0.5**0.5
SHARES = {
    "L": (1.0, 0.0),
    "R": (0.0, 1.0),
    "C": (HALF_POWER, HALF_POWER),
    "LFE": (0.0, 0.0),
    "Cs": (0.5, 0.5),
    "Ls": (HALF_POWER, 0.0),
    "Rs": (0.0, HALF_POWER),
    "Lb": (HALF_POWER, 0.0),
    "Rb": (0.0, HALF_POWER),
}

Route = tuple[tuple[int, float], ...]  # (channel, share) pairs that add up to one output channel


@cache
def routes(channels: int, outputs: int) -> tuple[Route, ...]:
    """For each of `outputs` (1 or 2) played channels, which of the clip's channels it is the sum of.

    Mono goes to both sides as it is, stereo stays stereo, more channels are mixed down to stereo and
    scaled so that channels within full scale stay within it. One output is the mean of the two sides.
    A single channel's share of exactly 1 means that its samples are played untouched.
    """
    if channels == 1:
        return (((0, 1.0),),) * outputs
    if channels == 2:
        sides: tuple[Route, ...] = (((0, 1.0),), ((1, 1.0),))
    else:
        names = LAYOUTS[channels].split()
        totals = [sum(SHARES[name][side] for name in names) for side in (0, 1)]
        sides = tuple(
            tuple((i, SHARES[name][side] / totals[side]) for i, name in enumerate(names) if SHARES[name][side])
            for side in (0, 1)
        )
    if outputs == 2:
        return sides
    mono: dict[int, float] = {}
    for route in sides:
        for i, share in route:
            mono[i] = mono.get(i, 0.0) + share / 2
    return (tuple(sorted(mono.items())),)
