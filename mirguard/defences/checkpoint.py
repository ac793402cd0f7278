"""A long training kept after each epoch, so that it can go on after a power cut: `unfinished/NAME` in the user's data folder.

Of each stage there are `STAGE.json`, which is written last and names its `STAGE-EPOCH.safetensors`; both are written whole. What is
there belongs to one request alone, which `request.json` holds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save

from mirguard.errors import FileError, UsageError
from mirguard.files import write_whole
from mirguard.models.training.state import State
from mirguard.resources import data_folder

_REQUEST = "request.json"


class Unfinished:
    """The state of one job by stage. `request` is everything that decides what comes out, as JSON can hold it."""

    def __init__(self, name: str, request: Mapping[str, Any]) -> None:
        self.name, self.folder = name, data_folder() / "unfinished" / name
        self._request = json.loads(json.dumps(request))

    def begin(self, resume: bool) -> bool:
        """Whether there is something to go on from. Without `resume` what is there goes; with it UsageError names what differs from
        the request that it was begun with."""
        found = self._read(_REQUEST)
        if resume and found is not None:
            different = [key for key in {**found, **self._request} if found.get(key) != self._request.get(key)]
            if different:
                raise UsageError(
                    f"{self.name} was begun with another {different[0]}; give the same again, or begin anew without --resume."
                )
            return True
        self.remove()
        self._write(_REQUEST, json.dumps(self._request, indent=1).encode())
        return False

    def stage(self, name: str) -> Stage:
        """The keeper of one training of the job."""
        return Stage(self, name)

    def remove(self) -> None:
        """Nothing is left; the folder above goes, too, when it is empty."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.folder)
        with contextlib.suppress(OSError):
            self.folder.parent.rmdir()

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise FileError(f"{self.folder / name} is damaged; begin anew without --resume.") from error

    def _write(self, name: str, data: bytes) -> None:
        try:
            write_whole(self.folder / name, data)
        except OSError as error:
            raise FileError(f"{self.folder} cannot be written: {error.strerror}.") from error


class Stage:
    """A `training.state.Keeper` in a job's folder."""

    def __init__(self, job: Unfinished, name: str) -> None:
        self._job, self._name = job, name

    def load(self) -> State | None:
        about = self._job._read(f"{self._name}.json")
        if about is None:
            return None
        path = self._job.folder / about["tensors"]
        try:
            return State(load(path.read_bytes()), about["state"])
        except (OSError, SafetensorError, KeyError) as error:
            raise FileError(f"{path} is damaged; begin anew without --resume.") from error

    def save(self, state: State) -> None:
        tensors = f"{self._name}-{len(state.history)}.safetensors"
        self._job._write(tensors, save(dict(state.tensors)))
        self._job._write(f"{self._name}.json", json.dumps({"tensors": tensors, "state": state.about}).encode())
        for old in self._job.folder.glob(f"{self._name}-*.safetensors"):
            if old.name != tensors:
                with contextlib.suppress(OSError):
                    old.unlink()
