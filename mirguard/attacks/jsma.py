"""The Jacobian-based saliency map attack (Papernot et al. 2016) on parts of a sound, which become louder or quieter."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mirguard.attacks.oracle import Oracle
from mirguard.channel.stft import Stft

SIZE, HOP = 1024, 256  # samples of the transform behind the patches
PATCH = (4, 8)  # frames and bins of a patch
SHORTLIST = 64  # best single features, of which pairs are made


def jsma(
    oracle: Oracle,
    *,
    features: str,
    block: int,
    theta: float,
    gamma: float,
    rounds: int,
    saliency: str,
    direction: str,
    outputs: str,
) -> None:
    """Step by step the most salient feature, or pair of features, is changed by θ, at the most ⌊γM⌋ of M (Papernot et al. 2016,
    alg. 2 and 3); a feature that cannot go on leaves the search. A song has thousands of features: where there are more changes
    to make than `rounds`, each round makes as many of them at once, the most salient first.

    The sound is the sum of its M parts, x = Σ c_i: patches of its short-time spectrum with the phase they have, or blocks of
    samples. The features are the parts' gains: δ = Σ a_i c_i with a from -1 (silent) to 1 (twice as loud), ∂F/∂a_i = ⟨∂F/∂x, c_i⟩,
    so that memory is linear in the clip. With α_i = ∂F_t/∂a_i and β_i = Σ_{j≠t} ∂F_j/∂a_i the map is

        S_i  = α_i·|β_i| where α_i > 0 and β_i < 0, else 0                         "single" (the survey's)
        S_pq = (α_p + α_q)·|β_p + β_q| where the sums are > 0 and < 0, else 0      "pairs", of the best 64 single features

    With `direction` "both" each feature may also fall, with α_i and β_i negated (Papernot's θ < 0): it goes where F_t rises.
    F are the logits (JSMA-Z) or the softmax (JSMA-F), where β = −α. Untargeted, t is the runner-up. Silence has no parts."""
    problem = oracle.problem
    parts = Patches(problem.sound) if features == "spectrogram-patches" else Blocks(problem.sound, block)
    target = problem.targets
    if target is None:
        target = oracle.logits(problem.zeros()).scatter(1, problem.labels[:, None], -torch.inf).argmax(1)
    each = 1 if saliency == "single" else 2
    changes = int(gamma * parts.count / each)
    at_once = max(1, -(-changes // rounds))
    oracle.plan(2 * -(-changes // at_once))

    def likelihood(z: torch.Tensor) -> torch.Tensor:
        return z if outputs == "logits" else F.softmax(z, 1)

    def own(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return likelihood(z).gather(1, target[rows, None])[:, 0]

    def others(z: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return likelihood(z).scatter(1, target[rows, None], 0.0).sum(1)

    gains = torch.zeros(problem.rows, parts.count, device=problem.device)
    delta = problem.zeros()
    choose = best_single if saliency == "single" else best_pair
    for made in range(0, changes, at_once):
        alpha, beta = (parts.slopes(oracle.gradient(delta, of, is_loss=False)) for of in (own, others))
        sign = torch.where(alpha < 0, -1.0, 1.0) if direction == "both" else torch.ones_like(alpha)
        free = (gains + theta * sign).abs() <= 1.0 + 1e-6
        chosen = torch.zeros_like(free)
        for _ in range(min(at_once, changes - made)):
            chosen |= choose(sign * alpha, sign * beta, free & ~chosen)
        oracle.finish(~chosen.any(1))
        gains = gains + theta * sign * chosen
        delta = problem.project(parts.sum(gains))
    oracle.logits(delta)


def best_single(alpha: torch.Tensor, beta: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Where the map `(rows, M)` is largest: one True a row, none where it is 0."""
    score, best = _map(alpha, beta, free).max(1, keepdim=True)
    return torch.zeros_like(free).scatter(1, best, score > 0)


def best_pair(alpha: torch.Tensor, beta: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    """Where the map of pairs is largest: two True a row, none where it is 0."""
    count = min(SHORTLIST, alpha.shape[1])
    kept = _map(alpha, beta, free).topk(count, 1).indices
    a, b, allowed = (of.gather(1, kept) for of in (alpha, beta, free))
    first, second = torch.triu_indices(count, count, 1, device=alpha.device)
    pairs = _map(a[:, first] + a[:, second], b[:, first] + b[:, second], allowed[:, first] & allowed[:, second])
    score, best = pairs.max(1, keepdim=True)
    both = torch.cat([kept.gather(1, first[best]), kept.gather(1, second[best])], 1)
    return torch.zeros_like(free).scatter(1, both, (score > 0).expand(-1, 2))


def _map(alpha: torch.Tensor, beta: torch.Tensor, free: torch.Tensor) -> torch.Tensor:
    return torch.where((alpha > 0) & (beta < 0) & free, alpha * beta.abs(), 0.0)


class Blocks:
    """`length` samples each; the last may be shorter."""

    def __init__(self, sound: torch.Tensor, length: int) -> None:
        self.sound, self.length, self.count = sound, length, -(-sound.shape[1] // length)

    def slopes(self, gradient: torch.Tensor) -> torch.Tensor:
        """⟨g, c_i⟩ `(rows, M)`."""
        products = gradient * self.sound
        return F.pad(products, (0, -products.shape[1] % self.length)).unflatten(1, (self.count, self.length)).sum(2)

    def sum(self, gains: torch.Tensor) -> torch.Tensor:
        """Σ a_i c_i `(rows, n)`."""
        return gains.repeat_interleave(self.length, 1)[:, : self.sound.shape[1]] * self.sound


class Patches:
    """c_i = A(m_i·Sx), where the masks m_i share out the bins of the short-time Fourier transform S, whose inverse is A."""

    def __init__(self, sound: torch.Tensor) -> None:
        self.stft, self.n = Stft(SIZE, HOP), sound.shape[1]
        self.spectra = self.stft.forward(sound)
        self.shape = tuple(-(-size // patch) for size, patch in zip(self.spectra.shape[1:], PATCH, strict=True))
        self.count = self.shape[0] * self.shape[1]

    def slopes(self, gradient: torch.Tensor) -> torch.Tensor:
        """⟨g, A(m_i·Sx)⟩ = ⟨A*g, m_i·Sx⟩: one transform of the gradient for all patches."""
        products = (self.stft.inverse_adjoint(gradient).conj() * self.spectra).real
        products[..., 1:-1] *= 2.0  # the bins of the other half
        frames, bins = products.shape[1:]
        padded = F.pad(products, (0, -bins % PATCH[1], 0, -frames % PATCH[0]))
        return padded.unflatten(2, (-1, PATCH[1])).unflatten(1, (-1, PATCH[0])).sum((2, 4)).flatten(1)

    def sum(self, gains: torch.Tensor) -> torch.Tensor:
        mask = gains.unflatten(1, self.shape).repeat_interleave(PATCH[0], 1).repeat_interleave(PATCH[1], 2)
        frames, bins = self.spectra.shape[1:]
        return self.stft.inverse(mask[:, :frames, :bins] * self.spectra, self.n)
