"""What an ONNX file holds, read without the onnx package: does it ask for other files, or for operators of somebody's own?

ONNX is a Protocol Buffers message (onnx/onnx.proto, IR version 3 and later). Only the fields that matter here are followed, through
all graphs within graphs; field numbers are fixed for ever by the format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mirguard.errors import FileError

OWN_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"}  # onnxruntime brings these itself
_DEEPEST = 60
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# message -> field number -> the message in that field
_NESTED = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "sparse": {1: "tensor", 2: "tensor"},
}


@dataclass
class Contents:
    """`external` whether arrays lie in other files; `calls` the (domain, operator) of all nodes; `functions` those that the file
    defines itself."""

    external: bool = False
    calls: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    graphs: int = 0


def read_contents(data: bytes, what: str) -> Contents:
    """Walk through the message; FileError if it is none."""
    found = Contents()
    try:
        _walk(memoryview(data), "model", found, 0)
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise FileError(f"{what} is no whole ONNX file; get it or export it again.") from error
    if not found.graphs:
        raise FileError(f"{what} is no whole ONNX file; get it or export it again.")
    return found


def _walk(data: memoryview, kind: str, found: Contents, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    texts: dict[int, str] = {}
    nested = _NESTED.get(kind, {})
    for number, value in _fields(data):
        if kind == "tensor":  # 13: external_data, 14: data_location (1: in another file)
            found.external |= number == 13 or (number == 14 and value == 1)
        elif isinstance(value, memoryview):
            if number in nested:
                _walk(value, nested[number], found, depth + 1)
            elif (kind, number) in {("node", 4), ("node", 7), ("function", 1), ("function", 10)}:
                texts[number] = bytes(value).decode("utf-8")
    if kind == "graph":
        found.graphs += 1
    elif kind == "node":
        found.calls.add((texts.get(7, ""), texts.get(4, "")))
    elif kind == "function":
        found.functions.add((texts.get(10, ""), texts.get(1, "")))


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("no such wire type")
        if number == 0 or at + length > len(data):
            raise ValueError("cut short")
        if wire == _BYTES:
            yield number, data[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("too long a number")
