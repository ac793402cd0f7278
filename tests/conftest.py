"""What every test gets: no screen, no sound, settings and data of its own, one thread, and nothing left running.

Nothing here imports Qt or torch, so that the tests of a room that needs neither start at once and run without them.
"""

from __future__ import annotations

import importlib.abc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parent
CHECKOUT = TESTS.parent

# Before anything imports Qt: a test that wants a real window starts the program in a process with another environment.
os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ.pop("QT_SCALE_FACTOR", None)
# Before anything imports torch: the same number of threads everywhere, so that results are the same everywhere. One, since the
# models of most tests are tiny, and two that wait for each other on a busy machine are many times slower.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

QT = ("PySide6", "shiboken6", "pyqtgraph", "pytestqt")


class WithoutQt(importlib.abc.MetaPathFinder):
    """Makes Qt unimportable, as on a server where only the terminal and Python are used."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in QT:
            raise ModuleNotFoundError(f"No module named {name!r} (made unimportable by --without-qt)", name=name)
        return None


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    if not pluginmanager.hasplugin("pytest-qt"):
        for name in ("qt_api", "qt_log_level_fail", "qt_log_ignore"):
            parser.addini(name, "an option of pytest-qt in pyproject.toml, which is not loaded", type="linelist")
    parser.addoption(
        "--without-qt",
        action="store_true",
        help="make Qt unimportable and leave out the test files that are about the window (use with -p no:pytest-qt)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-qt"):
        loaded = sorted(set(QT) & set(sys.modules))
        if loaded:
            raise pytest.UsageError(f"--without-qt comes too late: {', '.join(loaded)} is loaded; add -p no:pytest-qt")
        sys.meta_path.insert(0, WithoutQt())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With --without-qt, leave out every file of tests that names Qt, its fixtures or the workbench."""
    if config.getoption("--without-qt") and collection_path.suffix == ".py" and collection_path.is_file():
        text = collection_path.read_text(encoding="utf-8")
        if any(
            word in text for word in ("PySide6", "pyqtgraph", "qtbot", "qapp", "mirguard.workbench", "from workbench")
        ):
            return True
    return None


# -- Where a test may write --------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's settings, data and cache folders lie in a temporary folder: no test sees or changes the person's own.

    All tests of a run share one data folder, so that a model is fetched once. MIRGUARD_TEST_DATA names a folder that
    outlives the run, for people who run tests often.
    """
    home = tmp_path_factory.mktemp("home")
    lasting = os.environ.get("MIRGUARD_TEST_DATA")
    places = {
        "MIRGUARD_DATA": Path(lasting) if lasting else home / "data",
        "XDG_CONFIG_HOME": home / "config",
        "XDG_DATA_HOME": home / "share",
        "XDG_STATE_HOME": home / "state",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, place in places.items():
            place.mkdir(parents=True, exist_ok=True)
            patch.setenv(name, str(place))
        yield home


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty user's data folder for this test alone, for tests that add models or look at a first start."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("MIRGUARD_DATA", str(folder))
    return folder


@pytest.fixture(autouse=True)
def _own_settings(_own_home: Path, tmp_path: Path) -> None:
    """Fresh QSettings for each test: what a window remembers must not reach the next test."""
    core = sys.modules.get("PySide6.QtCore")
    if core is None:
        return
    for format in (core.QSettings.Format.NativeFormat, core.QSettings.Format.IniFormat):
        core.QSettings.setPath(format, core.QSettings.Scope.UserScope, str(tmp_path / "settings"))


# -- Nothing is left running -------------------------------------------------------------------------------------------


def _stop_or_name(threads: list[threading.Thread]) -> list[str]:
    """The threads that do not end by themselves within a moment."""
    for thread in threads:
        thread.join(2.0)
    return [thread.name for thread in threads if thread.is_alive()]


@pytest.fixture(autouse=True)
def _no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test fails if it leaves a thread running that would keep the program from ending, or any QThread."""
    before = set(threading.enumerate())
    started = []
    core = sys.modules.get("PySide6.QtCore")
    if core is not None:
        start = core.QThread.start

        def remembered_start(thread, *arguments):
            started.append(thread)
            start(thread, *arguments)

        monkeypatch.setattr(core.QThread, "start", remembered_start)
    yield
    left = _stop_or_name([t for t in threading.enumerate() if t not in before and t.is_alive() and not t.daemon])
    valid = sys.modules["shiboken6"].isValid if started else None
    left += [
        f"{type(thread).__name__} {thread.objectName()!r}"
        for thread in started
        if valid(thread) and thread.isRunning() and not thread.wait(2000)
    ]
    if left:
        pytest.fail(f"The test left threads running: {', '.join(left)}.", pytrace=False)


# -- Sounds ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tone() -> Callable:
    """`tone(rate=22050, seconds=1.0, channels=1, frequency=440.0, level=0.5)`: a Clip of sines, a fifth apart."""
    from mirguard.clip import Clip

    def make(
        rate: int = 22050, seconds: float = 1.0, channels: int = 1, frequency: float = 440.0, level: float = 0.5
    ) -> Clip:
        time = np.arange(max(1, round(rate * seconds))) / rate
        pitches = frequency * 1.5 ** np.arange(channels)
        return Clip((level * np.sin(2 * np.pi * pitches[:, None] * time)).astype(np.float32), rate)

    return make


@pytest.fixture(scope="session")
def noise() -> Callable:
    """`noise(rate=22050, seconds=1.0, channels=1, level=0.1, seed=0)`: a Clip of white noise with that RMS."""
    from mirguard.clip import Clip

    def make(rate: int = 22050, seconds: float = 1.0, channels: int = 1, level: float = 0.1, seed: int = 0) -> Clip:
        samples = np.random.default_rng(seed).standard_normal((channels, max(1, round(rate * seconds))))
        return Clip(np.clip(level * samples, -1.0, 1.0).astype(np.float32), rate)

    return make


@pytest.fixture(scope="session")
def music_dir() -> Path:
    """The folder with the five real recordings: MIRGUARD_MUSIC, or `shared/music` beside the checkout.

    Recordings are not in the repository; where they cannot be had, the tests that need them are left out.
    """
    named = os.environ.get("MIRGUARD_MUSIC")
    folder = Path(named) if named else CHECKOUT.parent / "shared" / "music"
    if not any(folder.glob("*.ogg")):
        pytest.skip(f"no recordings in {folder}; name a folder with some in MIRGUARD_MUSIC")
    return folder


@pytest.fixture(scope="session")
def music(music_dir: Path) -> list[Path]:
    """The recordings themselves, in order of name."""
    return sorted(music_dir.glob("*.ogg"))


# -- Random tests ------------------------------------------------------------------------------------------------------


def _prepare_hypothesis() -> None:
    """No time limits (a busy machine is no error), and the same examples in every run."""
    from hypothesis import settings

    settings.register_profile("mirguard", deadline=None, derandomize=True, print_blob=True, max_examples=50)
    settings.load_profile("mirguard")


_prepare_hypothesis()
