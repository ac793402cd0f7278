"""Our own front ends and networks: shapes, gradients, and what is saved is what is loaded."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file as read_arrays
from safetensors.torch import save_file

from mirguard.errors import FileError, UsageError
from mirguard.models.architectures import find_architecture, list_architectures
from mirguard.models.front_end import LogMel
from mirguard.models.front_ends import Magnitude, make_front_end
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import read_model_file
from mirguard.models.networks.saved import save_network

RATE, WINDOW, LABELS = 8_000, 4_000, ("low", "middle", "high")
# Small networks for quick tests, and what they hear.
LOG_MEL = {"kind": "log-mel", "n_fft": 256, "hop": 128, "n_mels": 64}
MAGNITUDE = {"kind": "magnitude", "n_fft": 256, "hop": 128}
SMALL = {
    "log-mel-cnn": (LOG_MEL, {"channels": [4, 8, 8], "hidden": 12}),
    "magnitude-mlp": (MAGNITUDE, {"bins": 129, "hidden": [16, 12]}),
    "magnitude-cnn": (MAGNITUDE, {"bins": 129, "channels": [4, 6], "kernel": [4, 32], "step": 4, "hidden": 12}),
    "raw-cnn": ("waveform", {"channels": [4, 6, 6], "kernel": 32, "stride": 8, "hidden": 12}),
    "crnn": (LOG_MEL, {"bands": 64, "channels": [4, 4, 6, 6], "units": 12}),
}
NAMES = tuple(SMALL)


def _built(name: str, seed: int = 0, **settings) -> torch.nn.Module:
    """A small network whose normalisations have seen sound, as after training."""
    torch.manual_seed(seed)
    representation, small = SMALL[name]
    network = find_architecture(name).build(len(LABELS), {**small, **settings})
    front_end = make_front_end(representation, RATE)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(front_end(_sound(4)))
    return network.eval()


def _sound(count: int, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(count, WINDOW)


def _saved(folder, name: str, network=None, **more):
    return save_network(
        folder,
        "small",
        architecture=name,
        network=network or _built(name),
        representation=SMALL[name][0],
        sample_rate=RATE,
        window=WINDOW,
        labels=LABELS,
        title="Small",
        note="A test.",
        **more,
    )


# -- Architectures -------------------------------------------------------------------------------------------------------


def test_the_architectures_are_these():
    assert tuple(architecture.name for architecture in list_architectures()) == NAMES
    with pytest.raises(UsageError, match="did you mean raw-cnn"):
        find_architecture("raw-cn")
    with pytest.raises(UsageError, match="there are log-mel-cnn, "):
        find_architecture("zzz")


@pytest.mark.parametrize("name", NAMES)
def test_each_can_be_built_as_it_comes_and_hears_what_it_is_meant_to_hear(name):
    architecture = find_architecture(name)
    window = architecture.window()
    assert window == 32_000
    front_end = make_front_end(architecture.representation(), architecture.sample_rate, window)
    network = architecture.build(10).eval()
    with torch.no_grad():
        assert network(front_end(torch.zeros(2, window))).shape == (2, 10)
    assert re.search(r"arXiv \d{4}\.\d{5}", sys.modules[network.__module__].__doc__)  # where it comes from
    assert dict(architecture.taps) == network.taps
    assert list(network.taps)[-1] == "hidden"
    rebuilt = architecture.build(10, network.settings)
    assert {k: v.shape for k, v in rebuilt.state_dict().items()} == {
        k: v.shape for k, v in network.state_dict().items()
    }


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("log-mel-cnn", {"chanels": [4]}, "has no setting 'chanels'; it has channels, hidden"),
        ("log-mel-cnn", {"channels": []}, "channels must be a list of 1 to 32"),
        ("log-mel-cnn", {"channels": [4] * 33}, "channels must be a list of 1 to 32"),
        ("log-mel-cnn", {"channels": "44"}, "channels must be a list"),
        ("log-mel-cnn", {"hidden": 0}, "hidden must be a whole number from 1"),
        ("log-mel-cnn", {"hidden": True}, "hidden must be a whole number"),
        ("magnitude-mlp", {"voting": "loud"}, "voting is one of posteriors, logits"),
        ("magnitude-mlp", {"dropout": 1.0}, "dropout must be a number"),
        ("magnitude-mlp", {"bins": 10**9}, "bins must be a whole number from 1 to 65,536"),
        ("magnitude-cnn", {"kernel": [4]}, "kernel must be a list of 2"),
        ("magnitude-cnn", {"bins": 64}, "bins must be a whole number from 400"),
        ("raw-cnn", {"stride": -1}, "stride must be a whole number"),
        ("crnn", {"channels": [4, 4]}, "channels must be a list of 4"),
        ("crnn", {"bands": 63}, "bands must be a whole number from 64"),
    ],
)
def test_settings_that_make_no_sense_get_a_sentence(name, settings, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        find_architecture(name).build(3, settings)


# -- Front ends ----------------------------------------------------------------------------------------------------------


def test_magnitude_of_a_sine_of_full_scale_is_one():
    t = torch.arange(4_096, dtype=torch.float64)
    sine = torch.sin(2 * torch.pi * t * 64 / 1024)[None].float()  # in the middle of bin 64
    root = Magnitude(RATE, 1024, 512, compression="root", gain=1e12)(sine)
    assert root.shape == (1, 9, 513)
    torch.testing.assert_close(root[0, 1:-1, 64], torch.ones(7), atol=1e-4, rtol=0)
    log = Magnitude(RATE, 1024, 512, gain=1e4)(sine)
    torch.testing.assert_close(log[0, 1:-1, 64], torch.full((7,), 4.0), atol=1e-3, rtol=0)
    for pad, frames in (("reflect", 9), ("constant", 9), ("none", 7)):
        front_end = Magnitude(RATE, 1024, 512, pad=pad)
        assert front_end(sine).shape[1] == front_end.frames(4_096) == frames


@pytest.mark.parametrize("compression", ["log", "root"])
def test_magnitudes_have_finite_gradients_at_silence_and_useful_ones_in_quiet(compression):
    front_end = Magnitude(RATE, compression=compression)
    silence = torch.zeros(1, WINDOW, requires_grad=True)
    (gradient,) = torch.autograd.grad(front_end(silence).sum(), silence)
    assert torch.isfinite(gradient).all()
    quiet = (1e-4 * torch.randn(1, WINDOW, generator=torch.Generator().manual_seed(0))).requires_grad_()
    (gradient,) = torch.autograd.grad(front_end(quiet).sum(), quiet)
    assert (gradient.abs() > 0).double().mean() > 0.99


def test_a_table_makes_the_front_end_that_it_declares():
    front_end = make_front_end({**LOG_MEL, "fmin": 30, "compression": "log"}, RATE, WINDOW)
    heard = _sound(2)
    torch.testing.assert_close(front_end(heard), LogMel(RATE, 256, 128, 64, 30.0, compression="log")(heard))
    assert torch.equal(make_front_end("waveform", RATE)(heard), heard)


@pytest.mark.parametrize(
    ("representation", "says"),
    [
        ("spectrum", "'waveform' or a table"),
        ({}, "kind is one of log-mel, magnitude"),
        ({"kind": ["log-mel"]}, "kind is one of"),
        ({"kind": "log-mel", "nfft": 512}, "no setting 'nfft'"),
        ({"kind": "magnitude", "n_mels": 40}, "no setting 'n_mels'"),
        ({"kind": "log-mel", "n_fft": 512.0}, "n_fft must be a whole number"),
        ({"kind": "log-mel", "n_fft": 1 << 40}, "n_fft must be a whole number from 16 to 65,536"),
        ({"kind": "log-mel", "fmin": float("nan")}, "fmin must be a number"),
        ({"kind": "log-mel", "fmax": 9_000.0}, "within 0 and 4000 Hz"),
        ({"kind": "log-mel", "hop": 1024}, "0 < hop <= n_fft"),
        ({"kind": "log-mel", "pad": 3}, "pad must be a text"),
        ({"kind": "log-mel", "pad": "wrap"}, "padding is one of"),
        ({"kind": "magnitude", "compression": "db"}, "compression is one of log, root"),
        ({"kind": "magnitude", "gain": 0}, "gain must be a number"),
        ({"kind": "magnitude", "n_fft": 16_384}, "too short"),
        ({"kind": "log-mel", "n_fft": 65_536, "pad": "reflect"}, "too short"),
        ({"kind": "log-mel", "n_fft": 65_536, "hop": 1, "pad": "constant"}, "enormous"),
        ({"kind": "log-mel", "n_fft": 65_536, "hop": 9_000, "n_mels": 4_096, "pad": "constant"}, "n_mels is too large"),
    ],
)
def test_tables_that_make_no_sense_get_a_sentence(representation, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        make_front_end(representation, RATE, WINDOW)


# -- Networks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_batch_mates_do_not_matter(name, tmp_path):
    model = load_model_file(_saved(tmp_path, name))
    heard = _sound(5)
    together = model.logits(heard)
    assert together.shape == (5, 3)
    alone = torch.cat([model.logits(window[None]) for window in heard])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_layers_can_be_read_and_the_last_is_the_last_hidden_one(name, tmp_path):
    model = load_model_file(_saved(tmp_path, name))
    heard = _sound(4)
    found, logits = model.features(heard, model.layers)
    assert model.layers == tuple(model.network.taps)
    assert all(layer.ndim == 2 and len(layer) == 4 for layer in found.values())
    assert found["hidden"].shape == (4, 12)
    torch.testing.assert_close(model.network.out(found["hidden"]), logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_reaches_the_waveform_and_is_the_slope(name):
    network, front_end = _built(name).double(), make_front_end(SMALL[name][0], RATE).double()
    generator = torch.Generator().manual_seed(1)
    heard = 0.1 * torch.randn(2, WINDOW, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, 3, generator=generator, dtype=torch.float64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (network(front_end(x)) * weights).sum()

    leaf = heard.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf), leaf)
    assert (gradient.abs().amax(1) > 0).all()
    # Along the gradient, where the slope is steepest; rectifiers and maxima are smooth on so short a way, nearly always.
    along = gradient / gradient.norm()
    step = 1e-7
    with torch.no_grad():
        slope = (loss(heard + step * along) - loss(heard - step * along)) / (2 * step)
    assert float(slope) == pytest.approx(float(gradient.norm()), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_silence_has_finite_gradients_and_quiet_sounds_have_useful_ones(name, tmp_path):
    model = load_model_file(_saved(tmp_path, name))
    heard = torch.cat([torch.zeros(1, WINDOW), _sound(1, 1e-4)]).requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(heard).square().sum(), heard)
    assert torch.isfinite(gradient).all()
    assert (gradient[1] != 0).double().mean() > 0.9


def test_frames_vote_by_posteriors_or_by_logits():
    by_logits, by_posteriors = (_built("magnitude-mlp", voting=voting) for voting in ("logits", "posteriors"))
    by_posteriors.load_state_dict(by_logits.state_dict())
    frames = make_front_end(MAGNITUDE, RATE)(_sound(1))
    frames -= frames.mean(2, keepdim=True)  # all of one level, which is taken off
    single = torch.cat([by_logits(frames[:, [n]]) for n in range(frames.shape[1])])  # one frame: both say the same
    torch.testing.assert_close(by_logits(frames)[0], single.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(by_posteriors(frames)[0].exp(), single.softmax(-1).mean(0), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["magnitude-mlp", "magnitude-cnn"])
def test_how_loud_a_sound_is_tells_them_nothing(name):
    network, heard = _built(name), make_front_end(MAGNITUDE, RATE)(_sound(3))
    with torch.no_grad():
        torch.testing.assert_close(network(heard + 1.5), network(heard), atol=1e-4, rtol=1e-4)
        assert (network(heard * 1.5) - network(heard)).abs().max() > 5e-4


# -- Files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_what_is_loaded(name, tmp_path):
    network = _built(name)
    file = _saved(tmp_path, name, network, card={"made": "trained", "seed": 3})
    assert read_model_file(tmp_path) == file
    model = load_model_file(tmp_path)
    heard = _sound(3)
    with torch.no_grad():
        wanted = network(make_front_end(SMALL[name][0], RATE)(heard))
    torch.testing.assert_close(model.logits(heard), wanted, atol=1e-5, rtol=1e-5)
    assert (model.name, model.labels, model.title, model.note) == ("small", LABELS, "Small", "A test.")
    assert (model.sample_rate, model.window, model.task) == (RATE, WINDOW, "single-label")
    assert not any(p.requires_grad for p in model.network.parameters())
    assert model.hash == load_model_file(tmp_path).hash


def test_the_hash_is_of_what_decides(tmp_path):
    network = _built("raw-cnn")
    first = load_model_file(_saved(tmp_path / "a", "raw-cnn", network)).hash
    assert load_model_file(_saved(tmp_path / "b", "raw-cnn", network, card={"seed": 1})).hash == first
    assert load_model_file(_saved(tmp_path / "c", "raw-cnn", network, task="tagging")).hash != first
    with torch.no_grad():
        network.norm.running_mean += 0.1
    assert load_model_file(_saved(tmp_path / "d", "raw-cnn", network)).hash != first


def test_denormal_weights_are_not_saved(tmp_path):
    network = _built("log-mel-cnn")
    with torch.no_grad():
        network.out.bias.copy_(torch.tensor([1e-41, -0.5, -1e-42]))
    assert read_arrays(_saved(tmp_path, "log-mel-cnn", network).weights_path)["out.bias"].tolist() == [0.0, -0.5, 0.0]


def _spoil(change):
    """A test's way to change the arrays of a file that is fine."""

    def spoil(path):
        arrays = read_arrays(path)
        change(arrays)
        save_file(arrays, path)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.write_bytes(b"not weights at all"), "cannot be read as safetensors"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read as safetensors"),
        (lambda path: path.write_bytes(b""), "cannot be read as safetensors"),
        (lambda path: path.unlink(), "are not in"),
        (_spoil(lambda arrays: arrays.pop("out.bias")), "has no array out.bias"),
        (_spoil(lambda arrays: arrays.update(more=torch.zeros(2))), "has an array more"),
        (_spoil(lambda arrays: arrays.update({"out.bias": torch.zeros(4)})), "array out.bias"),
        (_spoil(lambda arrays: arrays["out.bias"].fill_(np.nan)), "out.bias in weights.safetensors holds what are not finite"),
        (_spoil(lambda arrays: arrays.update({"out.bias": torch.zeros(3, dtype=torch.int64)})), "not finite numbers"),
    ],
)  # fmt: skip
def test_damaged_or_foreign_weights_get_a_sentence(spoil, says, tmp_path):
    spoil(_saved(tmp_path, "log-mel-cnn").weights_path)
    with pytest.raises(FileError, match=re.escape(says)):
        load_model_file(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hidden = 12", "hidden = 13", "array hidden.0.bias"),
        ("hidden = 12", 'hidden = "12"', "small: The network's hidden must be a whole number"),
        # 300 GB if it were laid out in memory:
        ("hidden = 12", "hidden = 65_536\nchannels = [65_536, 65_536, 65_536]", "weights.safetensors is of shape"),
        ('"high"', '"high", "higher"', "array out.bias"),
        ("n_fft = 256", "n_fft = 1.5", "small: The representation's n_fft"),
        ("window = 4000", "window = 100", "small: A window of 100 samples is too short"),
        ("window = 4000", "window = 300", "does not take what its representation gives"),
        ('kind = "log-mel"', 'kind = "mel"', "small: The representation's kind"),
        ('name = "log-mel-cnn"', 'name = "resnet"', "no network 'resnet'"),
    ],
)
def test_a_model_toml_that_does_not_fit_gets_a_sentence(old, new, says, tmp_path):
    path = _saved(tmp_path, "log-mel-cnn").folder / "model.toml"
    text = path.read_text()
    if "channels" in new:
        text = re.sub(r"channels = \[[^]]*\]\n", "", text)
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(FileError, match=re.escape(says)):
        load_model_file(tmp_path)


def test_a_representation_of_other_size_than_the_network_takes_is_refused(tmp_path):
    path = _saved(tmp_path, "magnitude-mlp").folder / "model.toml"
    path.write_text(path.read_text().replace("n_fft = 256", "n_fft = 512"))
    with pytest.raises(FileError, match="small: its network does not take what its representation gives"):
        load_model_file(tmp_path)


def test_listing_architectures_needs_no_torch():
    code = (
        "import sys, json; from mirguard.models.architectures import list_architectures as all_; "
        "print(json.dumps([[a.name for a in all_()], 'torch' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [list(NAMES), False]
