"""Taking the level of a sound off its compressed spectrum."""

from __future__ import annotations

import torch


def without_level(x: torch.Tensor) -> torch.Tensor:
    """`(batch, ...)` of log10(1 + gain · power), less the mean of each window.

    How loud a sound is says nothing of what it is, and a network that has to learn so from examples learns it late and badly.
    Unlike dividing by the loudest value, a mean is smooth everywhere and leaves no passage without a gradient.
    """
    return x - x.mean(tuple(range(1, x.ndim)), keepdim=True)
