"""SC-10, SC-11 and SC-15: gradients that are what they should be, that are not, and references from elsewhere."""

import numpy as np
import pytest
import torch
from foreign_models import (
    FRONT_END,
    LABELS,
    RATE,
    WINDOW,
    Canary,
    describe,
    network,
    one_thread,
    program,
    torchscript,
    windows,
)
from torch import nn

from mirguard.errors import FileError
from mirguard.models.catalogue import list_models, load_model
from mirguard.models.front_end import LogMel
from mirguard.models.imports.gradient_check import check_gradient
from mirguard.models.imports.parity import check_parity
from mirguard.models.imports.wrap import wrap_model
from mirguard.models.load_file import load_model_file

pytestmark = pytest.mark.usefixtures(one_thread.__name__)
HEARD = 4000  # samples: half a second


class Steps(nn.Module):
    """log-mel -> convolutions with ReLU and max pooling -> logits, with something done on the way."""

    def __init__(self, before=None, between=None, single=False, top_db=None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.front = LogMel(RATE, 256, 128, 20, compression="log", floor=1e-10)
            self.one, self.two, self.out = nn.Conv1d(20, 16, 3), nn.Conv1d(16, 16, 3), nn.Linear(16, 3)
        self.before, self.between, self.single, self.top_db = before, between, single, top_db

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        if self.single:
            waveform = waveform.float()
        mel = 4.34 * self.front(self.before(waveform) if self.before else waveform)
        if self.top_db:
            mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - self.top_db)
        if self.between:
            mel = self.between(mel)
        hidden = nn.functional.max_pool1d(self.one(mel.transpose(1, 2) / 20).relu(), 2)
        return self.out(self.two(hidden).relu().mean(-1))


