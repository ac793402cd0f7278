"""Short-time spectra, phases, multi-scale distance and masking threshold as attacks use them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import curved, sounds

from mirguard.analysis.masking import HOP, WINDOW, frame_count, masking_excess, threshold_in_quiet
from mirguard.attacks.restriction import Restriction
from mirguard.channel import stft as stft_module
from mirguard.channel.griffin_lim import griffin_lim, unit
from mirguard.channel.masking import UnderThreshold
from mirguard.channel.multiscale import LEVEL, SIZES, MultiscaleDistance
from mirguard.channel.stft import Stft
from mirguard.clip import Clip
from mirguard.errors import UsageError
from mirguard.experiment import attack

RATE = 22_050


def music(seconds: float = 1.0, rate: int = RATE, level: float = 0.1) -> torch.Tensor:
    """Partials of a few notes that die away, `(1, n)`."""
    t = torch.arange(round(seconds * rate)) / rate
    notes = [torch.sin(2 * torch.pi * k * f * t) / k * torch.exp(-3 * t) for f in (220, 277, 330) for k in range(1, 9)]
    return level * torch.stack(notes).sum(0)[None]


def noise(like: torch.Tensor, snr: float, seed: int = 0) -> torch.Tensor:
    draw = torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))
    return draw * like.square().mean(1, keepdim=True).sqrt() * 10 ** (-snr / 20)


# -- The short-time Fourier transform ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "hop"), [(1024, 512), (2048, 512), (64, 16)])
@pytest.mark.parametrize("n", [1, 5, 64, 513, 5000])
@pytest.mark.parametrize("block", [1 << 18, 3 * 1024])
def test_the_inverse_and_its_adjoint_are_exact(monkeypatch, size, hop, n, block):
    """A S x = x, ⟨A Z, g⟩ = ⟨Z, A* g⟩, ‖S x‖² = Σ D x²; in however many blocks, and for sounds shorter than a window."""
    monkeypatch.setattr(stft_module, "BLOCK", block)
    stft, generator = Stft(size, hop), torch.Generator().manual_seed(n)
    x, g = torch.randn(2, 2, n, generator=generator)
    spectra = stft.forward(x)
    torch.testing.assert_close(stft.inverse(spectra, n), x, rtol=1e-4, atol=1e-5)
    z = torch.randn(spectra.shape, dtype=torch.complex64, generator=generator)
    z[..., [0, -1]] = z[..., [0, -1]].real.to(z.dtype)
    inner = (z.conj() * stft.inverse_adjoint(g)).real
    whole = 2 * inner.sum() - inner[..., [0, -1]].sum()
    assert float((stft.inverse(z, n) * g).sum()) == pytest.approx(float(whole), rel=1e-3, abs=1e-3)
    torch.testing.assert_close(
        stft.norm(spectra.abs()).square(), (stft.around(x) * x.square()).sum(1), rtol=1e-4, atol=0
    )
    torch.testing.assert_close(stft.norm(spectra.abs()), torch.linalg.vector_norm(torch.fft.fft(
        torch.nn.functional.pad(x, (stft.lead, stft.frames(n) * hop + size - n)).unfold(1, size, hop)[:, : stft.frames(n)]
        * stft.window, norm="ortho").flatten(1), dim=1), rtol=1e-4, atol=1e-5)  # fmt: skip


def test_windows_that_no_hops_make_are_refused():
    for size, hop in ((1024, 500), (1024, 1024), (15, 5), (64, 0)):
        with pytest.raises(UsageError, match="whole hops"):
            Stft(size, hop)


def test_griffin_lim_keeps_a_sounds_own_phases_and_finds_some_for_others():
    stft, x = Stft(512, 128), music(0.4)
    own, n = stft.forward(x), x.shape[1]
    kept = griffin_lim(stft, own.abs(), unit(own), n, 5)
    torch.testing.assert_close(stft.inverse(own.abs() * kept, n), x, rtol=0, atol=1e-4)

    def inconsistency(phase: torch.Tensor) -> float:
        return float(
            stft.norm(stft.forward(stft.inverse(own.abs() * phase, n)).abs() - own.abs()) / stft.norm(own.abs())
        )

    angles = 2 * torch.pi * torch.rand(own.shape, generator=torch.Generator().manual_seed(0))
    chance = torch.polar(torch.ones_like(angles), angles)
    assert inconsistency(griffin_lim(stft, own.abs(), chance, n, 60)) < 0.5 * inconsistency(chance)
    assert unit(torch.zeros(1, 1, 1, dtype=torch.complex64)) == 1.0


# -- Spectra of many sizes ---------------------------------------------------------------------------------------------


def multiscale(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The formula with torch's own STFT, in double precision, of x and y already at their level."""
    total = torch.zeros((), dtype=torch.float64)
    for size in SIZES:
        lead = size - size // 4
        count = (x.shape[1] - 1 + lead) // (size // 4) + 1
        long = (count - 1) * (size // 4) + size
        a, b = (
            torch.stft(
                torch.nn.functional.pad(s, (lead, long - lead - s.shape[1])), size, size // 4,
                window=torch.hann_window(size, dtype=torch.float64), center=False, return_complex=True,
            ).abs()
            for s in (x, y)
        )  # fmt: skip
        total = total + (a - b).abs().mean() + (torch.log(a + 1e-7) - torch.log(b + 1e-7)).abs().mean()
    return total


@pytest.mark.parametrize("n", [100, 3000])
@pytest.mark.parametrize("level", [1.0, 1e-4])
def test_the_multiscale_gradient_is_the_formulas(n, level):
    """Also where the sound is shorter than a window, and for quiet sounds, which count as if they were loud."""
    x, delta = level * sounds(1, n, 1), level * 0.02 * sounds(1, n, 2)
    found = MultiscaleDistance(x).gradient(delta)
    unit_of = LEVEL / x.square().mean().sqrt().double()
    leaf = delta.double().requires_grad_()
    (expected,) = torch.autograd.grad(multiscale(x.double() * unit_of, (x + leaf) * unit_of), leaf)
    assert float((found - expected).norm() / expected.norm()) < 0.01


def test_the_multiscale_gradient_is_0_without_a_perturbation_and_finite_in_silence():
    x = torch.cat([music(0.1), torch.zeros(1, 2205)])
    distance = MultiscaleDistance(x)
    assert not distance.gradient(torch.zeros_like(x)).any()
    assert torch.isfinite(distance.gradient(1e-3 * noise(music(0.1), 0).expand(2, -1))).all()


# -- The masking threshold ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100])
def test_masker_and_perturbation_are_measured_as_in_the_reading(rate):
    """Of a perturbation away from the ends, the summed excess is that of `masking_excess`: one spectrum, one playback level."""
    x = music(0.6, rate)
    delta = noise(x, 20.0)
    n = x.shape[1]
    delta[:, :WINDOW] = delta[:, (frame_count(n) - 1) * HOP - WINDOW :] = 0.0
    under = UnderThreshold(x, rate)
    found = float(under.excess(delta)[0]) * under.stft.frames(n) * under.stft.bins
    mean, share = masking_excess(x[0].numpy(), delta[0].numpy(), rate)
    assert share > 0.05
    assert found == pytest.approx(mean * share * frame_count(n) * under.stft.bins, rel=1e-3)


def test_the_excess_has_a_finite_gradient_everywhere():
    x = music(0.3)
    under = UnderThreshold(torch.cat([x, torch.zeros_like(x)]), RATE)
    for delta in (torch.zeros(2, x.shape[1]), noise(x, 20.0).expand(2, -1)):
        leaf = delta.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(under.excess(leaf).sum(), leaf)
        assert torch.isfinite(gradient).all()
        assert bool(gradient.any()) is bool(delta.any())
    slope = float((gradient * delta).sum())
    step = 1e-2
    measured = float((under.excess((1 + step) * delta) - under.excess((1 - step) * delta)).sum()) / (2 * step)
    assert measured == pytest.approx(slope, rel=0.01)


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("snr", [10.0, 30.0])
def test_what_is_limited_is_masked(rate, snr):
    """White noise at 10 and 30 dB: nearly all bins come under the threshold, and what was there stays."""
    x = music(1.0, rate)
    delta = noise(x, snr)
    limited = UnderThreshold(x, rate).limit(delta)
    (before, share_before), (after, share) = (
        masking_excess(x[0].numpy(), d[0].numpy(), rate) for d in (delta, limited)
    )
    assert share_before > 0.15
    assert share < 0.05
    assert share * after < 0.02 * share_before * before
    masked = 1e-6 * x
    torch.testing.assert_close(UnderThreshold(x, rate).limit(masked), masked, rtol=1e-3, atol=1e-10)


def test_nothing_hides_at_the_beginning():
    """The first sample weighs nothing in a Hann window that begins there."""
    x = music(0.5)
    click = torch.zeros_like(x)
    click[0, 0] = 0.1
    assert masking_excess(x[0].numpy(), click[0].numpy(), RATE)[1] == 0.0
    under = UnderThreshold(x, RATE)
    assert float(under.excess(click)[0]) > 0.01
    assert float(under.limit(click).abs().max()) < 0.05


def test_silence_leaves_the_threshold_in_quiet():
    """Full scale is then 96 dB: a tone at 1 kHz may have the 3 dB at which hearing begins there, no more."""
    silence = torch.zeros(1, RATE)
    bin_ = round(1000 * WINDOW / RATE)
    hz = bin_ * RATE / WINDOW
    tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE) / RATE)[None]
    under = UnderThreshold(silence, RATE)
    quiet = float(threshold_in_quiet(np.array([hz]))[0])
    inner = slice(4, under.stft.frames(RATE) - 4)
    for above, heard in ((-1.0, False), (1.0, True)):
        spectra = under.stft.forward(10 ** ((quiet + above - 96.0) / 20.0) * tone)
        assert bool((spectra.abs()[0, inner, bin_] > under.amplitude[0, inner, bin_]).all()) is heard


