"""TorchScript archives, made fit to be given to `torch.jit.load`.

TorchScript is run by an interpreter of its own that knows no Python, but not everything it knows is harmless, and its reader
trusts what the archive says of its arrays. So, before torch sees the file:

- its source may use torch's operators on arrays, and none that reads or writes files or talks to other processes;
- its pickled structure is walked by a reader that can make nothing but inert stand-ins (`_Walk`); it may name TorchScript's own
  classes and arrays alone, and each array must lie within the numbers kept for it.

What is not needed to run it (debugging notes, traced inputs, extra files) is left out.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from typing import Any

from mirguard.errors import FileError
from mirguard.models.imports.archives import EXPORT_INSTEAD, LARGEST_TEXT, Archive, refusing_damage

PICKLES = ("data.pkl", "constants.pkl")
ARRAYS = ("data/", "constants/")
VERSIONS = ("version", ".data/version")  # by how new the operators in it are
OTHERS = (*VERSIONS, "byteorder")

_FILE_WORDS = re.compile(rb"\b(save|from_file|load_tensor|rpc_async|rpc_sync|rpc_remote|debugprims|c10d|dist_rpc)\b")
_NAMESPACES = rb"(?:aten|prim|prims|quantized|_quantized)"
_FOREIGN = re.compile(rb"\bops\b(?!\s*\.\s*" + _NAMESPACES + rb"\b)")
_OBJECTS = re.compile(rb"\btorch\s*\.\s*classes\b(?!\s*\.\s*quantized\b)")
_HIDDEN = re.compile(rb"getattr\s*\([^()\n]*\\")  # a name spelt with escapes
_DEEPEST = 200  # brackets within brackets: the compiler goes down one level of its stack for each

_ITEM_BYTES = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
    "ComplexDouble": 16, "ComplexFloat": 8, "QInt8": 1, "QUInt8": 1, "QInt32": 4,
}  # fmt: skip


def safe_script(archive: Archive) -> io.BytesIO:
    """A fresh TorchScript archive without anything that goes beyond arithmetic; FileError with one sentence otherwise."""
    what = archive.what
    if "data.pkl" in archive and not archive.names("code/"):
        raise FileError(
            f"{what} was written by torch.save: its arrays come with a pickle and without the network, so nothing of it is read; "
            f"{EXPORT_INSTEAD}, or save a scripted module."
        )
    missing = [name for name in PICKLES if name not in archive]
    if not any(name in archive for name in VERSIONS):
        missing.append(VERSIONS[0])
    if missing:
        raise FileError(f"{what} is no whole TorchScript archive: {missing[0]} is not in it.")
    sources = [name for name in archive.names("code/") if name.endswith(".py")]
    arrays = archive.names(*ARRAYS)
    for name in sources:
        _check_source(archive.text(name).encode(), what)
    for name in PICKLES:
        folder = name.removesuffix(".pkl") + "/"
        sizes = {place.removeprefix(folder): archive.size(place) for place in arrays if place.startswith(folder)}
        _check_structure(archive, name, sizes)
    others = [name for name in OTHERS if name in archive]
    return archive.rebuilt([*PICKLES, *others, *sources, *arrays])


def _check_source(source: bytes, what: str) -> None:
    if found := _FILE_WORDS.search(source):
        raise FileError(f"{what} is refused: its code has {found[0].decode()!r} in it, which could reach for files.")
    if _FOREIGN.search(source) or _OBJECTS.search(source) or _HIDDEN.search(source):
        raise FileError(f"{what} is refused: its code uses operators or objects that are not torch's own for arrays.")
    depth = 0
    for found in re.finditer(rb"[(\[{]|[)\]}]", source):
        depth += 1 if found[0] in b"([{" else -1
        if depth > _DEEPEST:
            raise FileError(f"{what} is refused: its code is nested deeper than any network's.")


class _Inert:
    """Stands for any object of the archive: takes everything, does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass

    def append(self, _entry: Any) -> None:
        pass

    def extend(self, _entries: Any) -> None:
        pass

    def __setitem__(self, _key: Any, _value: Any) -> None:
        pass


class _Storage(_Inert):
    """The type of an array's numbers."""


class _Walk(pickle.Unpickler):
    """Goes through a structure without making any of it: no name in it is ever looked up."""

    def __init__(self, data: bytes, sizes: dict[str, int], what: str) -> None:
        super().__init__(io.BytesIO(data))
        self.sizes, self.what = sizes, what

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_qtensor"):
            return self._array
        if module == "torch" and name.endswith("Storage"):
            return type(name, (_Storage,), {})
        asked = f"{module}.{name}"
        known = module in ("torch.jit._pickle", "collections") or module.split(".")[0] == "__torch__"
        if not known or _OBJECTS.search(asked.encode()) or _FILE_WORDS.search(asked.encode()):
            raise FileError(
                f"{self.what} is refused: it asks for {asked[:80]!r}, which is no part of a TorchScript model."
            )
        return _Inert

    def persistent_load(self, saved: Any) -> Any:
        """("storage", type, file, device, how many numbers) -> how many there are."""
        kind, type_, place, _device, numbers = saved
        item = _ITEM_BYTES.get(type_.__name__.removesuffix("Storage"))
        if kind != "storage" or item is None or not isinstance(numbers, int) or numbers < 0:
            raise ValueError("no array")
        if numbers * item > self.sizes[place]:
            raise FileError(f"{self.what} is damaged: it has fewer numbers than it says.")
        return numbers

    def _array(self, numbers: int, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Inert:
        fine = all(isinstance(value, int) and 0 <= value < 1 << 40 for value in (offset, *shape, *strides))
        if not fine or len(shape) != len(strides):
            raise ValueError("no shape")
        reach = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
        if 0 not in shape and reach > numbers:
            raise FileError(f"{self.what} is refused: an array in it reaches beyond its numbers.")
        return _Inert()


def _check_structure(archive: Archive, name: str, sizes: dict[str, int]) -> None:
    what = archive.what
    if archive.size(name) > LARGEST_TEXT:
        raise FileError(f"{what} is refused: its {name} is far too large.")
    data = archive.read(name)
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= int(argument) <= len(data):
                raise ValueError("no memo")
        with refusing_damage(what):
            _Walk(data, sizes, what).load()
    except (
        pickle.UnpicklingError,
        TypeError,
        AttributeError,
        ValueError,
        LookupError,
        RecursionError,
        MemoryError,
    ) as error:
        raise FileError(f"{what} is damaged: what it says of its arrays cannot be read.") from error
