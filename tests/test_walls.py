"""Who may import whom: the rules themselves, and proofs that they hold when the program runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

CHECKOUT = Path(__file__).resolve().parent.parent
NO_TORCH = (
    "analysis",
    "clip",
    "datasets",
    "errors",
    "files",
    "parameters",
    "playback",
    "resources",
    "sound_files",
    "words",
)

# Run first in a fresh interpreter: an import of one of these names fails, as if it were not installed.
BLOCK = """
import importlib.abc, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}} (blocked)", name=name)

sys.meta_path.insert(0, Blocked())
"""
QT = ("PySide6", "shiboken6", "pyqtgraph")


def run_blocked(blocked: tuple[str, ...], code: str, *arguments: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter in which the modules named cannot be imported."""
    script = BLOCK.format(blocked=set(blocked)) + code
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


def modules(*rooms: str) -> list[str]:
    """The names of all modules in these rooms."""
    files = [path for path in (CHECKOUT / "mirguard").rglob("*.py") if path.name != "__main__.py"]
    names = [".".join(path.relative_to(CHECKOUT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    return sorted(name for name in names if name.split(".")[1:2] and name.split(".")[1] in rooms)


def rooms() -> set[str]:
    """What lies directly in the package: folders with modules in them, and single modules."""
    return {
        path.stem
        for path in (CHECKOUT / "mirguard").iterdir()
        if not path.name.startswith("_") and (path.suffix == ".py" or any(path.glob("*.py")))
    }


def lint(checkout: Path) -> subprocess.CompletedProcess:
    """import-linter on a checkout, by its own configuration."""
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache", "--no-logo"], cwd=checkout, capture_output=True, text=True)


# -- The rules ---------------------------------------------------------------------------------------------------------


def test_the_walls_stand():
    result = lint(CHECKOUT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("breach", "statement", "contract"),
    [
        ("experiment.py", "import PySide6.QtCore", "Only the workbench imports Qt"),
        ("cli/__init__.py", "import pyqtgraph", "Only the workbench imports Qt"),
        ("analysis/__init__.py", "import torch", "What shows, measures and plays sound needs no torch"),
        ("playback/__init__.py", "from mirguard.models import contract", "What shows, measures and plays sound"),
        ("models/__init__.py", "import mirguard.attacks", "Nothing imports upwards"),
        ("detectors/__init__.py", "import mirguard.attacks", "Nothing imports upwards"),
        ("errors.py", "import mirguard.clip", "Nothing imports upwards"),
        ("a_new_room.py", "", "Nothing imports upwards"),
    ],
)
def test_a_breach_is_noticed(tmp_path, breach, statement, contract):
    shutil.copytree(CHECKOUT / "mirguard", tmp_path / "mirguard", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    with open(tmp_path / "mirguard" / breach, "a", encoding="utf-8") as file:
        file.write(f"\n{statement}\n")
    result = lint(tmp_path)
    assert result.returncode == 1
    assert any(line.startswith(contract) and "BROKEN" in line for line in result.stdout.splitlines()), result.stdout


def test_packaging_is_no_package():
    """A package of that name from the index is imported by half the ecosystem; ours must never hide it."""
    assert not (CHECKOUT / "packaging" / "__init__.py").exists()


# -- What they promise, at run time ------------------------------------------------------------------------------------


def test_everything_but_the_workbench_imports_without_qt():
    names = modules(*rooms() - {"workbench"})
    assert len(names) > 20
    result = run_blocked(QT, "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names)
    assert result.returncode == 0, result.stderr


def test_the_rooms_of_sound_import_without_torch():
    names = modules(*NO_TORCH)
    assert set(NO_TORCH) <= {name.split(".")[1] for name in names}
    result = run_blocked(
        ("torch",), "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names
    )
    assert result.returncode == 0, result.stderr


def test_blocking_blocks():
    for blocked in ("torch", "pyqtgraph"):
        assert "(blocked)" in run_blocked((blocked,), f"import {blocked}").stderr


def test_the_terminal_loads_neither_qt_nor_torch_before_it_needs_them():
    code = "import sys, mirguard.cli\nprint([name for name in ('torch', 'PySide6', 'librosa') if name in sys.modules])"
    result = run_blocked((), code)
    assert (result.returncode, result.stdout.strip()) == (0, "[]"), result.stderr


def test_the_terminal_works_without_qt(tmp_path, tone):
    """Every command that computes, from a sound to a verdict, where Qt cannot be imported."""
    original, attacked = tmp_path / "original.wav", tmp_path / "attacked.wav"
    soundfile.write(original, tone(rate=22050, seconds=4.0).samples.T, 22050, "PCM_16")
    code = """
import contextlib, io, json
from mirguard.cli import main
documents = {}
for line in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        status = main([*line, "--json"])
    documents[line[0]] = [status, json.loads(text.getvalue())]
json.dump(documents, sys.stdout)
"""
    model = ["--model", "toy-instruments"]
    lines = [
        ["models", "list"],
        ["classify", str(original), *model],
        ["attack", str(original), *model, "--attack", "pgd", "--steps", "3", "--snr", "40", "-o", str(attacked)],
        ["detect", str(attacked), *model],
        ["compare", str(original), str(attacked)],
    ]
    result = run_blocked(QT, code, json.dumps(lines))
    assert result.returncode == 0, result.stderr
    documents = json.loads(result.stdout)
    assert {command: status for command, (status, _) in documents.items()} == {line[0]: 0 for line in lines}
    assert documents["attack"][1]["exported"]["path"] == str(attacked)
    assert documents["compare"][1]["snr_db"] >= 39.9


@pytest.mark.long
def test_all_tests_that_need_no_window_pass_without_qt():
    """The same tests once more, on a machine without Qt; those of the window are left out."""
    options = ["-p", "no:pytest-qt", "--without-qt", "-p", "no:cacheprovider", "-m", "not long and not window", "-q"]
    command = [sys.executable, "-m", "pytest", *options]
    result = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-5000:] + result.stderr[-2000:]
    assert " passed" in result.stdout
