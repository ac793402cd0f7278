"""Norms of a perturbation as amplitudes of full scale, and what attacks need of each: size, ball, steepest direction, noise.

l2     RMS(δ) = ‖δ‖₂/√n        s(g) = g/RMS(g)
linf   max|δ|                  s(g) = sign(g)
"""

from __future__ import annotations

import torch

from mirguard.attacks.budget import L2, LINF


class EuclideanNorm:
    """δ `(rows, n)` measured by its root mean square."""

    name = L2

    def size(self, delta: torch.Tensor) -> torch.Tensor:
        """`(rows,)`. Not by torch's `norm`, whose sum in float32 is short by 1e-4 for 4 million samples and by 2e-3 for 30
        million: δ would exceed the budget by as much."""
        return delta.square().mean(1).sqrt()

    def project_(self, delta: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        """δ moved in place onto the ball of radius `epsilon (rows,)`."""
        return delta.mul_((epsilon / self.size(delta).clamp_min(1e-30)).clamp_max(1.0)[:, None])

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """The direction of steepest ascent at unit size; 0 where the gradient is 0.

        Gradients may be as small as float32 goes: where their squares would vanish, they are scaled by their largest entry
        first."""
        size = self.size(gradient)
        if bool((size < 1e-15).any()):
            largest = torch.maximum(gradient.amax(1), -gradient.amin(1))
            gradient = gradient / largest.clamp_min(1e-37)[:, None]
            size = self.size(gradient).clamp_min(1e-12)
        return gradient / size[:, None]

    def draw_(self, row: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Noise `(n,)` of size 1."""
        row.normal_(generator=generator)
        return row.div_(row.square().mean().sqrt())


class MaximumNorm:
    """δ measured by its largest sample."""

    name = LINF

    def size(self, delta: torch.Tensor) -> torch.Tensor:
        return torch.maximum(delta.amax(1), -delta.amin(1))

    def project_(self, delta: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        return delta.clamp_(-epsilon[:, None], epsilon[:, None])

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        return gradient.sign()

    def draw_(self, row: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return row.uniform_(-1.0, 1.0, generator=generator)


NORMS = {norm.name: norm for norm in (EuclideanNorm(), MaximumNorm())}