class Single(nn.Module):
    """Can be had in single precision only, as many exported models can."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.hidden = [module]

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.hidden[0](waveform.float())


def straight_through(bits: int, full: float = 1.0):
    """Quantised on the way there, as if nothing had been on the way back."""
    step = 2 * full / 2**bits
    return lambda x: x + ((x / step).round() * step - x).detach()


def checked(module: nn.Module, window: int = HEARD):
    return check_gradient(wrap_model(module.eval(), RATE, window, LABELS, name="tried"))


@pytest.mark.parametrize("wrapped", [nn.Identity, Single])
def test_a_kinked_network_passes(wrapped):
    module = Single(Steps()) if wrapped is Single else Steps()
    found = checked(module)
    assert (found.verdict, found.reaches) == ("pass", True)
    assert found.precision == ("single" if wrapped is Single else "double")
    assert found.relative_error < (0.05 if wrapped is Single else 1e-4)
    assert found.zeros < 0.05 and found.quiet_zeros < 0.1
    assert "reaches the waveform through the whole front end" in found.sentence


@pytest.mark.parametrize("wrapped", [lambda module: module, Single])
@pytest.mark.parametrize(
    "wrong",
    [
        {"before": straight_through(8)},
        {"before": straight_through(14)},
        {"between": straight_through(6, 80)},
        {"between": lambda mel: mel * (mel.detach() / 20)},  # half of a product's slope
        {"between": lambda mel: 1.05 * mel - 0.05 * mel.detach()},  # five per cent too steep
    ],
    ids=["8 bits", "14 bits", "quantised spectrum", "half of it detached", "a little too steep"],
)
def test_a_gradient_that_is_not_the_slope_fails(wrong, wrapped):
    found = checked(wrapped(Steps(**wrong)))
    assert found.verdict == "fail"
    assert found.reaches
    assert found.relative_error > 0.01
    assert "is not the slope of what the model computes" in found.sentence


@pytest.mark.parametrize("wrapped", [lambda module: module, Single])
def test_a_level_clamp_is_told(wrapped):
    found = checked(wrapped(Steps(top_db=80)))
    assert found.verdict == "pass"
    assert found.quiet_zeros > 0.8 > 0.1 > found.zeros
    assert "top_db" in found.sentence


def test_zeros_are_told():
    found = checked(Steps(before=lambda x: torch.cat((x[:, : HEARD // 2], torch.zeros_like(x[:, HEARD // 2 :])), 1)))
    assert found.zeros == pytest.approx(0.5, abs=0.05)
    assert "exactly 0 for 5" in found.sentence


def test_no_gradient_at_all():
    found = checked(Steps(before=torch.round))
    assert (found.verdict, found.reaches, found.relative_error) == ("none", False, None)
    assert "relative_error" not in found.card()


@pytest.mark.parametrize(
    ("before", "words"), [(torch.round, "nothing but zeros"), (lambda x: (x - x).sqrt() + x, "is not finite")]
)
def test_a_gradient_that_tells_nothing(before, words):
    """As of a model that has one for the noise it was tried on, but not for this sound."""
    model = wrap_model(Steps(before=before), RATE, HEARD, LABELS)
    assert not model.differentiable
    model.differentiable = True
    found = check_gradient(model)
    assert (found.verdict, found.reaches) == ("fail", False)
    assert words in found.sentence


@pytest.mark.parametrize("ending", ["pt2", "pt"])
def test_exported_models_are_checked_in_double(tmp_path, ending):
    {"pt2": program, "pt": torchscript}[ending](network(), tmp_path / f"w.{ending}")
    model = load_model_file(describe(tmp_path, f"w.{ending}"))
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    found = check_gradient(model)
    assert (found.verdict, found.precision) == ("pass", "double")
    assert found.relative_error < 1e-4
    for key, value in model.network.state_dict().items():
        assert value.dtype == before[key].dtype and torch.equal(value, before[key])  # a copy was turned into double


def test_the_same_seed_finds_the_same():
    model = wrap_model(Single(Steps()), RATE, HEARD, LABELS)
    assert check_gradient(model) == check_gradient(model)
    assert check_gradient(model, seed=1) != check_gradient(model)


def test_a_card_holds_what_toml_can():
    import tomli_w

    card = checked(Steps()).card()
    assert {"reaches", "relative_error", "verdict", "sentence"} <= set(card)
    assert not any(key.startswith("parity") for key in card)
    tomli_w.dumps(card)


# -- parity ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def model_and_file(tmp_path):
    torchscript(network().back, tmp_path / "w.pt", shape=(13, 20))
    path = describe(tmp_path, "w.pt", representation=FRONT_END, parity="reference.npz")
    from mirguard.models.model_file import read_model_file

    file = read_model_file(path)
    return load_model_file(file), file


def reference(**changes) -> dict[str, np.ndarray]:
    net, heard = network(), windows(11)
    with torch.no_grad():
        mel = net.front(heard)
        return {"waveform": heard.numpy(), "representation": mel.numpy(), "logits": net.back(mel).numpy(), **changes}


def test_a_model_that_hears_what_it_was_trained_on(model_and_file):
    model, file = model_and_file
    np.savez(file.folder / file.parity, **reference())
    found = check_parity(model, file)
    assert found.verdict == "pass" and found.difference < 1e-4
    found = check_gradient(model, file)
    assert found.parity_verdict == "pass" and found.card()["parity_sentence"].startswith("What comes out here is")


@pytest.mark.parametrize("key", ["representation", "logits"])
def test_a_model_that_hears_something_else(model_and_file, key):
    model, file = model_and_file
    arrays = reference()
    arrays[key] = arrays[key] + 0.002
    np.savez(file.folder / file.parity, **arrays)
    found = check_parity(model, file)
    assert found.verdict == "fail" and found.difference == pytest.approx(0.002, rel=0.1)
    assert "differs from what came out where the model was trained" in found.sentence


def test_spectra_that_are_not_compressed_are_compared_in_decibels():
    from mirguard.models.imports.parity import _decibels, _is_linear

    power = np.random.default_rng(0).exponential(size=(3, 20, 40)) ** 4
    assert _is_linear(power) and not _is_linear(np.log10(10_000 * power + 1))
    loud, other = _decibels(power, power.max()), _decibels(power * 1.01, power.max())
    assert np.abs(loud - other).max() == pytest.approx(20 * np.log10(1.01))
    assert loud.min() == -50


def test_references_that_cannot_be_used_are_told(model_and_file, tmp_path):
    model, file = model_and_file
    path = file.folder / file.parity
    with pytest.raises(FileError, match="is not there, which its model"):
        check_parity(model, file)
    for arrays, words in (
        (reference(waveform=windows(11, window=100).numpy()), "waveform must be of shape"),
        (reference(waveform=np.zeros((0, WINDOW), np.float32)), "finite numbers"),
        (reference(waveform=windows(300).numpy()), "waveform must be of shape"),
        (reference(logits=np.zeros((11, 7))), "is of shape"),
        (reference(logits=np.zeros((4, 3))), "as many rows"),
        (reference(logits=np.float32(3)), "as many rows"),
        (reference(logits=np.full((11, 3), np.nan)), "finite numbers"),
        (reference(logits=np.array([["a"] * 3] * 11)), "finite numbers"),
        ({"waveform": windows(2).numpy()}, "must hold waveform, and"),
        ({"logits": np.zeros((2, 3))}, "must hold waveform, and"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(FileError, match=words):
            check_parity(model, file)
    np.savez(path, **reference(logits=np.array([Canary(tmp_path / "ran")], object)))
    with pytest.raises(FileError, match="array of numbers"):
        check_parity(model, file)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(FileError, match=r"no zip archive|damaged"):
        check_parity(model, file)


@pytest.mark.parametrize("name", [info.name for info in list_models() if info.kind == "bundled" and info.gradients])
def test_the_gradient_of_every_bundled_network_is_the_slope_through_its_front_end(name):
    """Log-mel, magnitudes and raw samples, against finite differences (SC-10)."""
    found = check_gradient(load_model(name))
    assert found.verdict == "pass"
    assert found.relative_error < 0.01
