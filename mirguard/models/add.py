"""Taking a model that somebody brings into the user's own, and letting it go again.

A model comes as a `model.toml` beside its weights (`model_file` has the keys), named itself or by its folder, or in a zip. It is
read, looked into, tried out and checked, and only then kept.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from pathlib import Path, PurePosixPath

from mirguard import __version__
from mirguard.errors import FileError, UsageError
from mirguard.files import put_folder
from mirguard.models import catalogue
from mirguard.models.file_hash import file_hash
from mirguard.models.imports.archives import LARGEST, Archive
from mirguard.models.imports.gradient_check import GradientCheck, check_gradient
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import FILE, KINDS, ModelFile, read_model_file
from mirguard.models.model_file import LARGEST as LARGEST_TOML
from mirguard.models.published.fetch import models_folder

Report = Callable[[str, float | None], None]
_TEMPORARY = ".adding-"  # the catalogue passes over what begins with a dot


def add_model(
    source: str | Path, name: str | None = None, *, replace: bool = False, progress: Report | None = None
) -> ModelFile:
    """Add the model in `source`, a model.toml, a folder with one or a zip with one, to the user's own; return what is kept.

    It is copied whole or not at all. Its card says that it was added, what it was made of, and whether a gradient reaches the
    waveform (SC-10, SC-11; and SC-15 where it comes with a parity file): a model that fails these is added all the same, and says
    so. `name` is what it is to be called here; `replace` lets go of the user's model of that name. `progress(text, fraction or
    None)` hears how far it is, and what it raises stops it. UsageError if the name is taken; FileError says what is wrong with the
    model.
    """
    report = progress or (lambda text, fraction: None)
    with _workplace() as folder:
        report("Reading the model", 0.0)
        found = _gather(Path(source).expanduser(), folder)
        file = changed(found, name=name if name is not None else found.name)
        file.write()
        file = read_model_file(folder)  # checks the new name as well
        _check_free(file.name, replace)
        report("Loading the model", 0.2)
        model = load_model_file(file)
        passes = itertools.count()
        check = check_gradient(
            model, file, rest=lambda: report("Checking its gradient", min(0.4 + 0.01 * next(passes), 0.9))
        )
        file = changed(file, card=_card(file, check))
        file.write()
        report("Keeping the model", 0.95)
        target = models_folder() / file.name
        try:
            put_folder(folder, target)
        except FileExistsError:  # another adding or training was quicker by a moment
            raise UsageError(f"You have a model called {file.name} already; give this one another name.") from None
    catalogue.forget(file.name)
    report("Added", 1.0)
    return read_model_file(target)


def remove_model(name: str) -> None:
    """Let go of a model of the user's, for good; UsageError if there is none of that name or it is not the user's."""
    info = catalogue.find_model(name)
    folder = Path(info.path).parent if info.path else models_folder() / info.name
    if info.kind != catalogue.YOURS or folder.parent.resolve() != models_folder().resolve():
        raise UsageError(f"{info.name} is not one of your models ({info.kind}), so it cannot be removed.")
    gone = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=models_folder())) / "removed"
    try:
        folder.rename(gone)
    except OSError as error:
        raise FileError(f"{info.name} cannot be removed from {models_folder()}: {error.strerror}.") from error
    finally:
        shutil.rmtree(gone.parent, ignore_errors=True)
    catalogue.forget(info.name)


@contextmanager
def _workplace() -> Iterator[Path]:
    """A folder on the same disk as the models; whatever is left in it goes."""
    try:
        models_folder().mkdir(parents=True, exist_ok=True)
        outer = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=models_folder()))
    except OSError as error:
        raise FileError(
            f"Models cannot be kept in {models_folder()}: {error.strerror}; name a folder that you may write to in MIRGUARD_DATA."
        ) from error
    try:
        folder = outer / "model"
        folder.mkdir()
        yield folder
    except OSError as error:
        raise FileError(f"The model cannot be kept in {models_folder()}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _gather(source: Path, folder: Path) -> ModelFile:
    """Copy what the model.toml in `source` names into `folder`, flat, and return it as it is there."""
    if not source.exists():
        raise FileError(f"There is no {source}.")
    if source.suffix.lower() in KINDS and not source.is_dir():
        raise FileError(
            f"{source.name} needs a {FILE} beside it that says what it takes and gives (sample_rate, window, task, labels); "
            f"write that and add the {FILE}."
        )
    if source.is_dir() or source.suffix.lower() == ".toml":
        file = read_model_file(source)
        for place in filter(None, (file.weights, file.parity)):
            _copy(file, place, folder)
    else:
        file = _unpack(source, folder)
    return changed(
        file,
        folder=folder,
        weights=PurePosixPath(file.weights).name,
        parity=PurePosixPath(file.parity).name if file.parity else "",
        called=FILE,
    )


def _copy(file: ModelFile, place: str, folder: Path) -> None:
    path = file.folder / place
    if not path.is_file():
        raise FileError(f"{file.name}: {place} is not in {file.folder}.")
    try:
        if path.stat().st_size > LARGEST:
            raise FileError(f"{file.name}: {place} is larger than {LARGEST >> 30} GB.")
        shutil.copyfile(path, folder / path.name)
    except OSError as error:
        raise FileError(f"{file.name}: {place} cannot be copied: {error.strerror or error}.") from error


def _unpack(source: Path, folder: Path) -> ModelFile:
    what = source.name
    with Archive(source, what) as archive:
        tomls = sorted(
            (name for name in archive.names() if PurePosixPath(name).name == FILE), key=lambda name: name.count("/")
        )
        if not tomls:
            raise FileError(f"There is no {FILE} in {what}.")
        if archive.size(tomls[0]) > LARGEST_TOML:
            raise FileError(f"{FILE} in {what} is far too large for one.")
        archive.extract(tomls[0], folder / FILE)
        file = read_model_file(folder)
        for place in filter(None, (file.weights, file.parity)):
            member = str(PurePosixPath(tomls[0]).parent / place)
            if member not in archive:
                raise FileError(f"{file.name}: {place} is not beside {FILE} in {what}.")
            archive.extract(member, folder / PurePosixPath(place).name)
    return file


def _check_free(name: str, replace: bool) -> None:
    for info in catalogue.list_models():
        if info.name.casefold() != name.casefold():
            continue
        if info.kind != catalogue.YOURS:
            raise UsageError(f"There is a {info.kind} model called {info.name} already; give yours another name.")
        if not replace:
            raise UsageError(
                f"You have a model called {info.name} already; give this one another name, or replace that one."
            )
    target = models_folder() / name
    if target.exists() and not (replace and target.is_dir() and not target.is_symlink()):
        raise UsageError(f"There is something called {name} in {models_folder()} already; give the model another name.")


def _card(file: ModelFile, check: GradientCheck) -> dict:
    """What whoever made the model says of it, what was found here, and what it was made of."""
    lineage = [entry for entry in file.card.get("lineage", []) if isinstance(entry, str)] if _is_list(file) else []
    origin = f"{file.kind}, SHA-256 {file_hash(file)}"
    return {
        **file.card,
        "made": "added",
        "lineage": [*lineage, *([] if origin in lineage else [origin])],
        "gradient": check.card(),
        "version": __version__,
    }


def _is_list(file: ModelFile) -> bool:
    return isinstance(file.card.get("lineage"), list)
