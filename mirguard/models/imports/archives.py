"""Zip archives from strangers, looked into before anything of them is used.

`.pt2` and TorchScript files are zips, and a model may be handed on as one. Sizes, names and checksums are verified here with the
standard library alone; what torch is then given is a fresh archive of the members that were looked at (`Archive.rebuilt`), so
that two readers cannot see two different things in one file.
"""

from __future__ import annotations

import io
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mirguard.errors import FileError

LARGEST = 2 << 30  # bytes, unpacked: models for music are some megabytes to some hundred
LARGEST_TEXT = 32 << 20  # bytes of one text (a graph, a source file) in an archive
MOST_MEMBERS = 20_000
LARGEST_RATIO = 200  # unpacked to packed; weights hardly pack at all, text by ten
SMALL = 1 << 20  # bytes that are allowed any ratio
_ENCRYPTED = 0x1
_DATE = (1980, 1, 1, 0, 0, 0)

EXPORT_INSTEAD = (
    "export the model instead: torch.export.save(torch.export.export(model.eval(), (waveforms,)), 'model.pt2')"
)


@contextmanager
def refusing_damage(what: str) -> Iterator[None]:
    """Whatever a damaged archive makes the reader raise becomes a FileError with one sentence."""
    try:
        yield
    except FileError:
        raise
    except RuntimeError as error:
        if "ncrypted" in str(error) or "password" in str(error):
            raise FileError(f"{what} is encrypted; give one without a password.") from error
        raise _damaged(what) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError, OverflowError, LookupError) as error:
        raise _damaged(what) from error
    except OSError as error:
        raise FileError(f"{what} cannot be read: {error.strerror or error}.") from error


def _damaged(what: str) -> FileError:
    return FileError(f"{what} is damaged or cut short; get it again.")


class Archive:
    """An open zip whose list of contents has been checked; use it as a context manager. FileError says what is wrong with it.

    With `rooted`, all members lie in one folder, as torch writes them, and names are given without it.
    """

    def __init__(self, path: Path, what: str, *, rooted: bool = False) -> None:
        self.what = what
        self._file: zipfile.ZipFile | None = None
        with refusing_damage(what):
            if not zipfile.is_zipfile(path):
                raise FileError(_no_zip(path, what, rooted))
            self._file = zipfile.ZipFile(path)
            try:
                self._members = self._checked(rooted)
            except BaseException:
                self._file.close()
                raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self, *beginnings: str) -> list[str]:
        """All members, or those whose name begins with one of these."""
        return [name for name in self._members if not beginnings or name.startswith(beginnings)]

    def size(self, name: str) -> int:
        """Unpacked bytes, as declared; reading gives no more."""
        return self._members[name].file_size

    def read(self, name: str) -> bytes:
        """A member's bytes, its checksum verified."""
        with refusing_damage(self.what):
            data = self._file.read(self._members[name])
        if len(data) != self.size(name):
            raise _damaged(self.what)
        return data

    def extract(self, name: str, path: Path) -> None:
        """Write a member, its checksum verified, to a path that is the caller's choice and not the archive's."""
        with refusing_damage(self.what), self._file.open(self._members[name]) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)

    def text(self, name: str) -> str:
        if self.size(name) > LARGEST_TEXT:
            raise FileError(f"{self.what} is refused: its {PurePosixPath(name).name} is far too large.")
        with refusing_damage(self.what):
            return self.read(name).decode("utf-8")

    def rebuilt(self, names: Iterable[str], replaced: Mapping[str, bytes] | None = None) -> io.BytesIO:
        """A fresh archive, unpacked, of those members, with the contents of some replaced."""
        replaced = dict(replaced or {})
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as new:
            for name in names:
                data = replaced[name] if name in replaced else self.read(name)
                new.writestr(zipfile.ZipInfo(f"archive/{name}", _DATE), data)
        buffer.seek(0)
        return buffer

    def _checked(self, rooted: bool) -> dict[str, zipfile.ZipInfo]:
        infos = [info for info in self._file.infolist() if not info.is_dir()]
        if len(infos) > MOST_MEMBERS:
            raise self._refused(f"it lists {len(infos):,} files")
        if sum(info.file_size for info in infos) > LARGEST:
            raise self._refused(f"unpacked it would be larger than {LARGEST >> 30} GB")
        if infos and min(info.header_offset for info in infos) != 0:
            raise _damaged(self.what)  # an archive within what is left of another one
        found, folded, root = {}, set(), None
        for info in infos:
            name = info.filename
            _check_name(name, self._refused)
            if stat.S_ISLNK(info.external_attr >> 16):
                raise self._refused(f"{name} is a link")
            if info.flag_bits & _ENCRYPTED:
                raise FileError(f"{self.what} is encrypted; give one without a password.")
            if info.file_size > SMALL and info.file_size > LARGEST_RATIO * max(info.compress_size, 1):
                raise self._refused(
                    f"{name} would unpack to {info.file_size / max(info.compress_size, 1):,.0f} times its size"
                )
            if rooted:
                first, _, name = name.partition("/")
                root = first if root is None else root
                if first != root or not name:
                    raise self._refused("its files do not lie in one folder")
            if name.casefold() in folded:
                raise self._refused(f"it holds {name} twice")
            folded.add(name.casefold())
            found[name] = info
        return found

    def _refused(self, why: str) -> FileError:
        return FileError(f"{self.what} is refused: {why}.")


def _check_name(name: str, refused) -> None:
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or "\\" in name
        or ":" in name
        or not name.isprintable()
        or ".." in parts
        or name != "/".join(parts)
        or len(name) > 1000
    ):
        raise refused(f"it holds a file with the name {name[:60]!r}, which could lie outside it")


def _no_zip(path: Path, what: str, model: bool) -> str:
    """What a file that should be a zip is instead."""
    with path.open("rb") as file:
        start = file.read(4)
    if not model:
        return f"{what} is damaged or cut short; get it again." if start[:2] == b"PK" else f"{what} is no zip archive."
    if start[:1] == b"\x80":  # how a pickle begins, and so does every file of torch.save before torch 1.6
        return f"{what} is a pickle, which could run anything on being read, so it is not; {EXPORT_INSTEAD}."
    if start[:2] == b"PK":
        return f"{what} is damaged or cut short; get it again."
    return (
        f"{what} is no exported model: neither TorchScript nor an exported program begins like this; {EXPORT_INSTEAD}."
    )
