"""Make the hardened variants of the default toy model that are bundled: train each, judge and attack it, write it with its card.

    python packaging/make_hardened.py                            # all of them: about an hour on two cores
    python packaging/make_hardened.py toy-adversarial            # one of them
    python packaging/make_hardened.py --cache FOLDER             # sounds are kept there and need not be made again

Like `make_toy_models.py`, whose default model they start from: synthetic sounds alone, and the same models from the same
arguments on the same machine. A training that was interrupted goes on from its last whole epoch.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "packaging")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from make_toy_models import TEST_CLIPS, VALIDATION_CLIPS, WARNING, _heard, _judge, _tell  # noqa: E402

from mirguard import __version__  # noqa: E402
from mirguard.datasets.synthesis import LABELS, VERSION  # noqa: E402
from mirguard.defences.card import about_defence, lineage_of  # noqa: E402
from mirguard.defences.catalogue import find_defence  # noqa: E402
from mirguard.defences.checkpoint import Unfinished  # noqa: E402
from mirguard.defences.job import Job  # noqa: E402
from mirguard.defences.robustness import WORST, robustness  # noqa: E402
from mirguard.defences.watching import auc, watching_layer  # noqa: E402
from mirguard.experiment.batch import attack_batch  # noqa: E402
from mirguard.models.bundled import NAME  # noqa: E402
from mirguard.models.imports.gradient_check import check_gradient  # noqa: E402
from mirguard.models.load_file import load_model_file  # noqa: E402
from mirguard.models.model_file import ModelFile, read_model_file  # noqa: E402
from mirguard.models.networks.saved import save_network  # noqa: E402
from mirguard.parameters import resolve  # noqa: E402

LEAST = 0.85  # of the test clips must be right, or nothing is written
FRESH_SEED = 77  # of the test clips that are attacked: nothing was chosen with them
SNRS = (20.0, 30.0, 40.0)


@dataclass(frozen=True)
class Plan:
    """How one model is made: by which defence, with which parameters."""

    name: str
    defence: str
    title: str
    note: str
    parameters: dict[str, Any] = field(default_factory=dict)


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            "toy-adversarial",
            "adversarial-training",
            "Toy instruments, trained adversarially",
            "toy-instruments after adversarial training (Madry et al. 2018) at 30 dB: needs louder perturbations, and is "
            "right less often on clean sounds; " + WARNING,
            {"method": "pgd", "steps": 3, "snr": 28.0, "spread": 4.0, "epochs": 6},
        ),
        Plan(
            "toy-distilled",
            "distillation",
            "Toy instruments, distilled (hides its gradients)",
            "toy-instruments distilled at T = 100 (Papernot et al. 2016): seems robust where gradients vanish, and is not; "
            + WARNING,
            {"temperature": 100.0, "epochs": 12, "learning_rate": 4e-3},
        ),
        Plan(
            "toy-outlier",
            "outlier-class",
            "Toy instruments, with an outlier class",
            "toy-instruments with a class more for what is adversarial (Grosse et al. 2017), which its layer outlier gives; "
            + WARNING,
            {"epochs": 6, "spread": 12.0, "steps": 2, "learning_rate": 2e-3},
        ),
        Plan(
            "toy-subnetwork",
            "subnetwork",
            "Toy instruments, with a detector subnetwork",
            "toy-instruments itself with a network attached that judges what it hears (Metzen et al. 2017), trained against "
            "attacks on both; " + WARNING,
            {"layer": "representation", "epochs": 3, "spread": 12.0, "steps": 1, "learning_rate": 4e-3},
        ),
        Plan(
            "toy-projected",
            "pca-projection",
            "Toy instruments, hearing principal components",
            "toy-instruments behind a projection on 24 principal components of every 8 frames (Bhagoji et al. 2017); "
            + WARNING,
            {"components": 24, "frames": 8, "epochs": 4},
        ),
    )
}


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    for name in options.models or list(PLANS):
        if options.only_attack:
            _attack(read_model_file(options.into / "models" / name), options)
        else:
            _make(PLANS[name], options)


def _known(name: str) -> str:
    if name not in PLANS:
        raise argparse.ArgumentTypeError(f"there is no model {name!r}; there are {', '.join(PLANS)}")
    return name


def _options() -> argparse.Namespace:
    cores = os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=_known, metavar="MODEL", help=f"some of {', '.join(PLANS)}")
    parser.add_argument("--clips", type=int, default=3000, help="training clips")
    parser.add_argument("--attacked", type=int, default=100, help="fresh test clips that are attacked")
    parser.add_argument("--only-attack", action="store_true", help="attack the models that are there, make none anew")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=cores, help="processes that synthesise")
    parser.add_argument("--threads", type=int, default=cores, help="threads that train")
    parser.add_argument("--cache", type=Path, help="folder to keep the sounds in")
    parser.add_argument("--into", type=Path, default=ROOT / "resources", help="folder to write into")
    return parser.parse_args()


def _make(plan: Plan, options: argparse.Namespace) -> None:
    """Synthesise, train, judge on the test split, attack fresh clips, write."""
    defence = find_defence(plan.defence)
    parent = load_model_file(ROOT / "resources" / "models" / NAME)
    values = resolve(defence.parameters, plan.parameters)
    print(f"-- {plan.name}: {defence.title}, {values}", flush=True)
    sounds, labels = _heard(options.clips, "train", options)
    validation = _heard(VALIDATION_CLIPS, "validation", options)
    test = _heard(TEST_CLIPS, "test", options)
    request = {
        "plan": plan.name,
        "parameters": values,
        "clips": options.clips,
        "seed": options.seed,
        "parent": parent.hash,
    }
    unfinished = Unfinished(plan.name, request)
    unfinished.begin(resume=True)
    torch.manual_seed(options.seed)
    began = time.perf_counter()
    job = Job(parent, sounds, labels, validation, values, options.seed, unfinished.stage, _tell)
    made = defence.call(job)
    seconds = time.perf_counter() - began
    network = made.network.eval()
    report = _judge(job.front_end, network, *test, parent.window)
    print(f"trained in {seconds:.0f} s; test split: {report.sentence}", flush=True)
    if report.clip_accuracy < LEAST:
        raise SystemExit(f"{plan.name} is right on less than {LEAST:.0%} of the test clips: train it longer.")
    card = {
        "made": "trained",
        "method": defence.name,
        "defence": about_defence(defence, parent),
        "version": __version__,
        "seed": options.seed,
        "seconds": round(seconds),
        "lineage": [
            lineage_of(parent),
            f"toy dataset, version {VERSION}, split train, seed {options.seed}",
        ],
        "data": {
            "name": "toy instruments, half A of the training data",
            "source": f"synthesised by MIRGuard, version {VERSION}, seed {options.seed}, CC0",
            "clips": {"train": options.clips, "validation": VALIDATION_CLIPS, "test": TEST_CLIPS},
            "groups": "individual instruments and rooms, drawn apart for each split",
            "split": "given",
            "skipped": 0,
            "warnings": ["Synthetic sounds alone: " + WARNING],
        },
        "parameters": values | dict(made.found),
        "test": report.card(),
    }
    file = save_network(
        options.into / "models" / plan.name,
        plan.name,
        architecture=parent.architecture,
        network=network,
        representation=parent.representation,
        sample_rate=parent.sample_rate,
        window=parent.window,
        labels=LABELS,
        title=plan.title,
        note=plan.note,
        card=card,
    )
    _attack(file, options)
    unfinished.remove()


def _attack(file: ModelFile, options: argparse.Namespace) -> None:
    """Attack a model on fresh test clips and write on its card what stays right, and whether it notices."""
    model = load_model_file(file)
    check = check_gradient(model, seed=options.seed)
    print(check.sentence, flush=True)
    fresh, labels = _heard(options.attacked, "test", argparse.Namespace(**{**vars(options), "seed": FRESH_SEED}))
    x = torch.from_numpy(np.asarray(fresh[:, : model.window], np.float32)).clamp(-1, 1)
    y = torch.from_numpy(labels)
    found = robustness(model, x, y, SNRS, seed=options.seed)
    for snr, row in found.right.items():
        print(f"  at {snr:g} dB: " + ", ".join(f"{attack} {right}" for attack, right in row.items()), flush=True)
    print(f"  clean {found.clean} of {found.windows}; smallest perturbation {found.smallest_db:.1f} dB (median)")
    print(f"{file.name}: {found.right[30.0][WORST] / found.windows:.0%} stay right at 30 dB", flush=True)
    robust = found.card()
    if watching_layer(model):
        told = {}
        for attack, more in (("pgd", {"loss": "margin", "stop_early": False}), ("noise", {})):
            changed = attack_batch(model, x, attack, labels=y, snr=30.0, seed=options.seed, **more).adversarial
            told[attack] = round(auc(model, x, changed), 3)
        print(f"  AUC of its {watching_layer(model)} at 30 dB: {told}", flush=True)
        robust["auc_at_30_db"] = told
    replace(file, card={**file.card, "gradient": check.card(), "robust": robust}).write()


if __name__ == "__main__":
    main()
