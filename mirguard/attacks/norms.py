"""Norms of a perturbation as amplitudes of full scale, and what attacks need of each: size, ball, steepest direction, noise.

l1     mean|δ| = ‖δ‖₁/n        s(g) = sign(g) where |g| is in the largest hundredth, 0 elsewhere, over its mean
l2     RMS(δ) = ‖δ‖₂/√n        s(g) = g/RMS(g)
linf   max|δ|                  s(g) = sign(g)
"""

from __future__ import annotations

import math

import torch

from mirguard.attacks.budget import L1, L2, LINF

PART = 1 << 16  # samples


class Norm:
    """What all norms have in common."""

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """s(g) `(rows, n)`: the direction of steepest ascent at unit size; 0 where the gradient is 0."""
        raise NotImplementedError

    def descend_(self, delta: torch.Tensor, gradient: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """δ ← δ − length·s(g) in place, `length (rows,)`."""
        return delta.addcmul_(self.steepest(gradient), length[:, None], value=-1.0)


class AbsoluteNorm(Norm):
    """δ measured by the mean of |δ|: small ones are few samples, of any height."""

    name = L1
    TOP = 0.01  # of the samples take part in a step

    def size(self, delta: torch.Tensor) -> torch.Tensor:
        return delta.abs().mean(1)

    def project_(self, delta: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        """Onto Σ|δ| ≤ nε: all samples shrink by the same θ, those below it vanish (Duchi et al. 2008, fig. 1)."""
        rows = (self.size(delta) > epsilon).nonzero()[:, 0]
        if not len(rows):
            return delta
        size = delta[rows].abs()
        radius = (epsilon[rows] * delta.shape[1]).double()[:, None]
        largest = size.double().sort(1, descending=True).values
        count = torch.arange(1, delta.shape[1] + 1, device=delta.device)
        thetas = (largest.cumsum(1) - radius) / count
        last = (largest > thetas).sum(1, keepdim=True) - 1
        theta = thetas.gather(1, last).clamp_min_(0.0).float()
        delta[rows] = delta[rows].sign() * (size - theta).clamp_min_(0.0)
        return delta

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        """Steepest of all is a single sample; steps of many at once are SLIDE's (Tramèr & Boneh 2019, §3.1)."""
        size = gradient.abs()
        kept = max(1, round(self.TOP * gradient.shape[1]))
        least = size.topk(kept, 1).values[:, -1:]
        step = gradient.sign() * (size >= least)
        return step / self.size(step).clamp_min(1e-12)[:, None]

    def draw_(self, row: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Laplacian noise."""
        sign = torch.empty_like(row).uniform_(-1.0, 1.0, generator=generator).sign_()
        row.exponential_(generator=generator).mul_(sign)
        return row.div_(row.abs().mean())


class EuclideanNorm(Norm):
    """δ `(rows, n)` measured by its root mean square."""

    name = L2

    def size(self, delta: torch.Tensor) -> torch.Tensor:
        """`(rows,)`. One norm of a whole song would be short by 1e-4 for 4 million samples and by 2e-3 for 30 million, since
        torch sums in float32: δ would exceed the budget by as much. So it is the norm of the norms of its parts."""
        n = delta.shape[1]
        if n <= PART:
            return torch.linalg.vector_norm(delta, dim=1) / math.sqrt(n)
        parts = [torch.linalg.vector_norm(part, dim=1) for part in delta.split(PART, 1)]
        return torch.linalg.vector_norm(torch.stack(parts), dim=0) / math.sqrt(n)

    def project_(self, delta: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
        """δ moved in place onto the ball of radius `epsilon (rows,)`."""
        return delta.mul_((epsilon / self.size(delta).clamp_min(1e-30)).clamp_max(1.0)[:, None])

    def steepest(self, gradient: torch.Tensor) -> torch.Tensor:
        gradient, size = self._measurable(gradient)
        return gradient / size[:, None]

    def descend_(self, delta: torch.Tensor, gradient: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        # Without an array for s(g).
        gradient, size = self._measurable(gradient)
        return delta.addcmul_(gradient, (length / size)[:, None], value=-1.0)

    def _measurable(self, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The gradient and its size. Gradients may be as small as float32 goes: where their squares would vanish, they are scaled
        by their largest entry first."""
        size = self.size(gradient)
        if bool((size < 1e-15).any()):
            largest = torch.maximum(gradient.amax(1), -gradient.amin(1))
            gradient = gradient / largest.clamp_min(1e-37)[:, None]
            size = self.size(gradient).clamp_min(1e-12)
        return gradient, size

    def draw_(self, row: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Noise `(n,)` of size 1."""
        row.normal_(generator=generator)
        return row.div_(row.square().mean().sqrt())


class MaximumNorm(Norm):
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


NORMS = {norm.name: norm for norm in (AbsoluteNorm(), EuclideanNorm(), MaximumNorm())}
