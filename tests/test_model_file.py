"""model.toml: what is written is what is read, and what is wrong is said in one sentence."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.errors import FileError
from mirguard.files import name_trouble
from mirguard.models.load_file import BY_NETWORK, is_black_box, load_model_file
from mirguard.models.model_file import KINDS, LARGEST, ModelFile, read_model_file

GOOD = """
name = "my-tagger"
weights = "my-tagger.pt2"
sample_rate = 16000
window = 48000
task = "single-label"
labels = ["blues", "classical"]
representation = "waveform"
output = "logits"
batch = "dynamic"
features = []
"""


def written(folder, text):
    path = folder / "model.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_keys_of_a_model_toml(tmp_path):
    file = read_model_file(written(tmp_path, GOOD))
    assert (file.name, file.kind, file.batch, file.output) == ("my-tagger", "exported program", None, "logits")
    assert file.labels == ("blues", "classical") and file.weights_path == tmp_path / "my-tagger.pt2"
    assert read_model_file(tmp_path) == file, "by its folder too"
    fixed = read_model_file(written(tmp_path, GOOD.replace('"dynamic"', "4")))
    assert fixed.batch == 4


names = st.text(st.characters(codec="utf-8", exclude_characters='/\\:*?"<>|'), min_size=1, max_size=40).filter(
    lambda text: not name_trouble(text)
)
cards = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(
    name=names,
    labels=st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=5, unique=True),
    note=st.text(),
    batch=st.none() | st.integers(1, 4096),
    suffix=st.sampled_from(sorted(KINDS)),
    card=st.dictionaries(st.text(min_size=1), cards, max_size=3),
)
def test_what_is_written_is_what_is_read(tmp_path_factory, name, labels, note, batch, suffix, card):
    folder = tmp_path_factory.mktemp("model")
    network = {"name": "log-mel-cnn", "hidden": 8} if suffix == ".safetensors" else {}
    file = ModelFile(
        folder, name, f"w{suffix}", 16_000, 32_000, "tagging", tuple(labels), note=note, batch=batch, network=network,
        output="probabilities", features=("a", "b"), representation={"kind": "log-mel", "n_mels": 8}, card=card,
    )  # fmt: skip
    file.write()
    assert read_model_file(folder) == file
    assert [path.name for path in folder.iterdir()] == ["model.toml"]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "my-tagger"', "", "name is missing"),
        ('name = "my-tagger"', 'name = "../../etc"', "cannot be a model's name: no file may have"),
        ('name = "my-tagger"', "name = 3", "name must be a text"),
        ("my-tagger.pt2", "/etc/passwd.pt2", "must name a file beside this one"),
        ("my-tagger.pt2", "../other.pt2", "must name a file beside this one"),
        ("my-tagger.pt2", "weights.pkl", "cannot be read; export the model as"),
        ("my-tagger.pt2", "weights.safetensors", r"say in \[network\] which network they belong to"),
        ("window = 48000", "window = 0", "window must be a whole number"),
        ("window = 48000", "window = 3.5", "window must be a whole number"),
        ("sample_rate = 16000", "sample_rate = true", "sample_rate must be a whole number"),
        ("single-label", "regression", "task is one of"),
        ('["blues", "classical"]', '["blues"]', "at least two different names"),
        ('["blues", "classical"]', '["blues", "blues"]', "at least two different names"),
        ('["blues", "classical"]', "[1, 2]", "must be a list of names"),
        ('"waveform"', '"mel"', "representation is"),
        ('"logits"', '"loss"', "output is one of"),
        ('"dynamic"', "0", "batch is"),
        ("features = []", "feature = []", "there is no key 'feature'"),
        ("features = []", 'network = "log-mel-cnn"', "network goes with safetensors only"),
        ("features = []", "features = [", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, says):
    assert old in GOOD
    with pytest.raises(FileError, match=says) as caught:
        read_model_file(written(tmp_path, GOOD.replace(old, new)))
    assert str(caught.value).count("\n") == 0


def test_files_that_are_no_model_toml(tmp_path):
    with pytest.raises(FileError, match=r"There is no model\.toml in"):
        read_model_file(tmp_path)
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileError, match="not a text file in UTF-8"):
        read_model_file(tmp_path)
    (tmp_path / "model.toml").write_bytes(b"#" * (LARGEST + 1))
    with pytest.raises(FileError, match="far too large"):
        read_model_file(tmp_path)
    written(tmp_path, "a = " + "[" * 20_000)
    with pytest.raises(FileError, match="not valid TOML"):
        read_model_file(tmp_path)


def test_weights_that_are_missing_or_of_an_unknown_network(tmp_path):
    file = read_model_file(written(tmp_path, GOOD))
    with pytest.raises(FileError, match=r"its weights my-tagger\.pt2 are not in"):
        load_model_file(file)
    (tmp_path / "w.safetensors").write_bytes(b"")
    other = dataclasses.replace(file, weights="w.safetensors", network={"name": "resnet"})
    with pytest.raises(FileError, match="no network 'resnet'; there are log-mel-cnn"):
        load_model_file(other)


def test_what_has_no_gradients_is_known_without_loading(tmp_path):
    file = read_model_file(written(tmp_path, GOOD))
    assert not is_black_box(file)
    assert is_black_box(dataclasses.replace(file, weights="w.onnx"))
    boxes = {name for name in BY_NETWORK if is_black_box(dataclasses.replace(file, network={"name": name}))}
    assert boxes == {"logistic-regression", "svm", "decision-tree", "nearest-neighbours"}
