"""The modules of packaging/, which is no package: imported as its commands do, by their plain names."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGING = CHECKOUT / "packaging"

with pytest.MonkeyPatch.context() as _patch:
    _patch.syspath_prepend(str(PACKAGING))
    bootstrap, environment, install, progress, python_version, run, system_libraries = map(
        importlib.import_module,
        ("bootstrap", "environment", "install", "progress", "python_version", "run", "system_libraries"),
    )
