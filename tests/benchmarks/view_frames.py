"""Processor milliseconds that one frame of the three spectrogram panes costs, and what making the spectrograms costs.

    python tests/benchmarks/view_frames.py [--width 1600] [--height 900] [--hour]

A frame is one step of panning, zooming, dragging the range of dB, changing the scale, renewing one pane (as an attack
does), moving the playhead or the cursor, painted off-screen in software. Median and 95th percentile, of this thread's
processor time, which other work on the machine disturbs least. `--hour` adds a sound of one hour (needs 1.5 GB).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtWidgets import QApplication

from mirguard.analysis import peaks, spectrogram
from mirguard.workbench.theme import apply_theme
from mirguard.workbench.views.spectrogram_stack import SpectrogramStack


def cost(work: Callable[[int], object], times: int = 40) -> str:
    taken = []
    for index in range(times):
        begin = time.thread_time()
        work(index)
        taken.append(1000 * (time.thread_time() - begin))
    return f"{np.median(taken):6.1f} ({np.percentile(taken, 95):.1f})"


def sound(rate: int, seconds: int) -> np.ndarray:
    """Noise that swells, so that no two stretches are alike."""
    period = np.random.default_rng(0).standard_normal(30 * rate).astype(np.float32) * 0.1
    samples = np.tile(period, -(-seconds // 30))[: rate * seconds]
    samples *= np.linspace(0.1, 1.0, len(samples), dtype=np.float32)
    return samples


def measure(stack: SpectrogramStack, name: str, rate: int, seconds: int) -> None:
    samples = sound(rate, seconds)
    print(f"\n{name} at {rate} Hz")
    print(f"  outline       {cost(lambda index: peaks.compute(samples, rate), 3)}")
    keep = []
    print(f"  spectrogram   {cost(lambda index: keep.append(spectrogram.compute(samples, rate)), 3)}")
    made = keep.pop()
    keep.clear()
    columns = made.levels[0].shape[1]
    print(f"  {columns} columns of {made.levels[0].shape[0]} bins, hop {made.hop}, {made.nbytes / 1e6:.0f} MB a pane")
    for which in ("original", "adversarial", "perturbation"):
        stack.set_spectrogram(which, made)
    navigation, settings, view = stack.navigation, stack.settings, stack.views["original"]
    navigation.show_times(0.1 * seconds, 0.9 * seconds)

    def frame(act: Callable[[int], object]) -> Callable[[int], None]:
        def whole(index: int) -> None:
            act(index)
            navigation.flush()
            QApplication.processEvents()

        return whole

    frame(lambda index: None)(0)
    scales = ("linear", "log", "mel")
    for what, act in {
        "pan": lambda index: navigation.pan((-1) ** index * 0.01 * seconds),
        "zoom": lambda index: navigation.zoom_time(1.1 ** ((-1) ** index)),
        "range of dB": lambda index: stack.set_settings(settings.changed(floor_db=-90.0 - index % 7)),
        "scale": lambda index: stack.set_settings(settings.changed(scale=scales[index % 3])),
        "renew one pane": lambda index: stack.set_spectrogram("perturbation", made),
        "playhead": lambda index: stack.set_playhead((0.2 + 0.01 * index) * seconds),
        "cursor": lambda index: view._mouse_moved(QPointF(100 + 10 * index, 100 + index)),
    }.items():
        print(f"  {what:14}{cost(frame(act))}")
    stack.set_settings(settings)
    stack.set_playhead(None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1600)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--hour", action="store_true")
    options = parser.parse_args()
    app = QApplication([])
    apply_theme(app, "dark")
    stack = SpectrogramStack()
    stack.resize(options.width, options.height)
    stack.show()
    app.processEvents()
    print(f"processor ms a frame, median (95th percentile), {options.width} × {options.height} pixels")
    measure(stack, "30 s", 22_050, 30)
    measure(stack, "5 min", 44_100, 300)
    if options.hour:
        measure(stack, "1 h", 44_100, 3600)


if __name__ == "__main__":
    main()
