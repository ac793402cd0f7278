"""How often sound comes too late while a model is attacked in the same process.

Plays a 30 s stereo clip in a loop on a real sound server (a private PulseAudio with a null sink, or with `--device`
the machine's own), while another thread runs a PGD-like loop on a convolutional network. Prints what the player
counted, and the gaps in what the sound server played: the clip has no silence, so each run of zeros is one.

    python tests/benchmarks/playback_underruns.py [--seconds 60] [--latency 0.15] [--no-load] [--device]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

RATE = 44100
GAP = 8  # frames of zeros


def attack(done: threading.Event, count: list[int]) -> None:
    """PGD on 3 s windows at 16 kHz, with as many threads as the workbench's engine has."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) - 1))
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        *(
            layer
            for before, after in ((1, 16), (16, 32), (32, 64))
            for layer in (torch.nn.Conv2d(before, after, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
        ),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(64, 10),
    ).requires_grad_(False)
    window = torch.hann_window(512)
    clip = 0.1 * torch.randn(4, 48000)
    delta = torch.zeros_like(clip, requires_grad=True)
    while not done.is_set():
        spectrum = torch.stft(clip + delta, 512, 256, window=window, return_complex=True).abs()
        loss = torch.nn.functional.cross_entropy(
            net(spectrum.add(1e-6).log()[:, None]), torch.zeros(4, dtype=torch.long)
        )
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            delta += 0.0002 * gradient.sign()
            delta.clamp_(-0.002, 0.002)
        count[0] += 1


def play(seconds: float, latency: float, load: bool) -> dict[str, object]:
    """Play in this process; what the player says."""
    from mirguard.playback.player import Player

    generator = np.random.default_rng(0)
    clip = (0.2 * generator.standard_normal((2, 30 * RATE))).clip(-1, 1).astype(np.float32)
    clip[clip == 0] = 1e-3
    done, steps = threading.Event(), [0]
    worker = threading.Thread(target=attack, args=(done, steps))
    if load:
        worker.start()
        while steps[0] < 3:  # torch is loaded and at work
            time.sleep(0.05)
    before = steps[0]
    with Player(latency=latency) as player:
        player.load({"original": clip, "adversarial": clip * np.float32(0.9)}, RATE)
        player.loop = (1.0, 29.0)
        player.play()
        player.wait()
        began = time.monotonic()
        asked = getattr(player._transport.output.sink, "latency", 0.0)
        while time.monotonic() - began < seconds:
            time.sleep(0.5)
            player.select("adversarial" if player.selected == "original" else "original")
        blocks, lasted = player._transport.output.sink.blocks, time.monotonic() - began
        result = {
            "device": player.output,
            "silent": player.silent,
            "notice": player.notice,
            "latency_ms": round(1000 * asked, 1),
            "seconds": round(lasted, 1),
            "callbacks_per_second": round(blocks / lasted, 1),
            "attack_steps": steps[0] - before,
            "underruns": player.underruns,
        }
    done.set()
    if load:
        worker.join()
    return result


def gaps(recording: np.ndarray) -> tuple[int, float]:
    """Runs of zeros within what was played: how many, and how long the longest is in milliseconds."""
    silent = ~recording.any(axis=0)
    sounding = np.flatnonzero(~silent)
    if not len(sounding):
        return 0, 0.0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], silent[sounding[0] : sounding[-1] + 1].astype(np.int8), [0]])))
    lengths = edges[1::2] - edges[::2]
    lengths = lengths[lengths >= GAP]
    return len(lengths), 1000 * float(lengths.max(initial=0)) / RATE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--latency", type=float, default=None, help="asked for, in seconds (default: the player's)")
    parser.add_argument("--no-load", action="store_true", help="without the attack beside it")
    parser.add_argument("--device", action="store_true", help="on this machine's own device, in this process")
    options = parser.parse_args()
    if options.latency is None:
        from mirguard.playback.sinks import LATENCY

        options.latency = LATENCY
    if options.device:
        print(json.dumps(play(options.seconds, options.latency, not options.no_load), indent=2))
        return
    import pulse

    if pulse.missing():
        sys.exit(f"This needs a sound server: {pulse.missing()}; or --device.")
    command = [sys.executable, __file__, "--device", f"--seconds={options.seconds}", f"--latency={options.latency}"]
    with pulse.pulse_server(RATE) as server, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        with server.record(path):
            done = subprocess.run(
                command + ["--no-load"] * options.no_load, env=server.environment, stdout=subprocess.PIPE, check=True
            )
        count, longest = gaps(pulse.read(path))
    result = json.loads(done.stdout)
    result |= {"gaps_heard": count, "longest_gap_ms": round(longest, 1), "cores": os.cpu_count()}
    result["load_average"] = round(os.getloadavg()[0], 1)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
