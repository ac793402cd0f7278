"""The two commands' own logic, without network or installing; and what is in the wheel."""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGING = CHECKOUT / "packaging"
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _load(name):
    """A module of packaging/, imported as the two commands do: by its plain name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGING))
        return importlib.import_module(name)


bootstrap = _load("bootstrap")
environment = _load("environment")
install = _load("install")
progress = _load("progress")
python_version = _load("python_version")
run = _load("run")
system_libraries = _load("system_libraries")


@pytest.fixture
def checkout(tmp_path) -> environment.Environment:
    """The environment of a small checkout that needs no packages but is installed by the real steps."""
    (tmp_path / "packaging").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "small"\n')
    (tmp_path / "packaging" / "constraints.txt").write_text(
        f"numpy==2\nscipy==1\n\n{environment.TESTS_HEADING}\npytest==9\n"
    )
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


@pytest.mark.parametrize("changed", ["pyproject.toml", "packaging/constraints.txt"])
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
    assert ".[test]" in installed[-1]
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
    assert (checkout.pinned(for_tests=False), checkout.pinned(for_tests=True)) == (2, 3)
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


# -- System libraries --------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch):
    """A Linux without any of the libraries and programs, where apt only writes down what it is asked for."""
    there: set[str] = set()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(system_libraries, "loads", lambda soname: soname in there)
    monkeypatch.setattr(system_libraries, "is_program", lambda name: name in there)
    monkeypatch.setattr(system_libraries, "is_plugin", lambda name: name in there)
    monkeypatch.setattr(system_libraries, "has_pip", lambda: "ensurepip" in there)
    return there


def _install_all(there, packages):
    table = {**system_libraries.LIBRARIES, **system_libraries.TEST_PROGRAMS, **system_libraries.TEST_PLUGINS}
    there |= {table.get(package, "ensurepip") for package in packages}


def test_missing_libraries_are_named_by_their_package(bare):
    venv_package = f"python3.{sys.version_info.minor}-venv"
    assert system_libraries.missing(False) == [venv_package, *system_libraries.LIBRARIES]
    assert {"libxcb-cursor0", "libportaudio2", "libgl1"} <= set(system_libraries.missing(False))
    assert {"xvfb", "openbox", "xdotool", "pulseaudio", "libasound2-plugins"} <= set(system_libraries.missing(True))
    bare.update({"ensurepip", "libGL.so.1", "Xvfb"})
    assert not {venv_package, "libgl1", "xvfb"} & set(system_libraries.missing(True))


def test_other_systems_bring_their_own(bare, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system_libraries.missing(True) == []


def test_what_loads_is_there():
    assert not system_libraries.loads("libno-such-thing.so.7")
    assert not system_libraries.is_program("no-such-program")
    assert not system_libraries.is_plugin("alsa-lib/no_such_plugin.so")


@pytest.mark.parametrize("root", [True, False])
def test_apt_is_asked_once_for_everything(bare, monkeypatch, console, root):
    asked = []
    bare.update({"apt-get", "ensurepip"})
    monkeypatch.setattr(system_libraries, "_is_root", lambda: root)
    monkeypatch.setattr(system_libraries, "may_install", lambda: True)

    def apt(console, command):
        asked.append(command)
        if "install" in command:
            _install_all(bare, command[command.index("--no-install-recommends") + 1 :])
        return 0, []

    monkeypatch.setattr(install, "_watch", apt)
    assert install.add_system_libraries(console, for_tests=True) == ["program", "test"]
    assert len(asked) == 2
    assert asked[0][-1] == "update"
    assert (asked[1][:2] == ["sudo", "-n"]) is (not root)
    assert {"libxcb-cursor0", "xvfb"} <= set(asked[1])
    assert install.add_system_libraries(console, for_tests=True) == ["program", "test"]
    assert len(asked) == 2


def test_without_rights_the_one_command_is_printed_and_things_go_on(bare, monkeypatch):
    bare.update({"apt-get", "ensurepip"})
    monkeypatch.setattr(system_libraries, "_is_root", lambda: False)
    monkeypatch.setattr(system_libraries, "may_install", lambda: False)
    console = progress.Console(3, io.StringIO())
    assert install.add_system_libraries(console, for_tests=False) == []
    wanted = " ".join(system_libraries.LIBRARIES)
    assert (
        f"      Install them with: sudo apt-get install --no-install-recommends {wanted}\n"
        in console._stream.getvalue()
    )


def test_a_failing_apt_says_why(bare, monkeypatch):
    bare.update({"apt-get", "ensurepip"})
    monkeypatch.setattr(system_libraries, "may_install", lambda: True)
    monkeypatch.setattr(install, "_watch", lambda console, command: (100, ["E: Unable to locate package libgl1"]))
    console = progress.Console(3, io.StringIO())
    assert install.add_system_libraries(console, for_tests=False) == []
    assert "E: Unable to locate package libgl1" in console._stream.getvalue()
    assert "apt-get install" in console._stream.getvalue()


def test_other_distributions_are_told_the_names(bare, monkeypatch):
    bare.add("ensurepip")
    console = progress.Console(3, io.StringIO())
    assert install.add_system_libraries(console, for_tests=False) == []
    assert "These are Debian's names" in console._stream.getvalue()


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
    assert len(installed) == 2


def test_a_python_without_ensurepip_says_what_to_install(checkout, bare, monkeypatch, console):
    monkeypatch.setattr(install, "_watch", lambda *arguments, **options: pytest.fail("nothing should be run"))
    with pytest.raises(environment.CannotPrepare, match=r"install python3\.\d+-venv and start again"):
        install.make_environment(console, checkout)


def test_a_checkout_that_cannot_be_written_is_a_sentence(checkout):
    checkout.lock.mkdir()  # for root too, a file that cannot be opened
    with pytest.raises(environment.CannotPrepare, match="copy the checkout to a folder of your own"):
        install.prepare(checkout)


# -- Versions of Python ------------------------------------------------------------------------------------------------


def test_the_supported_versions_are_those_of_the_project():
    oldest, newest = python_version.OLDEST, python_version.NEWEST
    assert PROJECT["requires-python"] == f">={oldest[0]}.{oldest[1]},<{newest[0]}.{newest[1] + 1}"
    listed = {line.rpartition(" ")[2] for line in PROJECT["classifiers"] if "Python ::" in line}
    assert listed == {f"3.{minor}" for minor in range(oldest[1], newest[1] + 1)}


@pytest.mark.parametrize(
    ("version", "good"),
    [((2, 7, 18), False), ((3, 10, 13), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)],
)
def test_which_versions_are_supported(version, good):
    assert python_version.supported(version) is good


def test_an_unsupported_python_hands_over_to_a_supported_one(monkeypatch):
    started = []
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "argv", ["packaging/run.py", "song.wav"])
    monkeypatch.setattr(python_version, "find", lambda: ["python3.12"])
    monkeypatch.setattr(subprocess, "call", lambda command: started.append(command) or 5)
    with pytest.raises(SystemExit) as ended:
        python_version.ensure()
    assert ended.value.code == 5
    assert started == [["python3.12", "packaging/run.py", "song.wav"]]


def test_without_a_supported_python_a_sentence_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    monkeypatch.setattr(sys, "argv", ["packaging/run.py"])
    monkeypatch.setattr(python_version, "candidates", lambda: [["no-such-python"], [sys.executable, "-c", "exit(1)"]])
    with pytest.raises(SystemExit) as ended:
        python_version.ensure()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("MIRGuard runs on Python 3.11 to 3.13; this is Python 3.14.")
    assert "python3.11 packaging/run.py" in said


def test_a_command_that_is_a_supported_python_is_found(monkeypatch):
    monkeypatch.setattr(python_version, "candidates", lambda: [["no-such-python"], [sys.executable]])
    assert python_version.find() == [sys.executable]


def _is_starred(node: ast.AST) -> bool:
    return isinstance(node, ast.Starred)


@pytest.mark.parametrize("name", ["run.py", "test.py", "python_version.py"])
def test_old_pythons_can_read_as_far_as_the_sentence(name):
    """No syntax younger than Python 2.7: no f-strings, annotations, walrus, match or unpacking into lists."""
    tree = ast.parse((PACKAGING / name).read_text(encoding="utf-8"))
    young = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.AsyncFunctionDef)
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.List, ast.Tuple)) and any(map(_is_starred, n.elts))]
    assert not [node for node in ast.walk(tree) if isinstance(node, young)]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    assert not [f for f in functions if f.returns or any(a.annotation for a in f.args.args) or f.args.kwonlyargs]
    prints = any(isinstance(node, ast.keyword) and node.arg == "file" for node in ast.walk(tree))
    assert not prints or "from __future__ import print_function" in ast.unparse(tree)
    at_once = {name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    assert at_once <= {"os", "sys", "subprocess", "python_version"}


# -- The command lines -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "before", "after"),
    [
        ("", [], []),
        ("a.wav b.wav", ["a.wav", "b.wav"], []),
        ("a.wav -- --pre", ["a.wav"], ["--pre"]),
        ("-- --pre -- x", [], ["--pre", "--", "x"]),
        ("a.wav --", ["a.wav"], []),
    ],
)
def test_options_after_two_dashes_are_pips(line, before, after):
    assert bootstrap.split(line.split()) == (before, after)


def test_own_options_come_first_and_the_rest_is_the_programs():
    options, rest = run.parse(["--demonstration", "--output=here", "song.wav", "--output", "there"])
    assert options == {"demonstration": True, "output": "here", "install_only": False, "help": False}
    assert rest == ["song.wav", "--output", "there"]
    assert run.parse(["--output", "here"])[0]["output"] == "here"
    with pytest.raises(run.WrongUsage, match="needs a folder"):
        run.parse(["--output"])


@pytest.mark.parametrize(
    ("environ", "screen"),
    [
        ({}, False),
        ({"DISPLAY": ""}, False),
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"QT_QPA_PLATFORM": "vnc"}, True),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "offscreen"}, False),
        ({"DISPLAY": ":0", "QT_QPA_PLATFORM": "minimal:enable_fonts"}, False),
    ],
)
def test_when_there_is_a_screen(monkeypatch, environ, screen):
    monkeypatch.setattr(sys, "platform", "linux")
    assert run.has_screen(environ) is screen
    monkeypatch.setattr(sys, "platform", "darwin")
    assert run.has_screen({})


def test_without_a_screen_the_demonstration_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.chdir(tmp_path)
    song = tmp_path / "song.wav"
    song.touch()
    plain = {"demonstration": False, "output": None}
    demonstration = "mirguard.workbench.demonstration"
    display = {"DISPLAY": ":0"}
    assert run.program(plain, [], {}) == (demonstration, ["--output", str(tmp_path / "mirguard-demo")])
    assert run.program({**plain, "output": "x"}, [str(song)], {}) == (
        demonstration,
        [str(song), "--output", str(tmp_path / "x")],
    )
    assert run.program(plain, [str(song)], display) == ("mirguard", [str(song)])
    assert run.program({**plain, "demonstration": True}, [], display)[0] == demonstration
    assert run.program(plain, [str(song), str(tmp_path)], {})[1][:2] == [str(song), "--output"]
    # A command of the terminal program needs no screen.
    assert run.program(plain, ["classify", str(song)], {}) == ("mirguard", ["classify", str(song)])
    with pytest.raises(run.WrongUsage, match="add --demonstration"):
        run.program({**plain, "output": "x"}, [], display)


@pytest.mark.parametrize("command", ["run.py", "test.py"])
def test_help_is_given_without_installing(command):
    result = subprocess.run([sys.executable, PACKAGING / command, "--help"], capture_output=True, text=True, check=True)
    assert f"python3 packaging/{command}" in result.stdout
    assert "-- PIP OPTIONS" in result.stdout


def test_wrong_usage_is_status_two():
    result = subprocess.run([sys.executable, PACKAGING / "run.py", "--output"], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (2, "--output needs a folder.\n")


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (environment.CannotPrepare("No network."), 1, "No network."),
        (KeyboardInterrupt(), 130, "Interrupted. Start again"),
    ],
)
def test_what_goes_wrong_is_said_on_standard_error(checkout, monkeypatch, capsys, raised, status, said):
    def fails(*arguments):
        raise raised

    monkeypatch.setattr(install, "prepare", fails)
    monkeypatch.setitem(sys.modules, "install", install)
    assert bootstrap.ready(checkout, [], []) == status
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.skipif(os.name == "nt", reason="a process is replaced only on POSIX systems")
def test_the_program_replaces_the_command(checkout, monkeypatch):
    became = []
    monkeypatch.setattr(os, "execv", lambda path, command: became.append((path, command)))
    bootstrap.hand_over(checkout, "mirguard", ["song.wav"])
    python = str(checkout.python)
    assert became == [(python, [python, "-P", "-m", "mirguard", "song.wav"])]


# -- What is shipped, and with what ------------------------------------------------------------------------------------


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _required(lines) -> set[str]:
    return {_normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


def test_every_requirement_has_an_exact_version():
    lines = (PACKAGING / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = _required(pins)
    assert len(pinned) == len(pins)
    assert _required(PROJECT["dependencies"]) | _required(PROJECT["optional-dependencies"]["test"]) <= pinned
    program = "\n".join(lines).partition(environment.TESTS_HEADING)[0].splitlines()
    assert _required(PROJECT["dependencies"]) <= _required(line for line in program if "==" in line)


def test_what_the_program_imports_is_what_it_requires():
    imported = set()
    for path in (CHECKOUT / "mirguard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {"mirguard", *sys.stdlib_module_names}
    names = {"PySide6": "pyside6-essentials", "shiboken6": "pyside6-essentials"}
    assert {names.get(name, _normal(name)) for name in imported} == _required(PROJECT["dependencies"])


def _build_wheel(folder: Path) -> Path:
    """The wheel of this checkout, built as pip builds it; the build tool is fetched where it is not there."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(CHECKOUT)]
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environ)
    if result.returncode and ("Retrying (" in result.stderr or "Connection" in result.stderr):
        pytest.skip("no network to fetch the build tool from")
    assert result.returncode == 0, result.stderr
    return next(folder.glob("*.whl"))


