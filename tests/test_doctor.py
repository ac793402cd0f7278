"""What the doctor says of machines that lack something, and whether it calls that an illness."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from mirguard import cli, doctor
from mirguard.doctor import FAILS, FINE, NOTE, Finding, examine
from mirguard.errors import FileError
from mirguard.models import bundled, catalogue
from mirguard.models.model_file import read_model_file
from mirguard.playback import sinks
from mirguard.playback.sinks import NO_DEVICE, NO_LIBRARY, SoundError
from mirguard.resources import resource


def found(what: str, **options) -> list[Finding]:
    return [finding for finding in examine(**options) if finding.what == what]


@pytest.fixture(autouse=True)
def _qt_loads(monkeypatch):
    """The process that tries to load Qt takes a second; only the tests of it need it."""
    real = subprocess.run
    monkeypatch.setattr(
        doctor.subprocess,
        "run",
        lambda command, **options: real(["true"] if "import PySide6.QtWidgets" in command else command, **options),
    )


def test_a_machine_that_works_is_fine_from_end_to_end(own_data):
    findings = examine()
    assert not [finding for finding in findings if finding.verdict == FAILS]
    attack, reading = (finding.detail for finding in findings if finding.what == "Self-test")
    assert "pgd on the demo clip: " in attack
    assert " dB " in attack
    assert "kde" in reading
    assert [finding.what for finding in findings if finding.what == "Self-test"] == ["Self-test"] * 2


def test_every_finding_is_a_verdict_and_a_line():
    for finding in examine(self_test=False):
        assert finding.verdict in (FINE, NOTE, FAILS)
        assert finding.detail
        assert "\n" not in finding.detail


def test_no_portaudio_is_a_note(monkeypatch):
    def missing():
        raise SoundError(NO_LIBRARY)

    monkeypatch.setattr(sinks, "portaudio", missing)
    assert found("Sound", self_test=False) == [Finding("Sound", NOTE, NO_LIBRARY)]


def test_no_sound_device_is_a_note(monkeypatch):
    monkeypatch.setattr(sinks, "portaudio", lambda: None)
    monkeypatch.setattr(sinks, "devices", list)
    assert found("Sound", self_test=False) == [Finding("Sound", NOTE, NO_DEVICE)]


def test_sound_devices_are_named(monkeypatch):
    there = [sinks.Device("Speakers", 0, True, 2, 48000), sinks.Device("Headset", 3, False, 2, 44100)]
    monkeypatch.setattr(sinks, "portaudio", lambda: None)
    monkeypatch.setattr(sinks, "devices", lambda: there)
    assert [(f.verdict, f.detail) for f in found("Sound", self_test=False)] == [
        (FINE, "Speakers (default), 48000 Hz"),
        (FINE, "Headset, 44100 Hz"),
    ]


def test_no_screen_is_a_note(monkeypatch):
    monkeypatch.setattr(doctor.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    notes = [finding for finding in found("Window", self_test=False) if finding.verdict == NOTE]
    assert len(notes) == 1
    assert "no screen" in notes[0].detail
    monkeypatch.setenv("DISPLAY", ":0")
    assert all(finding.verdict == FINE for finding in found("Window", self_test=False))


def test_a_missing_part_of_the_window_is_a_failure(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    (finding,) = found("Window", self_test=False)
    assert finding == Finding("Window", FAILS, "PySide6-Essentials is not installed; install MIRGuard again.")


def test_a_missing_system_library_of_qt_is_a_failure_with_its_name(monkeypatch):
    said = "Traceback\nImportError: libEGL.so.1: cannot open shared object file: No such file or directory\n"
    monkeypatch.setattr(
        doctor.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1, "", said)
    )
    (failure,) = (finding for finding in found("Window", self_test=False) if finding.verdict == FAILS)
    assert "libEGL.so.1" in failure.detail


def test_a_data_folder_that_is_not_there_yet_is_fine_and_stays_away(tmp_path, monkeypatch):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path / "a" / "b"))
    assert found("Data folder", self_test=False) == [Finding("Data folder", FINE, str(tmp_path / "a" / "b"))]
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_written_is_a_note(tmp_path, monkeypatch):
    """A file where the folder should be stops even root."""
    (tmp_path / "data").write_text("I am a file.")
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path / "data"))
    (finding,) = found("Data folder", self_test=False)
    assert finding.verdict == NOTE
    assert "Not a directory" in finding.detail
    assert "MIRGUARD_DATA" in finding.detail


def test_models_are_fine_to_be_fetched_or_broken(monkeypatch):
    def info(name, **about):
        return catalogue.ModelInfo(name, name, "tagging", 16000, 48000, ("a", "b"), **about)

    there = [
        info("here"),
        info("away", state=catalogue.TO_BE_FETCHED, how="It is downloaded."),
        info("torn", state=catalogue.UNUSABLE, how="It is damaged."),
    ]
    monkeypatch.setattr(catalogue, "list_models", lambda: there)
    assert [(f.verdict, f.detail) for f in found("Models", self_test=False)] == [
        (FINE, "here: ready."),
        (NOTE, "away: to be fetched. It is downloaded."),
        (FAILS, "torn: unusable. It is damaged."),
    ]


def an_own_model(name: str, **changes) -> Path:
    """A copy of the bundled toy model in the user's folder; its model.toml."""
    place = catalogue.own_folder(name)
    shutil.copytree(resource("models", bundled.NAME), place)
    return dataclasses.replace(read_model_file(place), name=name, **changes).write()


