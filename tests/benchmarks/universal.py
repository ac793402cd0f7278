"""Universal perturbations on clips that had no part in the making: both methods, on their own model and on other architectures.

    python tests/benchmarks/universal.py [CLIPS] [HELD_OUT] [EPOCHS] [PASSES]     # default 160 100 12 4

Each is made at 20 dB below every clip's level from the toy dataset's training split, and laid at several SNRs on clips of its test
split (other players, other rooms), always beside white noise of the same energy. All clips count, not the first mini-batch
(Abdoli et al. 2019 report 74.7 % untargeted, at SNRs that count an offset of 0.5 as signal).
"""

from __future__ import annotations

import os
import sys
import time

import torch

from mirguard.cli.universal import toy_clips
from mirguard.experiment.universal import fooling, make_universal
from mirguard.models import bundled
from mirguard.models.catalogue import load_model

SNR, SEED = 20.0, 2000
TRIED = (10.0, 15.0, 20.0, 25.0, 30.0)
ENOUGH = 0.75


def main(clips: int, held_out: int, epochs: int, passes: int) -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model, *others = (load_model(name) for name in bundled.NETWORKS)
    made_from = toy_clips(clips, SEED, "train", lambda *_: None)
    strangers = toy_clips(held_out, SEED, "test", lambda *_: None)
    print(
        f"{clips} clips to make it from, {held_out} held out; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for method, settings in (("abdoli", {"epochs": epochs}), ("moosavi-dezfooli", {"passes": passes})):
        began = time.process_time()
        made = make_universal(model, made_from, method, snr=SNR, seed=1, **settings)
        on_its_own = made.rates[0]
        print(
            f"{method}: {time.process_time() - began:.0f} s of one core; its own clips {on_its_own.rate:.1%}",
            flush=True,
        )
        reached = None
        for snr in TRIED:
            found = fooling(made, model, strangers, snr=snr, held_out=True)
            _tell(f"held out at {snr:.0f} dB", found)
            reached = snr if found.rate >= ENOUGH else reached
        print(
            f"  at least {ENOUGH:.0%} of held-out clips "
            + ("at none of these" if reached is None else f"at {reached:.0f} dB")
        )
        for judge in others:
            _tell(f"{judge.name} at {SNR:.0f} dB", fooling(made, judge, strangers, snr=SNR, held_out=True))


def _tell(what: str, found) -> None:
    low, high = found.interval
    print(
        f"  {what:26} {found.rate:6.1%} ({low:.1%} to {high:.1%}), noise {found.noise / found.clips:6.1%}", flush=True
    )


if __name__ == "__main__":
    main(*(int(value) for value in (sys.argv[1:5] + ["160", "100", "12", "4"][len(sys.argv[1:5]) :])))
