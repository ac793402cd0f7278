"""A sound server of a test's own: a private PulseAudio daemon whose only device is a null sink.

It takes what is played in real time, through the same ALSA and PulseAudio layers as on a desktop, and what arrives
there can be recorded to the sample (`record`). Nothing of the machine's own sound set-up is read or touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SINK = "mirguard"
NEEDED = ("pulseaudio", "parec", "pactl")
ASOUNDRC = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> str | None:
    """Why this machine cannot run the server; None if it can."""
    absent = [program for program in NEEDED if shutil.which(program) is None]
    if absent:
        return f"{', '.join(absent)} not found: install pulseaudio and libasound2-plugins"
    plugins = [*Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")]
    plugins += Path("/usr/lib64").glob("alsa-lib/libasound_module_pcm_pulse.so")
    return None if plugins else "ALSA's PulseAudio plugin not found: install libasound2-plugins"


class PulseServer:
    """A running server; programs started with `environment` play on its null sink."""

    def __init__(self, folder: Path, rate: int, process: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
        self.folder, self.rate, self.process, self.environment = folder, rate, process, environment

    @contextmanager
    def record(self, path: Path) -> Iterator[None]:
        """Record what the sink plays, as raw float32 stereo, until the block ends; read it with `read`."""
        with path.open("wb") as file:
            recorder = subprocess.Popen(
                ["parec", f"--device={SINK}.monitor", "--format=float32le", f"--rate={self.rate}", "--channels=2",
                 "--raw", "--latency-msec=50"],
                stdout=file,
                env=self.environment,
            )  # fmt: skip
            try:
                _wait(lambda: path.stat().st_size > 0, "parec records nothing")
                yield
                time.sleep(0.3)  # what was played last is still on its way
            finally:
                recorder.terminate()
                recorder.wait(10)


def read(path: Path) -> np.ndarray:
    """A recording: float32 (2, frames)."""
    samples = np.fromfile(path, np.float32)
    return samples[: len(samples) // 2 * 2].reshape(-1, 2).T


@contextmanager
def pulse_server(rate: int = 44100) -> Iterator[PulseServer]:
    """Start the server, and stop it at the end of the block.

    Its folder has a short path of its own: a Unix socket's may not exceed 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix="mg-pulse-"))
    socket = folder / "native"
    configuration = folder / "asoundrc"
    configuration.write_text(f"</usr/share/alsa/alsa.conf>\n{ASOUNDRC}")
    environment = {
        **os.environ,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_STATE_PATH": str(folder),
        "PULSE_CONFIG_PATH": str(folder),
        "ALSA_CONFIG_PATH": str(configuration),
    }
    for name in ("PULSE_SERVER", "PULSE_SINK", "PULSE_LATENCY_MSEC", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
        environment.pop(name, None)
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [
            "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes",
            "--realtime=no", "--high-priority=no", "--log-target=stderr",
            f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
            # Without `norewinds` a null sink renders two seconds ahead and lets a stream that starts wait for so long.
            f"--load=module-null-sink sink_name={SINK} format=float32le rate={rate} channels=2 norewinds=1",
        ],
        stdout=log,
        stderr=log,
        env=environment,
    )  # fmt: skip
    environment["PULSE_SERVER"] = f"unix:{socket}"
    if "DISPLAY" in os.environ:
        environment["DISPLAY"] = os.environ["DISPLAY"]
    try:

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError(f"pulseaudio ended: {(folder / 'log').read_text(errors='replace')}")
            done = subprocess.run(["pactl", "list", "short", "sinks"], env=environment, capture_output=True, timeout=10)
            return SINK.encode() in done.stdout

        _wait(answers, "pulseaudio does not answer")
        yield PulseServer(folder, rate, process, environment)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(condition, complaint: str, seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(complaint)
        time.sleep(0.05)
