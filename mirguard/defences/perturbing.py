"""Adversarial sounds made while a network learns, small gradient steps on the waveform through front end and network.

Their size is set as an SNR: ε = RMS(x)·10^(−SNR/20) is the RMS of δ for L2 and the largest |δ| for L∞. (A perturbation of sign
values has both; the SNR of any smaller one is larger.)

The network is in evaluation mode meanwhile. It is in that mode when somebody attacks it, so that is the function to be made
robust; in training mode its answer for a sound would depend on the others of the batch, and the running statistics would learn from
sounds that are only half made. The update that follows is made in training mode, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.decision import SINGLE_LABEL

L2, LINF, BOTH = "l2", "linf", "both"
FGSM, PGD = "fgsm", "pgd"
STRIDE = 2.5  # PGD's steps together, in ε: enough to reach any point of the ball from any other (Madry et al. 2018)

# Waveforms `(batch, window)` with a graph -> what each row's perturbation makes larger `(batch,)`.
Loss = Callable[[torch.Tensor], torch.Tensor]
# The way to go at waveforms, of size 1 in each row's norm `(batch, window)`.
Direction = Callable[[torch.Tensor], torch.Tensor]


def class_loss(front_end: nn.Module, logits: Callable[[torch.Tensor], torch.Tensor], own: torch.Tensor) -> Loss:
    """J(x, y) of the classes to leave, `own (batch,)`: the cross-entropy over the labels, for a tagger over the tags' log-odds, so
    that leaving a tag also lifts its rivals."""

    def loss(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits(front_end(x)), own, reduction="none")

    return loss


def own_classes(wanted: torch.Tensor, task: str) -> torch.Tensor:
    """The class that each row is to leave `(batch,)`: its label, for a tagger the first of its tags."""
    return wanted if task == SINGLE_LABEL else wanted.argmax(1)


def uphill(loss: Loss, sign: torch.Tensor) -> Direction:
    """The direction in which `loss` rises most; `sign (batch, 1)` says which rows are measured by L∞."""

    def direction(x: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (g,) = torch.autograd.grad(loss(x).sum(), x)
        return steepest(g, sign)

    return direction


def draw_sizes(x: torch.Tensor, values: Mapping[str, Any], draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """For each row ε `(batch, 1)`, of an SNR drawn evenly within `spread` dB of `snr`, and whether it is measured by L∞ `(batch,
    1)`; `norm` "both" draws that, too."""
    rows = len(x)
    snr = values["snr"] + values["spread"] * (2 * torch.rand(rows, 1, generator=draw) - 1)
    level = x.square().mean(1, keepdim=True).sqrt()
    sign = torch.rand(rows, 1, generator=draw) < 0.5
    if values["norm"] != BOTH:
        sign = torch.full_like(sign, values["norm"] == LINF)
    return level * 10 ** (-snr.to(x.device) / 20), sign.to(x.device)


def steepest(g: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """The direction of size 1 that g rises most in: sign(g) for L∞, g/RMS(g) for L2."""
    rms = g.square().mean(1, keepdim=True).sqrt().clamp_min(torch.finfo(g.dtype).tiny)
    return torch.where(sign, g.sign(), g / rms)


def project(delta: torch.Tensor, epsilon: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    """The nearest δ whose largest value (L∞) or RMS (L2) is at most ε."""
    rms = delta.square().mean(1, keepdim=True).sqrt().clamp_min(torch.finfo(delta.dtype).tiny)
    return torch.where(sign, delta.clamp(-epsilon, epsilon), delta * (epsilon / rms).clamp(max=1.0))


def noise_like(x: torch.Tensor, epsilon: torch.Tensor, sign: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    """White noise of full size ε: uniform for L∞, Gaussian for L2."""
    uniform = 2 * torch.rand(x.shape, generator=draw) - 1
    gaussian = torch.randn(x.shape, generator=draw)
    gaussian = gaussian / gaussian.square().mean(1, keepdim=True).sqrt()
    return epsilon * torch.where(sign, uniform.to(x.device), gaussian.to(x.device))


def perturb(
    x: torch.Tensor,
    direction: Direction,
    epsilon: torch.Tensor,
    sign: torch.Tensor,
    *,
    steps: int,
    draw: torch.Generator | None = None,
) -> torch.Tensor:
    """x + δ in ±1 `(batch, window)`, δ inside the budget, led by `direction`.

    Without `draw`, from δ = 0, each step ε/steps long: of one step, that is FGSM, x + ε·s(∇J) (Goodfellow, Shlens and Szegedy 2015,
    §4). With it, PGD (Madry et al. 2018, eq. 4): from a random point of the ball, `steps` steps of 2.5 ε/steps.
    """
    if draw is None:
        delta, stride = torch.zeros_like(x), epsilon / steps
    else:
        delta, stride = noise_like(x, epsilon, sign, draw), STRIDE * epsilon / steps
    for _ in range(steps):
        delta = project(delta + stride * direction((x + delta).clamp(-1, 1)), epsilon, sign)
    return (x + delta).clamp(-1, 1)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and back as it was."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