def test_own_models_are_loaded_to_see_whether_they_can_be(own_data, monkeypatch):
    an_own_model("sound")
    weights = an_own_model("torn").parent / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    catalogue.own_folder("odd").mkdir()
    (catalogue.own_folder("odd") / "model.toml").write_text("name = 3\n")
    tuned = {"name": "backbone", "backbone": "musicnn-msd", "backbone_hash": "0", "layers": ["penultimate"]}
    an_own_model("tuned", network=tuned)
    monkeypatch.setattr(doctor, "_self_test", lambda: iter(()))
    models = {finding.detail.partition(":")[0]: finding for finding in found("Models")}
    assert models["sound"].verdict == FINE
    assert models["torn"].verdict == FAILS
    assert "it cannot be loaded" in models["torn"].detail
    assert models["odd"].verdict == FAILS
    assert (models["tuned"].verdict, models["musicnn-msd"].verdict) == (NOTE, NOTE), (
        "nothing is downloaded for a diagnosis"
    )
    assert "musicnn-msd is to be fetched first" in models["tuned"].detail
    quick = {finding.detail.partition(":")[0]: finding for finding in found("Models", self_test=False)}
    assert quick["torn"].verdict == FINE, "the quick look loads nothing"


@pytest.mark.parametrize(("name", "what"), [("onnxruntime", "onnxruntime"), ("mirdata", "'mirguard[data]'")])
def test_a_missing_library_is_a_note_with_what_it_would_do(monkeypatch, name, what):
    real = doctor.version

    def absent(wanted):
        if wanted == name:
            raise PackageNotFoundError(name)
        return real(wanted)

    monkeypatch.setattr(doctor, "version", absent)
    (note,) = (finding for finding in found("Libraries", self_test=False) if finding.verdict == NOTE)
    assert note.detail.startswith(f"{name} is not installed, so ")
    assert note.detail.endswith(f"; pip install {what}")


def test_a_library_that_cannot_be_loaded_is_a_failure_with_its_reason(monkeypatch):
    def broken(module):
        raise ImportError(f"DLL load failed while importing {module}.\nmore")

    monkeypatch.setattr(doctor, "import_module", broken)
    monkeypatch.setattr(doctor, "version", lambda name: "1.0")
    verdicts = [(finding.verdict, finding.detail) for finding in found("Libraries", self_test=False)]
    assert [verdict for verdict, _ in verdicts] == [FAILS, FAILS, FINE]
    assert "(DLL load failed while importing onnxruntime), so ONNX models" in verdicts[0][1]


@pytest.mark.parametrize(
    "error",
    [FileError("The installation is incomplete."), ImportError("no torch"), OSError(28, "full"), RuntimeError("x")],
)
def test_a_check_that_breaks_is_a_finding_and_no_end(monkeypatch, error):
    def broken():
        raise error

    monkeypatch.setattr(catalogue, "list_models", broken)
    findings = examine(self_test=False)
    (finding,) = (finding for finding in findings if finding.what == "Models")
    assert finding.verdict == FAILS
    assert type(error).__name__ in finding.detail
    assert len({finding.what for finding in findings}) == 7


# -- In the terminal ---------------------------------------------------------------------------------------------------

ONE_OF_EACH = [Finding("A", FINE, "good"), Finding("B", NOTE, "not bad")]


@pytest.mark.parametrize("ill", [False, True])
def test_the_exit_status_tells_health(monkeypatch, capsys, ill):
    findings = ONE_OF_EACH + ([Finding("C", FAILS, "broken")] if ill else [])
    monkeypatch.setattr(doctor, "examine", lambda self_test: findings)
    assert cli.main(["doctor"]) == int(ill)
    shown = capsys.readouterr()
    assert shown.out.splitlines()[:2] == ["fine     A: good", "note     B: not bad"]
    assert shown.err == ""
    assert cli.main(["doctor", "--json"]) == int(ill)
    document = json.loads(capsys.readouterr().out)
    assert document["healthy"] is not ill
    assert document["findings"][0] == {"what": "A", "verdict": "fine", "detail": "good"}


@pytest.mark.parametrize("options", [[], ["--quick"]])
def test_quick_leaves_out_the_self_test(monkeypatch, capsys, options):
    asked = []
    monkeypatch.setattr(doctor, "examine", lambda self_test: asked.append(self_test) or ONE_OF_EACH)
    cli.main(["doctor", *options])
    assert asked == [not options]


def test_nothing_is_left_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.tempfile, "tempdir", str(tmp_path))
    assert not [finding for finding in found("Self-test") if finding.verdict == FAILS]
    assert os.listdir(tmp_path) == []
    assert Path(doctor.tempfile.gettempdir()) == tmp_path
