"""The two commands' command lines, and what is in the wheel."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging_modules import (
    CHECKOUT,
    PACKAGING,
    bootstrap,
    environment,
    install,
    python_version,
    run,
)

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


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
def test_what_goes_wrong_is_said_on_standard_error(monkeypatch, capsys, raised, status, said):
    def fails(*arguments):
        raise raised

    monkeypatch.setattr(environment.Environment, "is_ready", lambda *arguments: False)
    monkeypatch.setattr(install, "prepare", fails)
    monkeypatch.setitem(sys.modules, "install", install)
    assert bootstrap.ready(environment.Environment(), [], []) == status
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


@pytest.mark.skipif(os.name == "nt", reason="a process is replaced only on POSIX systems")
def test_the_program_replaces_the_command(tmp_path, monkeypatch):
    checkout = environment.Environment(tmp_path)
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
    peers = (PACKAGING / "peers.txt").read_text(encoding="utf-8").splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in peers if not line.startswith("#"))


def test_what_the_program_imports_is_what_it_requires():
    imported = set()
    for path in (CHECKOUT / "mirguard").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {"mirguard", "mirdata", *sys.stdlib_module_names}  # mirdata is an extra, imported where it is there
    names = {"PySide6": "pyside6-essentials", "shiboken6": "pyside6-essentials", "sklearn": "scikit-learn"}
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
