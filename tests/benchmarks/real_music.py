"""Five real recordings and one 44.1 kHz stereo clip: does pgd flip musicnn's top tag inside 40 dB, and white noise not?

    python tests/benchmarks/real_music.py FOLDER [--steps 10] [--snr 40] [--model musicnn-mtt]

Prints a row per clip: the label before and in the exported 16-bit file, the SNR of that file, windows flipped, gradients,
seconds per window's gradient; and the same for noise at the same SNR.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch

import mirguard as mg
from mirguard.clip import Clip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--snr", type=float, default=40.0)
    parser.add_argument("--model", default="musicnn-mtt")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    model = mg.load_model(options.model)
    print(f"{model.name}, {torch.get_num_threads()} threads, {options.steps} steps, {options.snr:g} dB")
    for path in sorted(options.folder.glob("*.ogg")):
        clip = mg.load_clip(path)
        with tempfile.TemporaryDirectory() as folder:
            for name, own in (("pgd", {"steps": options.steps}), ("noise", {})):
                report(model, clip, name, own, options.snr, Path(folder) / f"{name}.wav")


def report(model, clip: Clip, name: str, own: dict, snr: float, path: Path) -> bool:
    outcome = mg.attack(model, clip, name, snr=snr, export_to=path, **own)
    windows = len(outcome.clean.windows)
    each = outcome.seconds / max(1, outcome.gradients * windows)
    print(
        f"{clip.name[:32]:32} {name:5} {outcome.clean.label:>10} -> {outcome.exported.decision.label:10} "
        f"{'flipped' if outcome.success else '-':8} {outcome.snr_db:6.2f} dB  {outcome.windows_flipped:3}/{windows:<3} windows "
        f"{outcome.gradients:3} gradients  {each * 1000:6.1f} ms a window's gradient, everything included"
    )
    return outcome.success


if __name__ == "__main__":
    main()
