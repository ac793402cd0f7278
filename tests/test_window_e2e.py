"""mirguard.workbench on a real screen with a window manager, by mouse and keys: drop, run, play, switch, export."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pulse
import pytest
import x_display

from mirguard.clip import Clip, energy, load_clip, save_clip

TESTS = Path(__file__).resolve().parent
PATIENCE = 120  # seconds; how long a busy machine may take for one thing

pytestmark = [pytest.mark.window, pytest.mark.skipif(x_display.missing() is not None, reason=str(x_display.missing()))]


class App:
    """The running program: what it shows, and hands to use it with."""

    def __init__(self, screen: x_display.Screen, state: Path, process: subprocess.Popen) -> None:
        self.screen, self.process, self._state = screen, process, state

    def state(self) -> dict:
        assert self.process.poll() is None, "the program has ended"
        return json.loads(self._state.read_text()) if self._state.exists() else {}

    def until(self, there: Callable[[dict], object], what: str) -> dict:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            state = self.state()
            if state and there(state):
                return state
            time.sleep(0.1)
        shown = {name: value for name, value in self.state().items() if name != "places"}
        pytest.fail(f"waited in vain for {what}: {shown}")

    def middle(self, name: str) -> tuple[int, int]:
        """The middle of the widget of that accessible name, on the screen."""
        state = self.until(lambda state: name in state["places"], name)
        x, y, width, height = state["places"][name]
        return x + width // 2, y + height // 2

    def click(self, name: str) -> None:
        self.screen.click(*self.middle(name))


@contextmanager
def program(screen: x_display.Screen, folder: Path, environment: dict[str, str], *files: Path) -> Iterator[App]:
    """The program with settings and state in `folder`."""
    state = folder / "state.json"
    state.unlink(missing_ok=True)
    log = folder / "log.txt"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, str(TESTS / "observed_app.py"), str(state), *map(str, files)],
            env={**environment, "XDG_CONFIG_HOME": str(folder / "config")},
            cwd=TESTS.parent,
            stdout=output,
            stderr=output,
        )
        try:
            yield App(screen, state, process)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the settings of somebody who uses the bundled model and exports to `out`."""
    (tmp_path / "out").mkdir()
    settings = tmp_path / "config" / "MIRGuard" / "workbench.ini"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[General]\nversion=1\nmodel=toy-instruments\n\n[folders]\nexport={tmp_path / 'out'}\n")
    return tmp_path


@pytest.fixture
def song(tmp_path: Path, tone, noise) -> Path:
    """Six seconds, stereo, 44.1 kHz."""
    sines = tone(rate=44100, seconds=6.0, channels=2, level=0.3).samples
    hiss = noise(rate=44100, seconds=6.0, channels=2, level=0.01).samples
    return save_clip(Clip(sines + hiss, 44100), tmp_path / "my song.wav")


def test_drop_run_play_switch_and_export(place: Path, song: Path) -> None:
    with ExitStack() as stack:
        screen = stack.enter_context(x_display.screen())
        environment, server = dict(screen.environment), None
        if pulse.missing() is None:
            server = stack.enter_context(pulse.pulse_server())
            names = ("ALSA_CONFIG_PATH", "PULSE_SERVER", "PULSE_RUNTIME_PATH", "PULSE_STATE_PATH", "PULSE_CONFIG_PATH")
            environment |= {name: server.environment[name] for name in names}
        app = stack.enter_context(program(screen, place, environment))
        app.until(lambda state: state["model"] == "toy-instruments", "the model")

        drop(stack, app, song)
        state = app.until(lambda state: state["label"] and "original" in state["readings"], "labels and reading")
        assert state["clips"] == ["my song.wav"]

        # A number typed into a field is not taken for keys: there are digits in it that would switch sounds.
        app.click("SNR, value")
        screen.key("ctrl+a")
        screen.do("type", "12")
        screen.key("Return")
        app.until(lambda state: state["level"] == ["snr", 12.0], "the budget typed")
        screen.key("ctrl+r")
        state = app.until(lambda state: state["outcome"] and not state["running"], "the result")
        label, success, status = state["outcome"]
        assert (success, status) == (True, "success")
        assert label != state["label"]
        app.until(
            lambda state: "adversarial" in state["readings"] and len(state["pictures"]) == 3, "reading and pictures"
        )

        listen_and_switch(app, server, place)
        export(app, place, song)

        screen.key("ctrl+q")
        assert app.process.wait(30) == 0


