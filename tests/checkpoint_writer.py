"""Writing TensorFlow V2 checkpoints and wheels like musicnn's, to read them again."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np

TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9}
MAGIC = 0xDB4775248B80FB57


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def crc32c(data: bytes) -> int:
    """Bit by bit, as the polynomial is defined."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 * (value & 1))
    return value ^ 0xFFFFFFFF


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Keys share prefixes with the one before; restarts at every 16th, as LevelDB does."""
    out, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % 16 == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return out + b"".join(struct.pack("<I", at) for at in restarts or [0]) + struct.pack("<I", len(restarts) or 1)


def checkpoint(variables: dict[str, np.ndarray], per_block: int = 20, shards: int = 1) -> tuple[bytes, list[bytes]]:
    """The index and the data shards."""
    data = [b""] * shards
    entries = [(b"", field(1, shards) + field(2, 0) + field(3, field(1, 1)))]
    for number, name in enumerate(sorted(variables)):
        value, shard = variables[name], number % shards
        shape = b"".join(field(2, field(1, size)) for size in value.shape)
        entry = field(1, TYPES[value.dtype.name]) + field(2, shape) + field(3, shard)
        entry += field(4, len(data[shard])) + field(5, value.nbytes) + varint(6 << 3 | 5) + bytes(4)
        data[shard] += value.tobytes()
        entries.append((name.encode(), entry))
    table, handles = b"", []

    def add(content: bytes) -> bytes:
        nonlocal table
        crc = crc32c(content + b"\0")
        at = varint(len(table)) + varint(len(content))
        table += content + b"\0" + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
        return at

    for start in range(0, len(entries), per_block):
        part = entries[start : start + per_block]
        handles.append((part[-1][0] + b"\xff", add(block(part))))
    meta, index = add(block([])), add(block(handles))
    footer = (meta + index).ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    return table + footer, data


def wheel(variables: dict[str, dict[str, np.ndarray]]) -> bytes:
    """A zip with the two networks where musicnn's wheel has them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for folder, values in variables.items():
            index, (shard,) = checkpoint(values)
            archive.writestr(f"musicnn/{folder}/.index", index)
            archive.writestr(f"musicnn/{folder}/.data-00000-of-00001", shard)
    return out.getvalue()
