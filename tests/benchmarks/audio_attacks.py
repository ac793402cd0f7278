"""How well the attacks made for sound hide, beside the others: on test clips of the toy dataset, after export to 16 bits.

    python tests/benchmarks/audio_attacks.py [CLIPS] [MODEL]      # default 20 clips, toy-instruments

SNR, its edge-trimmed and segmental kinds, the share of bins above the masking threshold and the mean dB there are means over the
successes, as in Prinz et al. 2021, whose ordering SNR(C&W) ≥ SNR(multi-scale C&W) ≥ SNR(PGD) ≫ SNR(FGSM) is tried at the end;
FGSM always uses its whole budget. "noise" is how many draws of white noise at the same SNR fool the model, over all successes.
"""

from __future__ import annotations

import itertools
import os
import statistics
import sys
from dataclasses import dataclass, field

import torch

from mirguard.analysis.measures import compare
from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.experiment import attack
from mirguard.experiment.baseline import noise_baseline
from mirguard.models.catalogue import load_model

SECONDS = 3  # of each clip
SNR = 20.0  # the budget of those that have one
RUNS = {
    "fgsm": ("fgsm", {"snr": SNR}),
    "pgd": ("pgd", {"snr": SNR}),
    "cw-l2": ("cw-l2", {}),
    "multiscale-cw": ("multiscale-cw", {"snr": SNR}),
    "masked": ("masked", {}),
    "spectral": ("spectral", {"snr": SNR}),
    "spectral, GL": ("spectral", {"snr": SNR, "phase": "griffin-lim"}),
}
FIGURES = ("snr_db", "snr_trimmed_db", "segmental_snr_db", "masking_share", "masking_excess")
DRAWS = 4


@dataclass
class Tally:
    figures: list[dict] = field(default_factory=list)
    gradients: list[int] = field(default_factory=list)
    noise: int = 0


def main(clips: int, name: str) -> None:
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    model, tallies = load_model(name), {run: Tally() for run in RUNS}
    for made in dataset(clips, 77, "test"):
        clip = Clip(made.samples[None][:, : SECONDS * made.sample_rate], made.sample_rate)
        for run, (which, options) in RUNS.items():
            outcome = attack(model, clip, which, **options)
            if outcome.success:
                tally = tallies[run]
                tally.figures.append(compare(clip, outcome.clip))
                tally.gradients.append(outcome.gradients)
                tally.noise += noise_baseline(outcome, clip, model, DRAWS).fooled
    print(f"{name}, {clips} clips, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'':14} success    SNR  trimmed  segmental  share  excess dB  median gradients  noise")
    for run, tally in tallies.items():
        found = len(tally.figures)
        if not found:
            print(f"{run:14} {found:3}/{clips:<3}")
            continue
        snr, trimmed, segmental, share, excess = (statistics.fmean(f[key] for f in tally.figures) for key in FIGURES)
        print(
            f"{run:14} {found:3}/{clips:<3} {snr:6.1f}  {trimmed:7.1f}  {segmental:9.1f}  {share:5.1%}  {excess:9.1f}  "
            f"{statistics.median(tally.gradients):16.0f}  {tally.noise}/{DRAWS * found}"
        )
    order = [run for run in ("cw-l2", "multiscale-cw", "pgd", "fgsm") if tallies[run].figures]
    means = [statistics.fmean(f["snr_trimmed_db"] for f in tallies[run].figures) for run in order]
    held = all(one >= other for one, other in itertools.pairwise(means))
    print(f"SNR {' ≥ '.join(order)}: {'holds' if held else 'does not hold'} on these clips")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, sys.argv[2] if len(sys.argv) > 2 else "toy-instruments")
