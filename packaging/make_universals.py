"""Make the bundled universal perturbation: from toy clips, held to clips of players and rooms that it never heard.

    python packaging/make_universals.py             # some minutes on one core

Run again with the same arguments on the same machine, it gives the same perturbation.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from mirguard.attacks.declared.universal import BUNDLED  # noqa: E402
from mirguard.cli.terminal import Line  # noqa: E402
from mirguard.cli.universal import toy_clips  # noqa: E402
from mirguard.experiment.universal import fooling, make_universal, save_universal  # noqa: E402
from mirguard.models import bundled  # noqa: E402
from mirguard.models.catalogue import load_model  # noqa: E402

SNR = 20.0  # dB: where it lies below every clip
ALSO = (15.0, 25.0, 30.0)  # and where else it is held to clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=240, help="to make it from")
    parser.add_argument("--held-out", type=int, default=120, help="to hold it to")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=1000, help="of the clips; those of 0 trained the models")
    parser.add_argument("--into", type=Path, default=ROOT / "resources" / "universal")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    model, *others = (load_model(name) for name in bundled.NETWORKS)
    with Line() as line:
        clips = toy_clips(options.clips, options.seed, "train", line)
        held_out = toy_clips(options.held_out, options.seed, "test", line)
        made = make_universal(
            model,
            clips,
            "abdoli",
            name=BUNDLED,
            snr=SNR,
            seed=options.seed,
            held_out=held_out,
            others=others,
            source=f"toy dataset, {options.clips} clips of seed {options.seed}, split train; held out: split test",
            progress=line,
            epochs=options.epochs,
        )
        rates = [fooling(made, model, held_out, snr=snr, held_out=True, progress=line) for snr in ALSO]
    made = replace(made, rates=(*made.rates, *rates))
    path = save_universal(made, options.into / BUNDLED)
    for rate in made.rates:
        print(rate.sentence)
    print(f"{path.stat().st_size / 1024:.0f} KiB  {path}")


if __name__ == "__main__":
    main()
