"""The differentiable resampler: right against other resamplers and the truth, the same in pieces, with exact gradients."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.signal
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirguard.channel import resample
from mirguard.channel.resample import Resampler

COMMON = [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000, 176400, 192000]
ODD = [(44101, 16000), (16000, 15999), (22051, 16000), (8001, 44100), (44056, 16000)]  # no common factor to speak of
PAIRS = [(rate, 16000) for rate in COMMON] + [(16000, 44100), (44100, 48000), (48000, 22050), (192000, 8000), *ODD]


def whole(resampler: Resampler, signal: torch.Tensor) -> torch.Tensor:
    return part(resampler, signal, 0, resampler.length(signal.shape[-1]))


def part(resampler: Resampler, signal: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Output `[start, stop)`, from no more of the signal than `span` asks for."""
    a, b = resampler.span(start, stop)
    inside = signal[..., max(a, 0) : max(0, min(b, signal.shape[-1]))]
    left = max(0, -a)
    return resampler(torch.nn.functional.pad(inside, (left, b - a - left - inside.shape[-1])), start, stop)


def chord(rate: float, frames: int, highest: float) -> np.ndarray:
    """A sum of sines up to `highest` Hz at unit peak or less, sampled at `rate`."""
    pitches = np.linspace(40.0, highest, 15)
    return np.sin(2 * np.pi * pitches[:, None] * np.arange(frames) / rate + np.arange(15)[:, None]).mean(0)


def db(error: np.ndarray) -> float:
    return 20.0 * math.log10(float(np.abs(error).max()) + 1e-30)


# -- Right -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate_in", "rate_out"), PAIRS)
def test_what_both_rates_can_hold_comes_out_as_it_was(rate_in, rate_out):
    """Against the truth: the same sines sampled at the other rate, up to 0.85 of the lower Nyquist frequency."""
    seconds, highest = 0.25, 0.85 * min(rate_in, rate_out) / 2
    resampler = Resampler(rate_in, rate_out)
    signal = torch.from_numpy(chord(rate_in, int(rate_in * seconds), highest))
    out = whole(resampler, signal).numpy()
    edge = math.ceil((resampler.width + 1) * rate_out / rate_in)  # where the filter reaches beyond the signal
    error = (out - chord(rate_out, len(out), highest))[edge:-edge]
    assert len(error) > 500
    assert db(error) < -110.0


