"""A classifier made here comes to its place among the models: whole, or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mirguard.errors import FileError, UsageError
from mirguard.files import name_trouble, put_folder
from mirguard.models import catalogue
from mirguard.models.contract import Classifier
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import ModelFile
from mirguard.models.training.own_card import about_gradient


def place_for(name: str, folder: str | os.PathLike | None, replace: bool) -> Path:
    """The folder of a model of that name; UsageError with one sentence if none can be kept under it."""
    if trouble := name_trouble(name):
        raise UsageError(f"{name!r} cannot be a model's name: {trouble}.")
    taken = {info.name.casefold(): info.kind for info in catalogue.list_models()}.get(name.casefold())
    if taken not in (None, catalogue.YOURS):
        raise UsageError(f"{name} is the name of a model that comes with MIRGuard or a plug-in; choose another one.")
    target = (Path(folder).expanduser() if folder else catalogue.own_folder(name).parent) / name
    if target.exists() and not replace:
        raise UsageError(f"There is a model called {name} already; choose another name, or ask for it to be replaced.")
    return target


def check_place(target: Path) -> None:
    """FileError if nothing can be kept there: better now than after hours of training. Nothing is left behind."""
    nearest = next(folder for folder in target.absolute().parents if folder.exists())
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".making-", dir=nearest))
    except OSError as error:
        raise _unkept(target, error) from error


def _unkept(target: Path, error: OSError) -> FileError:
    return FileError(
        f"{target.name} cannot be kept in {target.parent}: {error.strerror}; "
        "name a folder that you may write to in MIRGUARD_DATA."
    )


def keep(target: Path, replacing: bool, save: Callable[[Path], ModelFile]) -> tuple[ModelFile, Classifier]:
    """The model's folder, made beside its place under another name, and moved there once it is complete and can be loaded."""
    making = target.with_name(f".making-{secrets.token_hex(4)}")
    try:
        making.mkdir(parents=True)
        file = save(making)
        classifier = load_model_file(file)
        file = replace(file, card={**file.card, "gradient": about_gradient(classifier)})
        file.write()
        if target.exists() and not replacing:
            raise FileExistsError
        put_folder(making, target)
    except FileExistsError:  # another training or adding was quicker, maybe by a moment
        raise UsageError(f"There is a model called {target.name} already; choose another name.") from None
    except OSError as error:
        raise _unkept(target, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return replace(file, folder=target), classifier
