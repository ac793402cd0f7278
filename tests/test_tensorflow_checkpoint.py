"""Reading TensorFlow's checkpoints: every variable as it was written, and a sentence for whatever is damaged."""

import checkpoint_writer
import numpy as np
import pytest
from checkpoint_writer import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from mirguard.errors import FileError
from mirguard.models.published.tensorflow_checkpoint import read_checkpoint

RANDOM = np.random.default_rng(0)
VARIABLES = {
    "conv2d/bias": RANDOM.standard_normal(5).astype(np.float32),
    "conv2d/kernel": RANDOM.standard_normal((7, 3, 1, 5)).astype(np.float32),
    "conv2d_1/kernel": RANDOM.standard_normal((200, 1)),
    "empty": np.zeros((0, 3), np.float32),
    "global_step": np.array(12345678901, np.int64),
    "numbers": np.arange(300, dtype=np.int32),
} | {f"layer_{number}/gamma": RANDOM.standard_normal(number + 1).astype(np.float32) for number in range(60)}


@pytest.mark.parametrize(("per_block", "shards"), [(1, 1), (20, 1), (1000, 3)])
def test_variables_come_back(per_block, shards):
    found = read_checkpoint(*checkpoint(VARIABLES, per_block, shards))
    assert found.keys() == VARIABLES.keys()
    for name, value in VARIABLES.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)
        assert found[name].flags.writeable


def test_only_wanted_variables_are_read():
    assert set(read_checkpoint(*checkpoint(VARIABLES), lambda name: name.startswith("conv2d/"))) == {
        "conv2d/bias",
        "conv2d/kernel",
    }


def test_missing_numbers_and_shards_are_said():
    index, shards = checkpoint(VARIABLES, shards=2)
    with pytest.raises(FileError, match="are not where the index says"):
        read_checkpoint(index, [shards[0], shards[1][:-1]])
    with pytest.raises(FileError, match="needs 2 data shards and has 1"):
        read_checkpoint(index, shards[:1])


def test_number_types_without_an_equal_here_are_said(monkeypatch):
    monkeypatch.setitem(checkpoint_writer.TYPES, "float32", 14)  # bfloat16
    with pytest.raises(FileError, match="variable words has a number type that is not supported"):
        read_checkpoint(*checkpoint({"words": np.zeros(3, np.float32)}))


@pytest.mark.parametrize("wrong", [b"", b"PK\x03\x04", b"\0" * 100, bytes(range(256)) * 4])
def test_something_else_is_no_checkpoint(wrong):
    with pytest.raises(FileError, match="does not end as a table does"):
        read_checkpoint(wrong, [b""])


@given(st.data())
def test_any_changed_byte_of_the_index_is_noticed(data):
    index, shards = checkpoint({"a/kernel": VARIABLES["conv2d/kernel"], "a/bias": VARIABLES["conv2d/bias"]})
    at = data.draw(st.integers(0, len(index) - 1))
    changed = bytearray(index)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_checkpoint(bytes(changed), shards)
    except FileError:
        return
    # What nothing depends on: the padding of the footer, the place of the (unused) meta-index.
    np.testing.assert_array_equal(found["a/kernel"], VARIABLES["conv2d/kernel"])


@given(st.integers(0, 500))
def test_any_cut_is_noticed(length):
    index, shards = checkpoint({"a": VARIABLES["conv2d/bias"], "b": VARIABLES["numbers"]})
    with pytest.raises(FileError):
        read_checkpoint(index[: min(length, len(index) - 1)], shards)
