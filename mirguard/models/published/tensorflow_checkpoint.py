"""Reading TensorFlow's V2 checkpoints with numpy alone.

A checkpoint is an index (a table in LevelDB's format, "table_format.md" of LevelDB) from variable names to entries
(`BundleEntryProto` of TensorFlow's tensor_bundle.proto), and data shards holding the raw little-endian numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mirguard.errors import FileError

_MAGIC = 0xDB4775248B80FB57
_FOOTER = 48
_TRAILER = 5  # after each block: compression, masked CRC-32C
_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2"}


def read_checkpoint(
    index: bytes, shards: Sequence[bytes], wanted: Callable[[str], bool] = lambda name: True
) -> dict[str, np.ndarray]:
    """The variables of a checkpoint by name, those that `wanted` accepts.

    `index` is the content of `PREFIX.index`, `shards` those of `PREFIX.data-0000i-of-0000n` in order. FileError says
    what is wrong with them.
    """
    try:
        return _variables(index, shards, wanted)
    except (IndexError, ValueError, struct.error, UnicodeDecodeError, OverflowError) as error:
        raise FileError(f"The TensorFlow checkpoint is damaged: {error}.") from error


def _variables(index: bytes, shards: Sequence[bytes], wanted: Callable[[str], bool]) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for key, value in _table(index):
        entry = _message(value)
        if not key:  # the header
            if _one(entry, 1, 1) != len(shards):
                raise ValueError(f"it needs {_one(entry, 1, 1)} data shards and has {len(shards)}")
            if _one(entry, 2, 0) != 0:
                raise ValueError("it was written on a big-endian machine")
            continue
        name = key.decode()
        if wanted(name):
            found[name] = _tensor(name, entry, shards)
    return found


def _tensor(name: str, entry: dict[int, list], shards: Sequence[bytes]) -> np.ndarray:
    if _one(entry, 1, 0) not in _TYPES:
        raise ValueError(f"variable {name} has a number type that is not supported")
    kind = np.dtype(_TYPES[_one(entry, 1, 0)])
    if 7 in entry:
        raise ValueError(f"variable {name} is stored in slices, which is not supported")
    shape = tuple(_one(_message(dimension), 1, 0) for dimension in _message(_one(entry, 2, b"")).get(2, []))
    shard, offset, size = (_one(entry, field, 0) for field in (3, 4, 5))
    count = math.prod(shape)
    if shard >= len(shards) or size != count * kind.itemsize or offset + size > len(shards[shard]):
        raise ValueError(f"the numbers of variable {name} are not where the index says")
    return np.frombuffer(shards[shard], kind, count, offset).reshape(shape).copy()


# LevelDB's table


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values in order."""
    if len(data) < _FOOTER or struct.unpack_from("<Q", data, len(data) - 8)[0] != _MAGIC:
        raise ValueError("its index does not end as a table does")
    footer, at = data[-_FOOTER:-8], 0
    handle = []
    for _ in range(4):  # offset and size of the meta-index, of the index
        number, at = _varint(footer, at)
        handle.append(number)
    for _, value in _block(data, handle[2], handle[3]):
        offset, at = _varint(value, 0)
        size, _ = _varint(value, at)
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """The entries of one block; each key is stored as the length it shares with the one before, and the rest."""
    block, end = data[offset : offset + size], offset + size
    if size < 4 or end + _TRAILER > len(data):
        raise ValueError("a block of its index is cut off")
    compression, checksum = struct.unpack_from("<BI", data, end)
    if compression:
        raise ValueError("its index is compressed, which is not supported")
    if checksum != _masked(_crc32c(data[offset : end + 1])):
        raise ValueError("a block of its index has a wrong checksum")
    restarts = struct.unpack_from("<I", block, size - 4)[0]
    stop, at, key = size - 4 * (restarts + 1), 0, b""
    while at < stop:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or at + fresh + length > stop:
            raise ValueError("an entry of its index is cut off")
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + length]
        at += length


def _crc_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli)."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    """LevelDB stores checksums rotated and shifted, so that a checksum of checksums means something."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


# Protocol buffers


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where the next one begins."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number in its index does not end")


def _message(data: bytes) -> dict[int, list]:
    """The fields of a message: number -> values, integers or bytes."""
    fields: dict[int, list] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 2, 5):
            length, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
            value, at = data[at : at + length], at + length
            if at > len(data):
                raise ValueError("a message in its index is cut off")
        else:
            raise ValueError("its index holds something that is not a message")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _one(fields: dict[int, list], number: int, default):
    """The last value of a field, as protocol buffers want it."""
    return fields.get(number, [default])[-1]
