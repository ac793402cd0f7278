"""An attack on the magnitudes of a sound's short-time spectrum, heard after resynthesis."""

from __future__ import annotations

import math

import torch

from mirguard.attacks.oracle import Oracle
from mirguard.channel.griffin_lim import griffin_lim, unit
from mirguard.channel.stft import Stft

ROUNDS = 4  # of Griffin–Lim at each step


def spectral(
    oracle: Oracle,
    *,
    steps: int,
    step_size: float,
    window: int,
    hop: int,
    phase: str,
    valid_stft: bool,
    loss: str,
) -> None:
    """Accelerated projected gradient on magnitude frames Y inside an SNR ball (Kereliuk, Sturm & Larsen 2015, §IV).

        Y ← Π(V − μ ∇J/‖∇J‖),  Π: Y ≥ 0 and ‖Y − X₀‖ ≤ ‖X₀‖·10^(−SNR/20)
        V ← Π(Y + (t₋ − 1)/t · (Y − Y₋)),  t = ½ + √(1 + 4t₋²)/2

    What the model hears is δ = A(V e^{iφ}) − x at the clip's own rate, with x's phases φ or, `phase` = "griffin-lim", those that
    fit V; ∇J = Re(e^{−iφ} A*∇_δJ), with found phases taken as given. V is projected too: their program hands on what lies
    beyond the ball, negative magnitudes among it. With `valid_stft` Y are magnitudes of a sound, |S A(Y e^{iφ})|.
    Where ε bounds the largest sample, the ball is that of RMS ε, in which all such δ lie."""
    problem, n = oracle.problem, oracle.problem.size
    stft = Stft(window, hop)
    x = problem.sound
    spectra = stft.forward(x)
    origin, own = spectra.abs(), unit(spectra)
    del spectra
    per_amplitude = math.sqrt(stft.mean_square * n)  # ‖SΔ‖ of a Δ of RMS 1
    radius = per_amplitude * problem.epsilon
    length = per_amplitude * step_size * problem.scale

    def inside(y: torch.Tensor) -> torch.Tensor:
        away = y.clamp_min_(0.0).sub_(origin)
        return away.mul_((radius / stft.norm(away).clamp_min(1e-30)).clamp_max(1.0)[:, None, None]).add_(origin)

    def phases(y: torch.Tensor) -> torch.Tensor:
        return own if phase == "original" else griffin_lim(stft, y, own, n, ROUNDS)

    def heard(y: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
        return problem.project(stft.inverse(y * turn, n) - x)

    oracle.plan(steps)
    v = y = origin
    t = 1.0
    for _ in range(steps):
        turn = phases(v)
        g = oracle.gradient(heard(v, turn), loss)
        slope = (stft.inverse_adjoint(g) * turn.conj()).real
        slope /= slope.abs().amax((1, 2), keepdim=True).clamp_min(1e-37)  # gradients may be as small as float32 goes
        last, y = y, inside(v - (length / stft.norm(slope).clamp_min(1e-12))[:, None, None] * slope)
        if valid_stft:
            y = inside(stft.forward(stft.inverse(y * turn, n)).abs())
        before, t = t, 0.5 + math.sqrt(1.0 + 4.0 * t * t) / 2.0
        v = inside(y + (before - 1.0) / t * (y - last))
    oracle.logits(heard(y, phases(y)))
