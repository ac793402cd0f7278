"""Starting the workbench: without a screen, with trouble nobody foresaw; and the demonstration that needs no screen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mirguard.clip import load_clip, save_clip
from mirguard.errors import FileError
from mirguard.workbench import app
from mirguard.workbench.demonstration import main as demonstrate

CHECKOUT = Path(__file__).resolve().parent.parent


def test_without_a_screen_there_is_one_sentence_and_no_traceback():
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "mirguard"], env=environment, cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert "no screen" in line
    assert "demonstration" in line


def test_the_window_is_there_before_torch():
    """On the screen first, then the libraries that take seconds."""
    code = (
        "import sys\n"
        "from mirguard.workbench.app import make_application\n"
        "app = make_application()\n"
        "from mirguard.workbench.window import Window\n"
        "window = Window()\n"
        "window.show()\n"
        "app.processEvents()\n"
        "assert window.isVisible()\n"
        "print(sorted({'torch', 'librosa', 'sounddevice'} & set(sys.modules)))\n"
        "window.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("environment", "there"),
    [
        ({"DISPLAY": ":0"}, True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, True),
        ({"QT_QPA_PLATFORM": "offscreen"}, True),
        ({}, False),
    ],
)
def test_what_counts_as_a_screen(monkeypatch, environment, there):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert app.has_screen() == there


def test_an_exception_nobody_caught_is_told_with_details_and_logged_once(caplog):
    told = []
    with app.Troubles(lambda sentence, kind, details: told.append((sentence, kind, details))) as troubles:
        for _ in range(3):
            try:
                raise ValueError("out of a paint method")
            except ValueError as error:
                troubles.hear(type(error), error, error.__traceback__)
        assert sys.excepthook == troubles.hear
    assert sys.excepthook != troubles.hear
    assert len(told) == 3, "the window counts them in one message"
    sentence, kind, details = told[0]
    assert "out of a paint method" in sentence
    assert kind == "error"
    assert "Traceback" in details
    assert len(caplog.records) == 1


@pytest.mark.long
def test_the_demonstration_leaves_sounds_picture_and_report(tmp_path, tone, noise, qapp, capsys):
    song = save_clip(tone(seconds=4.0, channels=2, level=0.3), tmp_path / "song.wav")
    out = tmp_path / "made" / "here"
    assert demonstrate([str(song), "--output", str(out), "--model", "toy-instruments"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "adversarial.wav",
        "perturbation.wav",
        "report.html",
        "window.png",
    ]
    assert load_clip(out / "adversarial.wav").samples.shape == load_clip(song).samples.shape
    report = (out / "report.html").read_text()
    assert "data:image/png;base64," in report
    assert "snr_db" in report
    assert "10·log₁₀(Σx²/Σd²) over all channels" in report, "every export names its definition of SNR"
    assert "Hash of the model" in report and "<th>Seed" in report
    assert "http" not in report.replace("http-equiv", ""), "the page needs nothing from elsewhere"
    said = capsys.readouterr().out
    assert str(out / "report.html") in said
    assert "Detectors: original" in said and "asked" in said


def test_a_demonstration_that_cannot_write_says_so(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert demonstrate(["--output", str(tmp_path / "file" / "here")]) == FileError.status
    assert "cannot be made" in capsys.readouterr().err


def test_a_demonstration_of_a_file_that_is_no_sound_says_so(tmp_path, qapp, capsys):
    (tmp_path / "song.wav").write_text("text")
    out = tmp_path / "out"
    assert demonstrate([str(tmp_path / "song.wav"), "--output", str(out), "--model", "toy-instruments"]) == 1
    assert "song.wav" in capsys.readouterr().err
    assert list(out.iterdir()) == []
