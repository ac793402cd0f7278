"""What this machine has, and whether MIRGuard works on it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mirguard import __version__
from mirguard.errors import MirguardError

FINE, NOTE, FAILS = "fine", "note", "fails"

# What only some work needs: the distribution, its module, what goes without it, how to get it.
LIBRARIES = (
    ("onnxruntime", "onnxruntime", "ONNX models cannot be heard", "onnxruntime"),
    ("scikit-learn", "sklearn", "models on a backbone and models without gradients cannot be trained", "scikit-learn"),
    ("mirdata", "mirdata", "the field's datasets cannot be downloaded or validated here", "'mirguard[data]'"),
)


@dataclass(frozen=True)
class Finding:
    """`verdict` is "fine", "note" (a normal state one may want to change) or "fails"."""

    what: str
    verdict: str
    detail: str


def examine(self_test: bool = True) -> list[Finding]:
    """Everything there is to say, in the order of the house; never raises."""
    checks: list[tuple[str, Callable[[], Iterator[tuple[str, str]]]]] = [
        ("System", _system),
        ("Torch", _torch),
        ("Window", _window),
        ("Sound", _sound),
        ("Data folder", _data),
        ("Libraries", _libraries),
        ("Models", partial(_models, load=self_test)),
    ]
    if self_test:
        checks.append(("Self-test", _self_test))
    findings = []
    for what, check in checks:
        try:
            findings += [Finding(what, verdict, detail) for verdict, detail in check()]
        except (MirguardError, ImportError, OSError, RuntimeError) as error:
            findings.append(Finding(what, FAILS, f"{type(error).__name__}: {error}"))
    return findings


def _system() -> Iterator[tuple[str, str]]:
    supported = (3, 11) <= sys.version_info[:2] <= (3, 13)
    yield (
        FINE if supported else FAILS,
        f"MIRGuard {__version__}, Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores",
    )


def _torch() -> Iterator[tuple[str, str]]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU, computing on the CPU"
    yield FINE, f"{torch.__version__}, {torch.get_num_threads()} threads; {device}"
    can_flush = torch.set_flush_denormal(True)
    torch.set_flush_denormal(False)  # the question was only whether it can
    if not can_flush:
        yield NOTE, "this processor cannot flush denormal numbers; models may run slowly."


def _window() -> Iterator[tuple[str, str]]:
    for name in ("PySide6-Essentials", "pyqtgraph"):
        try:
            yield FINE, f"{name} {version(name)}"
        except PackageNotFoundError:
            yield FAILS, f"{name} is not installed; install MIRGuard again."
            return
    # In a process of its own: the terminal never imports Qt, and a missing system library shows only on import.
    tried = subprocess.run([sys.executable, "-c", "import PySide6.QtWidgets"], capture_output=True, text=True)
    if tried.returncode:
        reason = (tried.stderr.strip().splitlines() or ["it gives no reason"])[-1]
        yield FAILS, f"Qt cannot be loaded ({reason}); install the system libraries that the README names."
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield NOTE, "no screen here (neither DISPLAY nor WAYLAND_DISPLAY is set); the terminal works without one."


def _sound() -> Iterator[tuple[str, str]]:
    from mirguard.playback.sinks import NO_DEVICE, SoundError, devices, portaudio

    try:
        portaudio()
    except SoundError as error:
        yield NOTE, str(error)
        return
    found = devices()
    if not found:
        yield NOTE, NO_DEVICE
    for device in found:
        yield FINE, f"{device.name}{' (default)' if device.is_default else ''}, {device.sample_rate} Hz"


def _data() -> Iterator[tuple[str, str]]:
    from mirguard.resources import data_folder

    folder = data_folder()
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):  # trying is the only way to know
            pass
        yield FINE, str(folder)
    except OSError as error:
        yield (
            NOTE,
            f"{folder} cannot be written ({error.strerror}): fetched models and references will not be kept; "
            "name another folder in MIRGUARD_DATA.",
        )


def _libraries() -> Iterator[tuple[str, str]]:
    for name, module, without, what in LIBRARIES:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield NOTE, f"{name} is not installed, so {without}; pip install {what}"
            continue
        try:
            if module != "mirdata":  # takes seconds, and is only ever run in a process of its own
                import_module(module)
            yield FINE, f"{name} {found}"
        except ImportError as error:
            reason = (str(error).splitlines() or ["it gives no reason"])[0].rstrip(".")
            yield (
                FAILS,
                f"{name} {found} cannot be loaded ({reason}), so {without}; pip install --force-reinstall {name}",
            )


def _models(load: bool) -> Iterator[tuple[str, str]]:
    """What the catalogue says of each; the user's own ones are also loaded where `load`, as only that shows whether they can be."""
    from mirguard.models.catalogue import READY, TO_BE_FETCHED, UNUSABLE, YOURS, list_models, load_model

    verdicts = {UNUSABLE: FAILS, TO_BE_FETCHED: NOTE}
    models = list_models()
    away = {info.name for info in models if info.state == TO_BE_FETCHED}
    for info in models:
        verdict, detail = verdicts.get(info.state, FINE), f"{info.name}: {info.state}. {info.how}".rstrip()
        if load and info.kind == YOURS and info.state == READY:
            if awaited := _backbone(info.path) & away:
                verdict, detail = (
                    NOTE,
                    f"{info.name}: {info.state}, but not tried: {awaited.pop()} is to be fetched first.",
                )
            else:
                try:
                    load_model(info.name)
                except (MirguardError, ImportError, OSError, RuntimeError) as error:
                    verdict, detail = FAILS, f"{info.name}: it cannot be loaded. {_line(error)}"
        yield verdict, detail


def _backbone(path: str) -> set[str]:
    """The name of the model that the one of this model.toml is built upon, if it is."""
    from mirguard.models.model_file import read_model_file

    named = read_model_file(path).network.get("backbone")
    return {named} if isinstance(named, str) else set()


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _self_test() -> Iterator[tuple[str, str]]:
    """The whole way once: load, attack, export, re-read, detect."""
    from mirguard.clip import load_clip
    from mirguard.experiment import attack
    from mirguard.experiment.detecting import detect
    from mirguard.models.bundled import NAME as TOY
    from mirguard.models.catalogue import load_model
    from mirguard.resources import demo_clip

    model, clip = load_model(TOY), load_clip(demo_clip())
    with tempfile.TemporaryDirectory() as folder:
        outcome = attack(model, clip, "pgd", snr=30.0, export_to=Path(folder) / "adversarial.wav")
        found = f"{outcome.clean.label} → {outcome.exported.decision.label} at {outcome.snr_db:.1f} dB in {outcome.seconds:.1f} s"
        yield (FINE if outcome.success and outcome.snr_db >= 30.0 else FAILS), f"pgd on the demo clip: {found}"
        (reading,) = detect(model, outcome.clip, ("kde",))
        yield FINE, f"kde: percentile {reading.percentile:.0f}, {'flagged' if reading.flagged else 'not flagged'}"
