"""Making a checkout ready: the stamp, interrupted starts, and what pip says. Without network or installing."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
import venv
from pathlib import Path

import pytest
from packaging_modules import (
    PACKAGING,
    environment,
    install,
    progress,
    python_version,
    system_libraries,
)


@pytest.fixture
def checkout(tmp_path) -> environment.Environment:
    """The environment of a small checkout that needs no packages but is installed by the real steps."""
    (tmp_path / "packaging").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "small"\n')
    (tmp_path / "packaging" / "constraints.txt").write_text(
        f"numpy==2\nscipy==1\n\n{environment.TESTS_HEADING}\npytest==9\n"
    )
    (tmp_path / "packaging" / "peers.txt").write_text("foolbox==3\n")
    return environment.Environment(tmp_path)


@pytest.fixture
def console():
    return progress.Console(3, io.StringIO())


@pytest.fixture
def installed(checkout, monkeypatch):
    """Counts what is done; makes environments without pip (an empty module says it is there) and runs no pip."""
    done = []

    def watch(console, command, on_line=lambda line: None, **options):
        done.append(command)
        if "venv" in command:
            _small_venv(checkout.folder)
        return 0, []

    monkeypatch.setattr(install, "_watch", watch)
    monkeypatch.setattr(system_libraries, "missing", lambda for_tests: [])
    return done


def _small_venv(folder: Path) -> None:
    venv.create(folder, symlinks=os.name != "nt")
    site = next(folder.glob("[Ll]ib/**/site-packages"))
    (site / "pip").mkdir()
    (site / "pip" / "__init__.py").touch()


# -- The stamp ---------------------------------------------------------------------------------------------------------


def test_the_second_start_does_nothing(checkout, installed):
    install.prepare(checkout)
    assert checkout.is_ready()
    first = len(installed)
    assert first == 2  # one environment, one pip
    install.prepare(checkout)
    assert len(installed) == first


def test_a_start_that_is_ready_loads_no_installer(checkout, installed):
    """What makes the second start quick: the modules that install are not even imported."""
    code = """
    import sys
    sys.path.insert(0, sys.argv[1])
    import bootstrap, environment
    class Ready(environment.Environment):
        def is_ready(self, extras=(), pip_options=()): return True
    assert bootstrap.ready(Ready(), [], []) == 0
    print(sorted({"install", "progress", "subprocess", "ctypes"} & set(sys.modules)))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), PACKAGING], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("changed", ["pyproject.toml", "packaging/constraints.txt", "packaging/peers.txt"])
def test_a_changed_requirement_installs_again(checkout, installed, changed):
    install.prepare(checkout)
    with open(checkout.root / changed, "a") as file:
        file.write("# changed\n")
    assert not checkout.is_ready()
    install.prepare(checkout)
    assert checkout.is_ready()
    assert len(installed) == 3  # the environment is kept, pip runs again


def test_a_moved_checkout_installs_again(checkout, installed):
    install.prepare(checkout)
    moved = environment.Environment(checkout.root.rename(checkout.root.with_name("moved")))
    assert not moved.is_ready()


def test_another_interpreter_behind_the_environment_is_noticed(checkout, installed):
    install.prepare(checkout)
    if os.name != "nt":
        checkout.python.unlink()
        checkout.python.write_text("#!/bin/sh\n")
        checkout.python.chmod(0o755)
    assert not checkout.is_ready()


def test_extras_are_kept_and_added(checkout, installed):
    install.prepare(checkout, ["test"])
    assert checkout.is_ready()
    assert checkout.is_ready(["test"])
    (checkout.root / "pyproject.toml").write_text("# changed\n")
    install.prepare(checkout)
    *_, own, peers = installed
    assert ".[test]" in own
    assert {"--no-deps", str(checkout.peers)} <= set(peers)
    assert checkout.is_ready(["test"])


def test_the_program_alone_does_not_suffice_for_the_tests(checkout, installed):
    install.prepare(checkout)
    assert not checkout.is_ready(["test"])


def test_options_for_pip_are_passed_once_and_remembered(checkout, installed):
    options = ["--extra-index-url", "https://example.org/cpu"]
    install.prepare(checkout, (), options)
    assert installed[-1][-2:] == options
    assert checkout.is_ready()
    assert checkout.is_ready((), options)
    assert not checkout.is_ready((), ["--pre"])
    (checkout.root / "pyproject.toml").write_text("# changed\n")
    install.prepare(checkout)
    assert installed[-1][-2:] == options


@pytest.mark.parametrize("content", ["", "{", "[]", '{"made_from": 1}', "\x00"])
def test_a_torn_stamp_is_no_stamp(checkout, installed, content):
    install.prepare(checkout)
    checkout.stamp.write_text(content)
    assert not checkout.is_ready()
    install.prepare(checkout)
    assert checkout.is_ready()


