"""How far a counted share may be from the true one."""

from __future__ import annotations

import math

Z95 = 1.959963984540054


def wilson(right: float, count: float, z: float = Z95) -> tuple[float, float]:
    """The 95 % interval of a probability seen `right` times in `count` (Wilson, JASA 22, 1927); (0, 1) where nothing was seen.

    Unlike p ± 2s it stays within 0 and 1 and is no point where all or none are right.
    """
    if count <= 0:
        return 0.0, 1.0
    p = right / count
    middle = (p + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))