def test_the_threshold_is_that_of_each_row_and_of_its_level():
    x = torch.cat([music(0.3), 0.01 * music(0.3)])
    under = UnderThreshold(x, RATE)
    torch.testing.assert_close(under.amplitude[1], 0.01 * under.amplitude[0], rtol=1e-4, atol=0)
    delta = noise(x, 20.0)
    rows = torch.tensor([1])
    torch.testing.assert_close(under.excess(delta)[rows], under.excess(delta[rows], rows))


def test_memory_and_blocks_change_nothing(monkeypatch):
    x = music(1.0)
    delta, under = noise(x, 20.0), UnderThreshold(x, RATE)
    whole = under.limit(delta), under.excess(delta), MultiscaleDistance(x).gradient(delta)
    monkeypatch.setattr(stft_module, "BLOCK", 4 * WINDOW)
    parts = under.limit(delta), under.excess(delta), MultiscaleDistance(x).gradient(delta)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_an_attack_may_be_restricted_to_what_is_masked():
    model = curved(seed=1)
    clip = Clip(sounds(1, 12_000, 3).numpy(), 16_000)
    free, kept = (
        attack(model, clip, "pgd", snr=10, steps=40, subtype="FLOAT", restriction=restriction)
        for restriction in (Restriction(), Restriction(masked=True))
    )
    readings = [masking_excess(clip.mono(), outcome.perturbation.samples[0], 16_000) for outcome in (free, kept)]
    assert readings[1][1] < 0.02
    assert readings[0][1] > 2 * readings[1][1]
    assert np.abs(kept.perturbation.samples).max() > 0
