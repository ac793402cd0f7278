"""What sound goes through between the file and the model: each effect alone, piece by piece, and its gradient."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from mirguard.channel import chain as chain_module
from mirguard.channel.band import Band
from mirguard.channel.chain import apply, describe, draw, draws, link, parse
from mirguard.channel.effect import list_effects
from mirguard.channel.fir import Filter
from mirguard.channel.level import amplitude
from mirguard.channel.loudspeaker import Saturated
from mirguard.channel.mp3 import RATES, Mp3
from mirguard.channel.noise import Noise
from mirguard.channel.rates import USUAL, Resampled
from mirguard.channel.room import HALF, SPEED, images, response
from mirguard.channel.shift import delay
from mirguard.errors import FileError, UsageError

RATE = 16_000
NAMES = [effect.name for effect in list_effects()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An impulse response: silence, the direct sound, a decaying tail."""
    place = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    h = np.zeros(3000)
    h[100:] = 0.1 * rng.standard_normal(2900) * np.exp(-np.arange(2900) / 400.0)
    h[100] = 0.9
    soundfile.write(place / "response.wav", h, RATE, "FLOAT")
    return place


def some(name: str, folder, **values):
    """The effect with its defaults, or with those that do something at 16 kHz."""
    usual = {"impulse": {"source": str(folder)}, "music": {"source": str(folder)}, "resample": {"high": 12_000}}
    return link(name, **usual.get(name, {}), **values)


def drawn(one, seed: int = 0, rate: int = RATE):
    return draw((one,), rate, torch.Generator().manual_seed(seed))