def test_an_installed_wheel_has_everything_and_finds_it(tmp_path):
    wheel = _build_wheel(tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    resources = [
        path for path in (CHECKOUT / "resources").rglob("*") if path.is_file() and not path.name.startswith(".")
    ]
    assert resources
    assert {f"mirguard/_resources/{path.relative_to(CHECKOUT / 'resources').as_posix()}" for path in resources} <= names
    code = {p.relative_to(CHECKOUT).as_posix() for p in (CHECKOUT / "mirguard").rglob("*.py")}
    assert code <= names
    assert {name.partition("/")[0] for name in names} == {"mirguard", f"{wheel.name.split('-py3')[0]}.dist-info"}
    # A stranger's `resources` beside the installed package must not be taken for ours.
    stranger = tmp_path / "site" / "resources" / resources[0].relative_to(CHECKOUT / "resources")
    stranger.parent.mkdir(parents=True)
    stranger.touch()
    script = """
    import json, sys
    from importlib.metadata import entry_points, version
    sys.path.insert(0, sys.argv[1])
    import mirguard
    from mirguard.errors import FileError
    from mirguard.resources import resource
    try:
        resource("no", "such.file")
    except FileError as error:
        sentence = str(error)
    own = [e for group in ("console_scripts", "gui_scripts") for e in entry_points(group=group) if e.dist.name == "mirguard"]
    print(json.dumps({
        "found": str(resource(*sys.argv[2].split("/"))), "sentence": sentence, "version": version("mirguard"),
        "same": mirguard.__version__, "commands": {e.name: callable(e.load()) for e in own},
    }))
    """
    relative = resources[0].relative_to(CHECKOUT / "resources").as_posix()
    command = [sys.executable, "-P", "-c", textwrap.dedent(script), str(tmp_path / "site"), relative]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    assert said["found"] == str(tmp_path / "site" / "mirguard" / "_resources" / relative)
    assert said["sentence"] == "The installation is incomplete: no/such.file is missing. Install MIRGuard again."
    assert said["version"] == said["same"]
    assert said["commands"] == {"mirguard": True, "mirguard-workbench": True}


def test_ci_runs_all_tests():
    script = CHECKOUT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "packaging/test.py" in script.read_text()


def test_the_top_level_holds_what_the_house_has():
    if not (CHECKOUT / ".git").exists() or not shutil.which("git"):
        pytest.skip("only git can tell what belongs to the project and what only lies about")
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    top = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    house = {"mirguard", "resources", "tests", "packaging", "pyproject.toml", "README.md"}
    assert {name for name in top if not name.startswith(".")} <= house


def test_style():
    with contextlib.chdir(CHECKOUT):
        result = subprocess.run([sys.executable, "-m", "ruff", "check", "."], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