@pytest.mark.parametrize(("rate_in", "rate_out"), [(44100, 16000), (22050, 16000), (48000, 16000), (16000, 44100)])
def test_it_agrees_with_soxr_and_scipy(rate_in, rate_out):
    rng = np.random.default_rng(0)
    lower = min(rate_in, rate_out)
    sos = scipy.signal.butter(12, 0.25 * lower, fs=rate_in, output="sos")
    signal = scipy.signal.sosfiltfilt(sos, rng.standard_normal(rate_in)).copy()
    signal /= np.abs(signal).max()
    out = whole(Resampler(rate_in, rate_out), torch.from_numpy(signal)).numpy()
    inner = slice(rate_out // 10, -rate_out // 10)
    divisor = math.gcd(rate_in, rate_out)
    others = {
        "soxr": soxr.resample(signal, rate_in, rate_out, quality="VHQ"),
        "scipy": scipy.signal.resample_poly(
            signal, rate_out // divisor, rate_in // divisor, window=("kaiser", 12.0), padtype="constant"
        ),
    }
    for name, other in others.items():
        assert len(other) == len(out)
        # scipy's default length leaves it 25 dB less accurate than the others
        assert db((out - other)[inner]) < {"soxr": -90.0, "scipy": -60.0}[name], name


@pytest.mark.parametrize("rate_in", [44100, 48000, 22050])
def test_what_the_lower_rate_cannot_hold_is_gone_instead_of_folded_back(rate_in):
    resampler = Resampler(rate_in, 16000)
    for hz in (8100.0, 8900.0, 0.98 * rate_in / 2):
        tone = torch.from_numpy(np.sin(2 * np.pi * hz * np.arange(rate_in // 2) / rate_in))
        assert db(whole(resampler, tone)[500:-500].numpy()) < -110.0, hz


def test_the_same_rate_changes_nothing():
    signal = torch.randn(3, 1000)
    resampler = Resampler(22050, 22050)
    assert resampler.span(10, 20) == (10, 20)
    assert torch.equal(whole(resampler, signal), signal)


def test_the_length_is_that_of_the_sound_rounded_up():
    assert Resampler(44100, 16000).length(44100) == 16000
    assert Resampler(44100, 16000).length(1) == 1
    assert Resampler(48000, 16000).length(4) == 2
    assert Resampler(8000, 16000).length(3) == 6
    assert Resampler(44101, 16000).length(44102) == 16001


def test_leading_dimensions_are_independent_rows():
    signal = torch.randn(2, 3, 3000, dtype=torch.float64)
    for rates in ((44100, 16000), (44101, 16000)):
        resampler = Resampler(*rates)
        together = whole(resampler, signal)
        assert together.shape == (2, 3, resampler.length(3000))
        for i in range(2):
            for j in range(3):
                assert torch.allclose(together[i, j], whole(resampler, signal[i, j]), atol=1e-13)


def test_single_precision_costs_no_more_than_single_precision():
    signal = torch.from_numpy(chord(44100, 20_000, 5000.0))
    for rates in ((44100, 16000), (44101, 16000)):
        resampler = Resampler(*rates)
        assert (whole(resampler, signal.float()) - whole(resampler, signal)).abs().max() < 2e-6


# -- The same in pieces ------------------------------------------------------------------------------------------------

rates = st.one_of(
    st.tuples(st.sampled_from(COMMON), st.sampled_from(COMMON)),
    st.sampled_from(ODD),
    st.tuples(st.integers(1, 40), st.integers(1, 40)).map(lambda ratio: (ratio[0] * 1000, ratio[1] * 1000)),
)


@settings(max_examples=100)
@given(rates, st.integers(1, 6000), st.data())
def test_pieces_join_to_the_whole(pair, frames, data):
    """Whatever the rates, the length and the cuts; each piece sees only its own span of the input."""
    resampler = Resampler(*pair)
    signal = torch.randn(frames, dtype=torch.float64, generator=torch.Generator().manual_seed(frames))
    expected = whole(resampler, signal)
    length = resampler.length(frames)
    assert len(expected) == length
    cuts = sorted({0, length, *data.draw(st.lists(st.integers(0, length), max_size=4))})
    pieces = [part(resampler, signal, start, stop) for start, stop in itertools.pairwise(cuts)]
    assert torch.allclose(torch.cat(pieces), expected, rtol=0, atol=1e-13)


def test_a_span_is_no_wider_than_a_block_and_the_filter():
    for pair in PAIRS:
        resampler = Resampler(*pair)
        a, b = resampler.span(0, 16000)
        assert b - a <= 16000 * pair[0] / pair[1] + 2 * resampler.width + resampler.orig
        start, stop = resampler.span(160_000, 320_000)
        assert a <= 0 < start < 160_000 * pair[0] / pair[1] < stop or resampler.identity


# -- Gradients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [(44100, 16000), (48000, 16000), (8000, 16000), (44101, 16000), (97, 89)])
def test_gradients_are_those_of_finite_differences(pair):
    resampler = Resampler(*pair)
    generator = torch.Generator().manual_seed(1)
    start, stop = 5, 5 + min(40, 2 * resampler.new)
    a, b = resampler.span(start, stop)
    segment = torch.randn(b - a, dtype=torch.float64, generator=generator, requires_grad=True)

    def objective(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(resampler(x, start, stop)).square().sum()

    (gradient,) = torch.autograd.grad(objective(segment), segment)
    for _ in range(5):
        direction = torch.randn(b - a, dtype=torch.float64, generator=generator)
        step = 1e-5
        slope = (objective(segment + step * direction) - objective(segment - step * direction)) / (2 * step)
        assert (gradient @ direction).item() == pytest.approx(slope.item(), rel=1e-3)


@settings(max_examples=40)
@given(rates, st.integers(1, 3000))
def test_the_gradient_is_the_adjoint(pair, frames):
    """⟨Rx, y⟩ = ⟨x, Rᵀy⟩ for the whole path of a signal, borders included."""
    resampler = Resampler(*pair)
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(2, frames, dtype=torch.float64, generator=generator, requires_grad=True)
    out = whole(resampler, x)
    y = torch.randn(out.shape, dtype=torch.float64, generator=generator)
    (adjoint,) = torch.autograd.grad(out, x, y)
    assert (out * y).sum().item() == pytest.approx((x * adjoint).sum().item(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("pair", [(48000, 16000), (44101, 16000)])
def test_filters_first_used_without_gradients_serve_with_them(pair):
    resample._block.cache_clear()
    resample._phases.cache_clear()
    resampler, signal = Resampler(*pair), torch.randn(5000)
    with torch.inference_mode():
        whole(resampler, signal)
    leaf = signal.clone().requires_grad_()
    whole(resampler, leaf).sum().backward()
    assert float(leaf.grad.abs().max()) > 0
