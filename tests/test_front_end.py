"""The log-mel front end: the same numbers as librosa's, and gradients that can be believed."""

import numpy as np
import pytest
import torch
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.contract import TorchClassifier
from mirguard.models.front_end import LogMel, hz_to_mel, mel_filters, mel_to_hz


@pytest.mark.parametrize(
    "settings", [(16000, 512, 96, 0.0, None), (22050, 2048, 128, 0.0, 8000.0), (44100, 1024, 40, 27.5, 16000.0)]
)
def test_mel_filters_are_librosas(settings):
    import librosa

    rate, n_fft, bands, fmin, fmax = settings
    ours = mel_filters(rate, n_fft, bands, fmin, fmax)
    theirs = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(ours, theirs, atol=1e-8, rtol=1e-6)


def test_mel_scale_goes_there_and_back():
    hz = np.linspace(0, 20_000, 101)
    np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-8)


@pytest.mark.parametrize("pad", ["reflect", "constant", "none"])
def test_log_mel_is_librosas(pad):
    import librosa

    y = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
    centring = {"center": False} if pad == "none" else {"center": True, "pad_mode": pad}
    mel = librosa.feature.melspectrogram(y=y, sr=16000, n_fft=512, hop_length=256, n_mels=96, **centring)
    front = LogMel(16000, 512, 256, 96, pad=pad)
    ours = front(torch.from_numpy(y)[None])[0]
    assert ours.shape == (front.frames(16_000), 96) == mel.T.shape
    np.testing.assert_allclose(ours, np.log10(10_000 * mel.T + 1), atol=1e-4)


def test_natural_logarithm_and_kept_frames():
    x = torch.randn(2, 4096) * 0.1
    whole, kept = LogMel(16000, compression="log"), LogMel(16000, compression="log", frames=10)
    assert kept(x).shape == (2, 10, 96) == (2, kept.frames(4096), 96)
    torch.testing.assert_close(kept(x), whole(x)[:, :10])
    torch.testing.assert_close(whole(x), torch.log(whole.power(x) + 1e-6))


@pytest.mark.parametrize("compression", ["musicnn", "log"])
def test_no_nan_at_silence_and_no_clamp(compression):
    front = LogMel(16000, compression=compression)
    silence = torch.zeros(1, 8000, requires_grad=True)
    (gradient,) = torch.autograd.grad(front(silence).sum(), silence)
    assert torch.isfinite(gradient).all()
    # A sound 100 dB below a loud one in the same clip still has a gradient: nothing is clamped away.
    x = torch.zeros(1, 16_000)
    x[:, :8000] = torch.sin(torch.arange(8000) * 0.3)
    x[:, 8000:] = 1e-5 * torch.sin(torch.arange(8000) * 0.3)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(front(x).sum(), x)
    assert (gradient[:, 10_000:14_000].abs() > 0).float().mean() > 0.99


@pytest.mark.parametrize("compression", ["musicnn", "log"])
def test_gradient_is_the_finite_difference(compression):
    front = LogMel(16000, compression=compression).double()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(1, 4000, generator=generator, dtype=torch.float64) * 0.1
    weights = torch.randn(1, 16, 96, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((front(x) * weights).sum(), x)
    for _ in range(5):
        direction = torch.randn(1, 4000, generator=generator, dtype=torch.float64)
        step = 1e-7
        with torch.no_grad():
            difference = ((front(x + step * direction) - front(x - step * direction)) * weights).sum() / (2 * step)
        assert abs(difference - (gradient * direction).sum()) < 1e-4 * abs(difference)


@pytest.mark.parametrize(
    "wrong", [{"compression": "db"}, {"pad": "wrap"}, {"hop": 0}, {"fmax": 9000.0}, {"fmin": 8000.0}, {"n_mels": 0}]
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        LogMel(16000, **wrong)


def test_a_models_hash_knows_settings_and_not_how_filters_were_rounded():
    def model(**settings):
        front_end = LogMel(8_000, n_fft=256, hop=128, n_mels=8, **settings)
        network = nn.Sequential(nn.Flatten(), nn.Linear(8 * front_end.frames(1_024), 2))
        nn.init.constant_(network[1].weight, 0.1)
        nn.init.zeros_(network[1].bias)
        return front_end, network

    def hash_of(front_end, network):
        return TorchClassifier("m", front_end, network, sample_rate=8_000, window=1_024, labels=("a", "b")).hash

    front_end, network = model()
    plain = hash_of(front_end, network)
    front_end.filters *= 1 + 1e-6  # as another processor might
    assert hash_of(front_end, network) == plain
    assert hash_of(*model(fmin=50.0)) != plain
    network[1].weight[0, 0] += 1e-3
    assert hash_of(front_end, network) != plain
