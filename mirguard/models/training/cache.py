"""What hearing a clip gave, kept in the user's data folder so that the next training on the same files starts at once.

An entry is one array with a checksum. Entries are written whole or not at all; one that is damaged counts as absent and is made
again. Beyond `limit` bytes those that were not used for longest are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import zlib
from pathlib import Path

import numpy as np

from mirguard.resources import data_folder

LIMIT = 8 << 30  # bytes
_MAGIC = b"MGC1"
_HEAD = len(_MAGIC) + 8  # and the payload's CRC-32 in hex
_SUFFIX = ".heard"


def key_of(*parts: object) -> str:
    """One name for everything that decides what an entry holds."""
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()


class Cache:
    """Arrays by key below `folder` (by default `cache` in the user's data folder)."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        self.folder, self.limit = folder or data_folder() / "cache", limit

    def get(self, key: str) -> np.ndarray | None:
        """The array kept under that key; None if there is none, or none that can be trusted."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        payload = memoryview(data)[_HEAD:]
        if data[:_HEAD] == _MAGIC + b"%08x" % zlib.crc32(payload):
            try:
                array = np.load(io.BytesIO(payload), allow_pickle=False)
            except (ValueError, EOFError, OSError):
                array = None
            if array is not None:
                with contextlib.suppress(OSError):
                    os.utime(path)  # used just now
                return array
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, array: np.ndarray) -> bool:
        """Keep it; False where nothing can be written, which is no error: it is then made again each time."""
        path = self._path(key)
        temporary = path.with_name(f".{secrets.token_hex(6)}.part")
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        payload = buffer.getbuffer()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(_MAGIC + b"%08x" % zlib.crc32(payload))
                file.write(payload)
            temporary.replace(path)
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return True

    def cut(self, key: str, start: int, count: int) -> np.ndarray | None:
        """`count` numbers from `start` on of a one-dimensional entry, read alone; None if they are not there. The checksum is not
        looked at: `get` did so when the entry was found."""
        try:
            with self._path(key).open("rb") as file:
                file.seek(_HEAD)
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, dtype = read(file)
                if len(shape) != 1 or start + count > shape[0]:
                    return None
                file.seek(start * dtype.itemsize, os.SEEK_CUR)
                data = file.read(count * dtype.itemsize)
        except (OSError, ValueError):
            return None
        return np.frombuffer(data, dtype) if len(data) == count * dtype.itemsize else None

    def size(self) -> int:
        """Bytes of all entries."""
        return sum(size for _, size, _ in self._entries())

    def prune(self) -> None:
        """Remove what was not used for longest until the rest fits into `limit`."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        for _, size, path in entries:
            if total <= self.limit:
                return
            with contextlib.suppress(OSError):
                os.unlink(path)
                total -= size

    def _entries(self) -> list[tuple[int, int, str]]:
        """When each was last used, its bytes and its path; entries may vanish meanwhile."""
        found = []
        for place, _, names in os.walk(self.folder):
            for name in names:
                if name.endswith((_SUFFIX, ".part")):
                    with contextlib.suppress(OSError):
                        about = os.stat(os.path.join(place, name))
                        found.append((about.st_mtime_ns, about.st_size, os.path.join(place, name)))
        return found

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"
