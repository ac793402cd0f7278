"""The system libraries and programs that no Python wheel brings, and how Debian and Ubuntu install them."""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
import shutil
import subprocess
import sys

# Debian's package -> the library in it that is loaded at run time: the first nine by Qt, the last by sounddevice.
LIBRARIES = {
    "libgl1": "libGL.so.1",
    "libegl1": "libEGL.so.1",
    "libxkbcommon0": "libxkbcommon.so.0",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libfontconfig1": "libfontconfig.so.1",
    "libdbus-1-3": "libdbus-1.so.3",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libportaudio2": "libportaudio.so.2",
}

# What the end-to-end tests need besides: Debian's package -> the program in it.
TEST_PROGRAMS = {"xvfb": "Xvfb", "openbox": "openbox", "xdotool": "xdotool", "pulseaudio": "pulseaudio"}

# ALSA loads this one itself, from folders that the dynamic loader does not search.
TEST_PLUGINS = {"libasound2-plugins": "alsa-lib/libasound_module_pcm_pulse.so"}
_LIBRARY_FOLDERS = ("/usr/lib/*", "/usr/lib64", "/usr/lib", "/usr/local/lib")

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # where dpkg finds ldconfig and its like


def loads(soname: str) -> bool:
    """Whether the dynamic loader finds a library that suits this Python."""
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def is_program(name: str) -> bool:
    return shutil.which(name) is not None


def is_plugin(name: str) -> bool:
    return any(glob.glob(f"{folder}/{name}") for folder in _LIBRARY_FOLDERS)


def has_pip() -> bool:
    """Whether this Python can make virtual environments that hold pip (Debian's cannot without one more package)."""
    importlib.invalidate_caches()  # it may have been installed a moment ago
    return importlib.util.find_spec("ensurepip") is not None


def venv_package() -> str:
    """The Debian package that lets this Python make virtual environments."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}-venv"


def missing(for_tests: bool) -> list[str]:
    """Names, as Debian calls them, of the packages whose library or program is not there. Empty outside Linux.

    The files are looked for, not the packages: that also answers on other distributions, and knows libraries that were
    built by hand or renamed (Ubuntu's libglib2.0-0t64).
    """
    if not sys.platform.startswith("linux"):
        return []
    packages = [] if has_pip() else [venv_package()]
    packages += [package for package, soname in LIBRARIES.items() if not loads(soname)]
    if for_tests:
        packages += [package for package, program in TEST_PROGRAMS.items() if not is_program(program)]
        packages += [package for package, plugin in TEST_PLUGINS.items() if not is_plugin(plugin)]
    return packages


def has_apt() -> bool:
    return is_program("apt-get")


def command_for_people(packages: list[str]) -> list[str]:
    """The one command that a person types to install packages."""
    return [*([] if _is_root() else ["sudo"]), "apt-get", "install", "--no-install-recommends", *packages]


def may_install() -> bool:
    """Whether packages can be installed here without asking anybody: as root, or with a sudo that wants no password."""
    if _is_root():
        return True
    return is_program("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0


def install_commands(packages: list[str]) -> list[list[str]]:
    """The commands that install packages without asking: the first renews the list of what there is, and may fail."""
    prefix = [] if _is_root() else ["sudo", "-n"]
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_PATH))
    apt = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", f"PATH={path}"]
    apt += ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=120"]
    return [[*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", *packages]]


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