def drop(stack: ExitStack, app: App, song: Path) -> None:
    """Drag the file from a window beside the program into it."""
    x, y = 1390, 820
    source = subprocess.Popen(
        [sys.executable, str(TESTS / "drag_source.py"), str(song), str(x), str(y)], env=app.screen.environment
    )
    stack.callback(source.wait, 10)
    stack.callback(source.terminate)
    target = app.middle("Original spectrogram")
    for _ in range(5):
        time.sleep(1.0)  # until the small window is there
        app.screen.drag((x + 40, y + 30), target)
        time.sleep(1.0)
        if app.state().get("clips"):
            return
    app.until(lambda state: state["clips"], "the file dropped")


def listen_and_switch(app: App, server: pulse.PulseServer | None, place: Path) -> None:
    """Play with Space, switch with X and with 3; what the sound server got is not silence."""
    recording = place / "heard.raw"
    with ExitStack() as stack:
        if server is not None:
            stack.enter_context(server.record(recording))
        app.screen.key("Home", "space")
        app.until(lambda state: state["playing"] and state["position"] > 0.5, "the sound")
        app.screen.key("x")
        state = app.until(lambda state: state["selected"] == "adversarial", "the adversarial")
        assert state["playing"]
        app.click("Hear the perturbation")
        app.until(lambda state: state["selected"] == "perturbation", "the perturbation")
        app.screen.key("1")
        app.until(lambda state: state["selected"] == "original", "the original")
        app.screen.key("space")
        state = app.until(lambda state: not state["playing"], "silence")
        assert state["position"] > 0.5
    if server is not None:
        assert not state["silent"]
        heard = pulse.read(recording)
        assert float(np.sqrt(np.mean(heard.astype(np.float64) ** 2))) > 0.01


def export(app: App, place: Path, song: Path) -> None:
    """Ctrl+E, Return; the files are what they should be."""
    app.screen.key("ctrl+e")
    app.until(lambda state: state["dialogs"] == ["Export"], "the dialog")
    time.sleep(0.5)
    app.click("Export")
    adversarial, perturbation = (place / "out" / f"my song.pgd.{what}.wav" for what in ("adversarial", "perturbation"))
    end = time.monotonic() + PATIENCE
    while not (adversarial.exists() and perturbation.exists()) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(0.5)
    original, result, difference = (load_clip(path) for path in (song, adversarial, perturbation))
    np.testing.assert_allclose(difference.samples, result.samples - original.samples, atol=2**-15)
    snr = 10 * math.log10(energy(original.samples) / energy(result.samples - original.samples))
    assert snr >= 12.0
    from mirguard.models.catalogue import load_model
    from mirguard.models.tracks import classify

    model = load_model("toy-instruments")
    assert classify(model, result).label == app.state()["outcome"][0] != classify(model, original).label
    app.screen.key("Escape")
    app.until(lambda state: state["dialogs"] == [], "the dialog's end")


def test_escape_stops_an_attack_and_the_window_remembers_its_place(place: Path, song: Path) -> None:
    with x_display.screen() as screen:
        with program(screen, place, screen.environment, song) as app:
            app.until(lambda state: state["label"], "the label of the file named at the start")
            window = screen.do("search", "--name", "my song.wav · MIRGuard").splitlines()[0]
            screen.do("windowsize", "--sync", window, 1180, 760)
            app.until(lambda state: state["window"][2:] == [1180, 760], "the size")
            app.click("Iterations, value")
            screen.key("ctrl+a")
            screen.do("type", "900")
            screen.key("Return")
            screen.key("ctrl+r")
            app.until(lambda state: state["gradients"] > 0, "the attack")
            screen.key("Escape")
            state = app.until(lambda state: not state["running"], "its end")
            assert state["messages"] == []
            assert state["outcome"] is None or state["outcome"][2] in ("cancelled", "success")
            screen.key("ctrl+q")
            assert app.process.wait(30) == 0
        with program(screen, place, screen.environment) as app:
            state = app.until(lambda state: state["window"][2] > 0, "the window")
            assert state["window"][2:] == [1180, 760]
            assert state["clips"] == []