def test_no_index_is_named_or_overridden(checkout, installed):
    """Which index pip asks, and where else it looks, is the user's configuration."""
    install.prepare(checkout)
    assert not {"--index-url", "--find-links", "--no-index", "--isolated"} & set(installed[-1])
    assert not [name for name in install._PIP_SETTINGS if "INDEX" in name or "LINKS" in name]


def test_missing_libraries_are_looked_for_at_each_start(checkout, installed, monkeypatch):
    """Without running pip again: that they are missing says nothing about the packages."""
    there = []
    monkeypatch.setattr(install, "add_system_libraries", lambda console, for_tests: list(there))
    install.prepare(checkout, ["test"])
    assert not checkout.is_ready()
    there.append("program")
    install.prepare(checkout)
    assert checkout.is_ready()
    # A start of the program alone must not hide that the tests still lack something.
    assert not checkout.is_ready(["test"])
    there.append("test")
    install.prepare(checkout, ["test"])
    assert checkout.is_ready(["test"])
    assert len(installed) == 3  # one environment, pip for the packages and for the peers


def test_a_checkout_that_cannot_be_written_is_a_sentence(checkout):
    checkout.lock.mkdir()  # for root too, a file that cannot be opened
    with pytest.raises(environment.CannotPrepare, match="copy the checkout to a folder of your own"):
        install.prepare(checkout)


# -- Interrupted starts ------------------------------------------------------------------------------------------------


def _site_packages(checkout) -> Path:
    return next(checkout.folder.glob("[Ll]ib/**/site-packages"))


def test_an_environment_left_half_made_is_made_anew(checkout, installed):
    checkout.folder.mkdir()
    checkout.unfinished.touch()
    (checkout.folder / "pyvenv.cfg").write_text("version = 3.11.0\n")
    (checkout.folder / "rubbish").touch()
    install.prepare(checkout)
    assert checkout.is_ready()
    assert not (checkout.folder / "rubbish").exists()
    assert not checkout.discarded.exists()


def test_pip_stopped_while_installing_leads_to_a_new_environment(checkout, installed, monkeypatch):
    """pip writes a package's files one by one: after a kill some may be missing while the package counts as there."""
    quiet = install._watch

    def killed(console, command, on_line=lambda line: None, **options):
        if "pip" in command:
            on_line("Collecting numpy")
            assert not checkout.unfinished.exists()  # nothing has been changed yet
            on_line("Installing collected packages: numpy, scipy")
            assert checkout.unfinished.exists()
            (_site_packages(checkout) / "half").touch()
            raise KeyboardInterrupt
        return quiet(console, command, on_line, **options)

    monkeypatch.setattr(install, "_watch", killed)
    with pytest.raises(KeyboardInterrupt):
        install.prepare(checkout)
    assert checkout.state() == "broken"
    assert not checkout.is_ready()
    monkeypatch.setattr(install, "_watch", quiet)
    install.prepare(checkout)
    assert checkout.is_ready()
    assert not (_site_packages(checkout) / "half").exists()


def test_an_interrupted_download_keeps_the_environment(checkout, installed, monkeypatch):
    quiet = install._watch

    def killed(console, command, on_line=lambda line: None, **options):
        if "pip" in command:
            raise KeyboardInterrupt
        return quiet(console, command, on_line, **options)

    monkeypatch.setattr(install, "_watch", killed)
    with pytest.raises(KeyboardInterrupt):
        install.prepare(checkout)
    assert checkout.state() == "usable"
    assert not checkout.is_ready()


def test_an_update_interrupted_while_installing_is_not_ready(checkout, installed):
    install.prepare(checkout)
    checkout.unfinished.touch()
    assert not checkout.is_ready()


def test_an_interrupted_removal_is_finished(checkout, installed):
    (checkout.discarded / "lib").mkdir(parents=True)
    checkout.folder.mkdir()
    checkout.unfinished.touch()
    install.prepare(checkout)
    assert checkout.is_ready()
    assert not checkout.discarded.exists()


def test_an_environment_of_an_unsupported_python_is_made_anew(checkout, installed, monkeypatch):
    install.prepare(checkout)
    monkeypatch.setattr(python_version, "supported", lambda version: False)
    assert checkout.state() == "broken"


def test_an_environment_whose_python_was_upgraded_is_made_anew(checkout, installed):
    install.prepare(checkout)
    configuration = checkout.folder / "pyvenv.cfg"
    configuration.write_text(re.sub(r"version = \d+\.\d+", "version = 3.1", configuration.read_text()))
    assert checkout.state() == "broken"


def test_somebody_elses_folder_is_left_alone(checkout, installed):
    checkout.folder.mkdir()
    (checkout.folder / "thesis.tex").touch()
    with pytest.raises(environment.CannotPrepare, match="is no Python environment; move it away"):
        install.prepare(checkout)
    assert (checkout.folder / "thesis.tex").exists()


