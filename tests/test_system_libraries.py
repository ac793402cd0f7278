"""Missing system libraries are found, installed where that is allowed, and otherwise named."""

from __future__ import annotations

import io
import sys

import pytest
from packaging_modules import (
    environment,
    install,
    progress,
    system_libraries,
)


@pytest.fixture
def console():
    return progress.Console(3, io.StringIO())


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


def test_a_python_without_ensurepip_says_what_to_install(tmp_path, bare, monkeypatch, console):
    monkeypatch.setattr(install, "_watch", lambda *arguments, **options: pytest.fail("nothing should be run"))
    with pytest.raises(environment.CannotPrepare, match=r"install python3\.\d+-venv and start again"):
        install.make_environment(console, environment.Environment(tmp_path))