def white(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# -- Every effect ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [RATE, 44_100])
@pytest.mark.parametrize("name", NAMES)
def test_piece_by_piece_is_the_whole(name, rate, folder):
    n = 150_001 if name == "mp3" else 25_001
    transform, x = drawn(some(name, folder), 3, rate), white(2, n)
    whole = transform(x, 0)
    assert whole.shape == x.shape
    left, right = transform.reach
    for a, b in ((0, n // 4), (n // 4, n // 4 + 1), (n // 4 + 1, n - 300), (n - 300, n)):
        begin, end = max(a - left, 0), min(b + right, n)
        piece = transform(x[:, begin:end], begin)[:, a - begin : b - begin]
        torch.testing.assert_close(piece, whole[:, a:b], rtol=1e-4, atol=2e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mp3"])
def test_gradients_agree_with_finite_differences(name, folder):
    transform = drawn(some(name, folder), 1)
    x = white(2, 3000, dtype=torch.float64).requires_grad_()
    weights, way = white(2, 3000, dtype=torch.float64, seed=7), white(2, 3000, dtype=torch.float64, seed=8)

    def loss(signal: torch.Tensor) -> torch.Tensor:
        return (transform(signal, 0) * weights).sum() + transform(signal, 0).square().sum()

    (gradient,) = torch.autograd.grad(loss(x), x)
    h = 1e-4
    with torch.no_grad():
        slope = (loss(x + h * way) - loss(x - h * way)) / (2 * h)
    assert float((gradient * way).sum()) == pytest.approx(float(slope), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_draw_belongs_to_its_generator_and_not_to_its_rows(name, folder):
    one, x = some(name, folder), white(3, 4000)
    heard = drawn(one, 5)(x, 0)
    torch.testing.assert_close(drawn(one, 5)(x, 0), heard, rtol=0, atol=0)
    torch.testing.assert_close(drawn(one, 5)(x[1], 0), heard[1], rtol=1e-5, atol=1e-6)
    others = (drawn(one, seed)(x, 0) for seed in range(6, 16))
    differ = any(
        not torch.allclose(other, heard) for other in others
    )  # a range of few rates or bitrates may hit one again
    assert differ or name == "impulse", "one response is all there is in the folder"
    assert not torch.allclose(heard, x)


def test_what_does_not_go_together_is_refused(folder, tmp_path):
    for text, words in (
        ("gain:low=3,high=-3", "low is at most high"),
        ("band-pass:low_most=5000,high_least=4000", "low_most is at most high_least"),
        ("room:absorption_low=0.9,absorption_high=0.5", "absorption_low is at most"),
        ("room:absorption_low=2", "from 0.01 to 0.99"),
        ("music", "needs a value"),
        ("hall", "no effect 'hall'"),
        ("gain:loud", "name=value"),
    ):
        with pytest.raises(UsageError, match=words):
            parse(text)
    for name in ("music", "impulse"):
        with pytest.raises(FileError, match="no file or folder"):
            parse(f"{name}:source={tmp_path / 'nowhere.wav'}")
        with pytest.raises(UsageError, match="no sound file in the folder"):
            drawn(parse(f"{name}:source={tmp_path}"))
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), RATE)
    with pytest.raises(UsageError, match="silent"):
        drawn(parse(f"impulse:source={tmp_path / 'silent.wav'}"))


# -- Filters -----------------------------------------------------------------------------------------------------------


@given(
    n=st.integers(1, 9000), taps=st.integers(1, 1500), first=st.integers(-2000, 2000), seed=st.integers(0, 9)
)  # fmt: skip
def test_a_filter_is_a_convolution_and_its_gradient_the_adjoint(n, taps, first, seed):
    x, h = white(n, dtype=torch.float64, seed=seed).requires_grad_(), white(taps, dtype=torch.float64, seed=seed + 1)
    y = Filter(h, first)(x)
    whole = np.convolve(x.detach().numpy(), h.numpy())
    expected = np.array([whole[t - first] if 0 <= t - first < len(whole) else 0.0 for t in range(n)])
    np.testing.assert_allclose(y.detach().numpy(), expected, atol=1e-12)
    v = white(n, dtype=torch.float64, seed=seed + 2)
    (back,) = torch.autograd.grad(y, x, v)
    assert float((y.detach() * v).sum()) == pytest.approx(float((x.detach() * back).sum()), abs=1e-10)


def magnitude(band: Band, rate: int, hz: np.ndarray) -> np.ndarray:
    """|H| at frequencies, from the response to an impulse."""
    impulse = torch.zeros(1 << 15, dtype=torch.float64)
    impulse[1 << 14] = 1.0
    h = band(impulse).numpy()
    return np.abs(np.exp(-2j * np.pi * np.outer(hz, np.arange(len(h))) / rate) @ h)


@pytest.mark.parametrize("rate", [8_000, RATE, 44_100])
@pytest.mark.parametrize("edges", [(1000.0, 3000.0), (0.0, 2000.0), (500.0, 1e6), (100.0, 200.0)])
def test_a_band_passes_what_lies_inside_and_nothing_outside(edges, rate):
    low, high = edges
    nyquist = rate / 2
    band = Band(edges, rate)
    spare = max(40.0, min([edge / 4 for edge in edges if 0 < edge < nyquist]))
    inside = np.linspace(low + spare if low else 0.0, min(high - spare, nyquist) if high < nyquist else nyquist, 60)
    assert np.abs(magnitude(band, rate, inside) - 1.0).max() < 2e-4
    outside = np.concatenate(
        [
            np.linspace(0, low - spare, 30) if low else [],
            np.linspace(high + spare, nyquist, 60) if high < nyquist else [],
        ]
    )
    assert 20 * np.log10(magnitude(band, rate, outside).max()) < -79.0


def test_a_band_without_edges_changes_nothing_and_a_narrow_one_keeps_its_middle():
    x = white(2, 5000)
    torch.testing.assert_close(Band((0.0, 8_000.0), RATE)(x), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(Band((0.0, 1e9), RATE)(x), x, rtol=0, atol=1e-6)
    for edges in ((1000.0, 1010.0), (3999.0, 4001.0), (100.0, 140.0)):
        assert magnitude(Band(edges, RATE), RATE, np.array([sum(edges) / 2]))[0] == pytest.approx(1.0, abs=1e-6)


def test_a_band_is_its_own_adjoint():
    band = Band((300.0, 2500.0), RATE)
    x, y = white(1, 6000, dtype=torch.float64), white(1, 6000, dtype=torch.float64, seed=1)
    assert float((band(x) * y).sum()) == pytest.approx(float((x * band(y)).sum()), rel=1e-10)
    assert band.direction(x).equal(band.limit(x))


# -- Shift, level, noise, music ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [-37.0, 0.0, 5.0, 2.5, -3.25, 100.001])
def test_a_shift_delays_a_tone_by_parts_of_samples(samples):
    t = torch.arange(4000, dtype=torch.float64)
    late = delay(samples)(torch.sin(0.3 * t + 0.002 * t**1.5))
    there = t - samples
    expected = torch.sin(0.3 * there + 0.002 * there.clamp_min(0) ** 1.5)
    torch.testing.assert_close(late[400:3600], expected[400:3600], rtol=0, atol=1e-4)


def test_a_shift_stays_in_its_range():
    reaches = [drawn(link("shift", most=10.0), seed).reach for seed in range(40)]
    assert max(max(reach) for reach in reaches) <= 160 + 32
    assert any(left > right for left, right in reaches) and any(left < right for left, right in reaches)


def test_levels_are_what_they_say():
    silence = torch.zeros(100_000)
    for seed in range(5):
        heard = drawn(link("noise", low=-40.0, high=-30.0), seed)(silence, 0)
        assert -40.1 < 20 * math.log10(float(heard.square().mean().sqrt())) < -29.9
        factor = float(drawn(link("gain", low=-3.0, high=2.0), seed)(torch.ones(1), 0))
        assert amplitude(-3.0) <= factor <= amplitude(2.0)
    torch.testing.assert_close(Noise(0.1, 7)(silence[:50], 16_380), Noise(0.1, 7)(silence, 0)[16_380:16_430])


def test_other_music_is_looped_at_its_level(folder):
    heard = drawn(some("music", folder, low=-30.0, high=-30.0))(torch.zeros(12_000), 0)
    torch.testing.assert_close(heard[:9000], heard[3000:])
    assert 20 * math.log10(float(heard.square().mean().sqrt())) == pytest.approx(-30.0, abs=1e-3)


# -- Resampling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "lower"), [(RATE, 8_000), (RATE, 11_025), (44_100, 16_000), (48_000, 44_100)])
def test_resampling_keeps_what_is_below_half_the_lower_rate(rate, lower):
    t = torch.arange(rate, dtype=torch.float64) / rate
    below, above = (torch.sin(2 * math.pi * lower * part * t) for part in (0.4, 0.51))
    both, cut = Resampled(rate, lower)((below + above).float(), 0), slice(2000, -2000)
    assert float((both - below)[cut].square().mean().sqrt()) < 2e-5


def test_rates_are_the_usual_ones_within_the_range():
    rates = {drawn(link("resample", low=9_000, high=13_000), seed).parts[0].down for seed in range(40)}
    found = {round(RATE * down.new / down.orig) for down in rates}
    assert found <= {9_000, 13_000, *USUAL} and {11_025, 12_000} <= found
    same = drawn(link("resample", low=16_000, high=48_000))
    x = white(1, 500)
    assert same.reach == (0, 0) and same(x, 0).equal(x)


# -- MP3 ---------------------------------------------------------------------------------------------------------------


def song(n: int, rate: int) -> torch.Tensor:
    """A tune in a little noise, which an encoder can do well."""
    t = torch.arange(n) / rate
    return 0.2 * torch.sin(2 * math.pi * (300 + 200 * torch.sin(3 * t)) * t) + 0.05 * white(n)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("bitrate", [64.0, 320.0])
def test_mp3_is_aligned_to_the_sample(rate, bitrate):
    x = song(2 * rate, rate)
    y = drawn(link("mp3", low=bitrate, high=bitrate), rate=rate)(x, 0)
    assert y.shape == x.shape and not y.equal(x)
    both = torch.fft.irfft(torch.fft.rfft(y, 4 * rate) * torch.fft.rfft(x, 4 * rate).conj())
    assert int(both.argmax()) == 0
    assert float((y - x).square().sum() / x.square().sum()) < 0.05


def test_mp3_forwards_is_the_codec_and_backwards_the_identity():
    x = song(20_000, RATE).requires_grad_()
    y = drawn(link("mp3", low=128.0, high=128.0))(x, 0)
    file = io.BytesIO()
    with soundfile.SoundFile(
        *(file, "w", RATE, 1, "MPEG_LAYER_III"), format="MP3", bitrate_mode="CONSTANT", compression_level=96 / 152
    ) as encoder:
        encoder.write(x.detach().numpy())
    file.seek(0)
    np.testing.assert_allclose(y.detach().numpy(), soundfile.read(file, dtype="float32")[0], atol=1e-6)
    weights = white(20_000, seed=3)
    (gradient,) = torch.autograd.grad((y * weights).sum(), x)
    assert gradient.equal(weights)


@pytest.mark.parametrize("n", [1, 7, 1151, 65_537])
def test_mp3_takes_any_length(n):
    assert drawn(link("mp3"))(song(n, RATE), 0).shape == (n,)


@pytest.mark.parametrize("rate", [12_000, RATE, 44_100])
def test_mp3_has_the_bitrate_asked_for(rate, monkeypatch):
    """For one channel; 48 kbit/s is within every version of MPEG."""
    plain = io.BytesIO
    seen = []
    monkeypatch.setattr("mirguard.channel.mp3.io.BytesIO", lambda: seen.append(plain()) or seen[-1])
    codec = Mp3(48.0, rate)
    codec.coded(white(rate).numpy())  # which measures the delay
    seen.clear()
    for seconds in (1, 3):
        codec.coded(white(seconds * rate).numpy())
    lengths = [len(file.getvalue()) for file in seen]
    assert (lengths[1] - lengths[0]) * 8 / 2000 == pytest.approx(48.0, rel=0.04)


def test_where_there_is_no_mp3_a_sentence_says_so(monkeypatch):
    with pytest.raises(UsageError, match="no sample rate of 96000 Hz"):
        drawn(link("mp3"), rate=96_000)
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": ""})
    with pytest.raises(UsageError, match="libsndfile"):
        drawn(link("mp3"))


# -- Rooms -------------------------------------------------------------------------------------------------------------


def test_images_are_those_of_mirroring_again_and_again():
    """Mirror the source in the six walls, then its images, and so on; each image counts with its fewest reflections."""
    size, source, microphone = np.array([4.0, 5.0, 3.0]), np.array([1.1, 0.7, 2.2]), np.array([2.9, 4.1, 1.3])
    found = {tuple(source): 0}
    newest = [source]
    for order in range(1, 4):
        mirrored = []
        for place in newest:
            for axis in range(3):
                for wall in (0.0, size[axis]):
                    image = place.copy()
                    image[axis] = 2 * wall - place[axis]
                    key = tuple(np.round(image, 9))
                    if key not in {tuple(np.round(k, 9)) for k in found}:
                        found[key] = order
                        mirrored.append(image)
        newest = mirrored
    expected = sorted((order, round(math.dist(place, microphone), 9)) for place, order in found.items())
    distance, reflections = images(size, source, microphone, 3)
    assert sorted((int(r), round(float(d), 9)) for r, d in zip(reflections, distance, strict=True)) == expected


def test_a_room_of_no_reflections_is_no_room():
    h = response(np.array([2.0]), np.array([0]), 0.3, RATE)
    x = white(1000)
    torch.testing.assert_close(h(x), x, rtol=0, atol=1e-6)


def test_the_first_reflection_comes_when_and_as_loud_as_it_must():
    """Sound of 1 m and of 1 m + 100 samples, whose walls swallow 64 %: an amplitude of 0.6 over the distance."""
    late = 1.0 + 100 * SPEED / RATE
    h = response(np.array([1.0, late]), np.array([0, 1]), 0.64, RATE).taps
    direct, echo = float(h[HALF - 1]), float(h[HALF - 1 + 100])
    assert echo / direct == pytest.approx(0.6 / late, rel=1e-6)
    assert float(h.square().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize("absorption", [0.2, 0.5])
def test_a_room_dies_away_as_a_box_must(absorption):
    """No faster than were the sound everywhere alike (Eyring 1930), no slower than to and fro along its longest side."""
    size = np.array([4.0, 5.0, 3.0])
    found = images(size, np.array([1.0, 1.5, 1.2]), np.array([3.1, 3.3, 1.9]), 40)
    power = response(*found, absorption, RATE).taps.square()
    left = 10 * torch.log10(power.flip(0).cumsum(0).flip(0) / power.sum())
    from_5, to_25 = (int((left > level).sum()) for level in (-5.0, -25.0))
    seconds = 3.0 * (to_25 - from_5) / RATE  # T20, extrapolated to 60 dB
    swallowed = -math.log(1 - absorption)  # at each reflection
    everywhere_alike = 6 * math.log(10) * 4 * 60 / (SPEED * 2 * (4 * 5 + 4 * 3 + 5 * 3) * swallowed)
    along = 6 * math.log(10) * 5.0 / (SPEED * swallowed)
    assert everywhere_alike < seconds < along


def test_a_room_begins_with_the_direct_sound_and_keeps_the_level():
    x = white(RATE)
    for seed in range(4):
        room = drawn(link("room"), seed)
        assert room.reach[1] == HALF - 1
        assert float(room(x, 0).square().mean() / x.square().mean()) == pytest.approx(1.0, abs=0.15)


def test_a_measured_response_begins_with_its_peak(folder):
    impulse = torch.zeros(6000)
    impulse[1000] = 1.0
    heard = drawn(some("impulse", folder))(impulse, 0)
    assert int(heard.argmax()) == 1000
    assert float(heard[:1000].abs().max()) < 1e-6
    assert float(heard.square().sum()) == pytest.approx(1.0, abs=1e-4)


def test_a_loudspeaker_rounds_off_what_is_loud():
    x = torch.tensor([0.001, -0.9])
    torch.testing.assert_close(Saturated(2.0)(x, 0), torch.tensor([0.001, -math.tanh(1.8) / 2]), rtol=1e-5, atol=0)


# -- Chains ------------------------------------------------------------------------------------------------------------


def test_a_chain_is_one_after_the_other():
    one, other = Noise(0.1, 3), delay(2.0)
    chained = chain_module.draw((), RATE, torch.Generator()).__class__([other, one])
    x = white(100)
    assert chained(x, 0).equal(one(other(x), 0))
    assert chained.reach == other.reach


def test_a_clip_through_a_chain_has_the_same_draw_in_all_channels(folder, monkeypatch):
    chain = (some("room", folder), some("noise", folder), some("shift", folder))
    x = white(1, 20_000).numpy()
    heard = apply(chain, np.concatenate([x, x, 0.5 * x]), RATE, 4)
    assert heard.dtype == np.float32 and heard.shape == (3, 20_000)
    np.testing.assert_array_equal(heard[0], heard[1])
    assert np.abs(heard[0] - heard[2]).max() > 1e-3
    monkeypatch.setattr(chain_module, "PIECE", 3001)
    np.testing.assert_allclose(apply(chain, x, RATE, 4)[0], heard[0], atol=2e-6)
    assert np.abs(apply(chain, x, RATE, 5) - heard[:1]).max() > 1e-3


def test_what_is_listened_to_is_no_draw_of_an_attack():
    chain = (link("noise"),)
    silence = np.zeros((1, 50), np.float32)
    seen = [
        transform(torch.zeros(1, 50), 0).numpy()
        for look in range(3)
        for transform in draws(chain, RATE, 3, 0)(look)[1:]
    ]
    assert all(np.abs(apply(chain, silence, RATE, seed) - one).max() > 0 for one in seen for seed in range(3))


def test_the_effects_are_described_for_a_person():
    words = describe()
    for effect in list_effects():
        assert effect.name in words and effect.help.endswith(".") and effect.reference
        for parameter in effect.parameters:
            assert parameter.name in words and parameter.help.endswith(".")
