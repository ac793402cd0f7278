"""Runs mirdata in a process of its own: `python -m mirguard.datasets.mirdata_worker download|validate NAME HOME`.

mirdata prints, logs, draws bars, sets up logging on import and takes seconds to load, and it can be stopped only from
outside. Here all that stays away from the program: each line of standard output is one JSON object, {"text": what is being
done, "done": fraction or null}, {"fetching": path} before and {"fetched": path} after an archive, and at the end {"result": ...}
or {"error": reason}.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
import urllib.error
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any

PATIENCE = 60.0  # seconds without an answer after which a server is given up
_OFTEN = 0.2  # seconds between two words about progress

Tell = Callable[..., None]


def main(arguments: list[str]) -> int:
    action, name, home = arguments
    channel, sys.stdout = sys.stdout, sys.stderr

    def tell(**what: Any) -> None:
        print(json.dumps(what), file=channel, flush=True)

    socket.setdefaulttimeout(PATIENCE)
    tell(text="Loading mirdata", done=None)
    try:
        import mirdata

        dataset = mirdata.initialize(name, data_home=home)
        result = {"download": _download, "validate": _validate}[action](dataset, tell)
    except Exception as error:  # whatever it is, the person gets a reason
        tell(error=reason(error))
        return 1
    tell(result=result)
    return 0


def reason(error: BaseException) -> str:
    """Why it went wrong, as a part of a sentence."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} ({error.reason})"
    if isinstance(error, urllib.error.ContentTooShortError | ConnectionError | TimeoutError):
        return "the connection broke off"
    if isinstance(error, urllib.error.URLError):
        return "no connection to the server could be made"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full"
    if isinstance(error, PermissionError):
        return f"{error.filename} may not be written"
    if isinstance(error, OSError) and "checksum" in str(error):
        return "what came is not the published file (its checksum differs)"
    if isinstance(error, ImportError):
        return f"mirdata's installation is incomplete ({error})"
    words = " ".join(str(error).split()) or type(error).__name__
    return f"mirdata says {words[:150].rstrip('.')!r}"


def _download(dataset: Any, tell: Tell) -> dict[str, Any]:
    _report_downloads(tell)
    dataset.download()
    return {"home": str(dataset.data_home)}


def _report_downloads(tell: Tell) -> None:
    """Have mirdata's bar and its steps tell what they do, and half an archive of an earlier start fetched anew."""
    from mirdata import download_utils

    fetch, untar, unzip = download_utils.download_from_remote, download_utils.untar, download_utils.unzip
    current = {"name": ""}

    class Bar:
        def __init__(self, **_settings: Any) -> None:
            self._last = 0.0

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update_to(self, blocks: int = 1, size: int = 1, total: int | None = None) -> None:
            now = time.monotonic()
            if now - self._last > _OFTEN:
                self._last = now
                known = total is not None and total > 0
                tell(text=f"Downloading {current['name']}", done=min(1.0, blocks * size / total) if known else None)

    def fetching(remote: Any, save_dir: str, force_overwrite: bool, allow_invalid_checksum: bool) -> str:
        current["name"] = remote.filename
        path = os.path.join(save_dir, remote.destination_dir or "", remote.filename)
        there = os.path.exists(path)
        tell(fetching=path)
        tell(text=f"Looking at {remote.filename}" if there else f"Downloading {remote.filename}", done=None)
        try:
            found = fetch(remote, save_dir, force_overwrite, allow_invalid_checksum)
        except OSError as error:
            if os.path.exists(path):
                os.remove(path)
            if not there or "checksum" not in str(error):
                raise
            found = fetch(remote, save_dir, True, allow_invalid_checksum)
        tell(fetched=path)
        return found

    def unpacking(work: Callable) -> Callable:
        def told(path: str, cleanup: bool) -> None:
            tell(text=f"Unpacking {os.path.basename(path)}", done=None)
            work(path, cleanup=cleanup)

        return told

    download_utils.DownloadProgressBar = Bar
    download_utils.download_from_remote = fetching
    download_utils.untar, download_utils.unzip = unpacking(untar), unpacking(unzip)


def _validate(dataset: Any, tell: Tell) -> dict[str, Any]:
    import mirdata.validate

    if not os.path.exists(dataset.index_path):
        _report_downloads(tell)
        dataset.download(partial_download=["index"])

    def counted(items: Iterable, **_settings: Any) -> Iterator:
        items = list(items)
        last = 0.0
        for number, item in enumerate(items):
            if time.monotonic() - last > _OFTEN:
                last = time.monotonic()
                tell(text="Comparing checksums", done=number / len(items))
            yield item

    mirdata.validate.tqdm = SimpleNamespace(tqdm=counted)
    missing, altered = dataset.validate(verbose=False)
    index = dataset._index
    files = sum(
        path is not None
        for entries in (index.get("tracks") or {}).values()
        for path, *_ in (entry for entry in entries.values() if isinstance(entry, list))
    )
    files += sum(entry[0] is not None for entry in (index.get("metadata") or {}).values())
    return {"files": files, "missing": _paths(missing), "altered": _paths(altered)}


def _paths(found: dict[str, dict[str, list[str]]]) -> list[str]:
    return sorted(path for kind in found.values() for paths in kind.values() for path in paths)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