def test_a_users_own_environment_is_used(checkout, installed):
    _small_venv(checkout.folder)
    install.prepare(checkout)
    assert not [command for command in installed if "venv" in command]
    assert checkout.is_ready()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to end a child with")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_being_told_to_end_ends_the_children(checkout, console, number):
    pid = None

    def end(line):
        nonlocal pid
        pid = int(line)
        os.kill(os.getpid(), number)

    child = [sys.executable, "-uc", "import os, time\nprint(os.getpid())\ntime.sleep(600)"]
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), install._ended_like_interrupted():
        install._watch(console, child, end)
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_only_one_start_installs_at_a_time(checkout):
    order = []
    holding, waiting = threading.Event(), threading.Event()

    def first():
        with checkout.locked(lambda: order.append("first waits")):
            holding.set()
            waiting.wait(60)
            order.append("first done")

    thread = threading.Thread(target=first)
    thread.start()
    holding.wait(60)

    def on_wait():
        order.append("second waits")
        waiting.set()

    with checkout.locked(on_wait):
        order.append("second begins")
    thread.join()
    assert order == ["second waits", "first done", "second begins"]


@pytest.mark.skipif(os.name == "nt", reason="descriptors are not handed to children there")
def test_a_pip_that_outlives_its_start_keeps_the_next_one_waiting(checkout, console):
    sleeper = "import time, sys\nprint('up', flush=True)\nsys.stdin.readline()"
    with checkout.locked(lambda: None) as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", sleeper],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            **install._holding(lock),
        )
        child.stdout.readline()
    waited = []

    def end_child():
        waited.append(True)
        child.communicate(b"\n")

    with checkout.locked(end_child):
        pass
    assert waited == [True]


# -- What pip says -----------------------------------------------------------------------------------------------------

PIP_OUTPUT = """\
WARNING: Location 'somewhere' is ignored: it is neither a file nor a directory.
Obtaining file:///home/me/mirguard
  Installing build dependencies: started
  Installing build dependencies: finished with status 'done'
Collecting numpy>=2.0
  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (62 kB)
Collecting scipy>=1.14
  Using cached scipy-1.17.1-cp311-cp311-manylinux_2_28_x86_64.whl (36.1 MB)
Processing /srv/wheels/torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl
Requirement already satisfied: soxr>=0.5 in ./site-packages (1.1.0)
Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)
Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.9 MB)
Installing collected packages: numpy, scipy, torch
Successfully installed numpy-2.4.6 scipy-1.17.1 torch-2.13.0
"""


def test_pip_is_told_in_few_words():
    reader = progress.PipReader(total=2)
    said = [text for line in PIP_OUTPUT.splitlines() if (text := reader.read(line))]
    assert said == [
        "preparing MIRGuard itself",
        "1 of about 2: scipy 1.17.1 (36.1 MB)",
        "2 of about 2: torch 2.13.0",
        "3 of about 3: numpy 2.4.6 (16.9 MB)",
        "installing 3 packages",
    ]
    assert reader.installing


def test_the_reason_is_pips_last_error(checkout, console, monkeypatch):
    lines = ["Collecting nothing", "ERROR: first", "ERROR: No matching distribution found for nothing"]

    def fails(console, command, on_line, **options):
        for line in lines:
            on_line(line)
        return 1, lines

    _small_venv(checkout.folder)
    monkeypatch.setattr(install, "_watch", fails)
    with pytest.raises(environment.CannotPrepare, match="No matching distribution found for nothing") as failure:
        install.install_packages(console, checkout, [], [], 0)
    assert str(checkout.log) in str(failure.value)
    assert "first" in checkout.log.read_text()
    lines.insert(0, "WARNING: Retrying (Retry(total=4)) after connection broken")
    with pytest.raises(environment.CannotPrepare, match="Connect to the network and start again"):
        install.install_packages(console, checkout, [], [], 0)


def test_the_number_of_packages_is_known_beforehand(checkout):
    assert (checkout.pinned(for_tests=False), checkout.pinned(for_tests=True)) == (2, 4)
    real = environment.Environment()
    assert 15 < real.pinned(False) < real.pinned(True)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_long_silences_are_counted_on_a_terminal_and_noted_in_a_file(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    screen, file = Terminal(), io.StringIO()
    consoles = [progress.Console(3, screen), progress.Console(3, file)]
    for console in consoles:
        console.step("Python packages")
        console.detail("torch")
    for _ in range(32):
        clock[0] += 1
        for console in consoles:
            console.tick()
    for console in consoles:
        console.step("End")
    assert file.getvalue() == "[1/3] Python packages\n      torch\n" + (
        "      torch (for 15 s)\n      torch (for 30 s)\n[2/3] End\n"
    )
    assert screen.getvalue().count("\n") == 3
    assert "\r      torch  32 s\n[2/3] End\n" in screen.getvalue()


def test_a_command_is_watched_to_its_end(console):
    lines = []
    code = "import sys\nprint('out', flush=True)\nprint('fehler ü', file=sys.stderr)\nsys.exit(3)"
    child = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    status, output = install._watch(console, [sys.executable, "-c", code], lines.append, env=child)
    assert (status, output) == (3, ["out", "fehler ü"])
    assert lines == output
