"""What a network learns to tell apart that is to say whether a sound is adversarial: clean sounds, noisy ones, adversarial ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from mirguard.defences.perturbing import Direction, draw_sizes, evaluating, noise_like, perturb


def three_kinds(
    heard: torch.Tensor,
    network: nn.Module,
    values: Mapping[str, Any],
    draw: torch.Generator,
    lead: Callable[[torch.Tensor], Direction],
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sounds as they are `(n, window)`, every second one with white noise, and all of them with a perturbation of the same size
    that `lead(sign)` leads: `(n + ⌈n/2⌉ + n, window)`, and which of them are adversarial.

    Noise of the same size is no attack: without it what is learned is whether a sound has been touched at all (Feinman et al. 2017
    take noisy sounds for clean ones, too)."""
    epsilon, sign = draw_sizes(heard, values, draw)
    noisy = (heard + noise_like(heard, epsilon, sign, draw)).clamp(-1, 1)[::2]
    with evaluating(network):
        changed = perturb(heard, lead(sign), epsilon, sign, steps=values["steps"])
    sounds = torch.cat([heard, noisy, changed])
    adversarial = torch.arange(len(sounds), device=sounds.device) >= len(heard) + len(noisy)
    return sounds, adversarial


def told_apart(log_odds: torch.Tensor, adversarial: torch.Tensor) -> float:
    """The share of sounds that are judged rightly, where adversarial and other sounds count for the same."""
    right = (log_odds > 0) == adversarial
    return float((right[adversarial].float().mean() + right[~adversarial].float().mean()) / 2)
