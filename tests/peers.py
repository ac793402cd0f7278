"""Other people's attack libraries (packaging/peers.txt), called on our models: each function here takes a `Classifier` and
windows `x (rows, window)` in ±1 and gives δ, with how often each row was differentiated.

    foolbox    attacks any box: bounds (-1, 1)
    secml      attacks any box: lb=-1, ub=1
    adv-lib    knows only [0, 1]: it is given f(2u − 1) on u = (x + 1)/2, so that its norms are half of ours
    ART        minimises in [0, 1] here too (elsewhere it scales steps by the width of the box)

Their defaults are for images: sizes at which they begin are set to the scale of the sound. What of theirs is known to be wrong
(foolbox's L2 FMN never projects, secml's L1, ART's DeepFool outside [0, 1]) is not called.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from mirguard.models.contract import Classifier

# What the peers import on their way and never use here: empty modules in its place.
_UNUSED = ("git", "torchvision", "torchvision.models", "visdom")


def peer(name: str) -> types.ModuleType:
    """A module of a peer; the test is skipped where it is not installed."""
    top = name.partition(".")[0]
    if importlib.machinery.PathFinder.find_spec(top) is None:
        pytest.skip(f"{top} is not installed; packaging/test.py installs the peers")
    hidden = [unused for unused in _UNUSED if unused not in sys.modules and not _installed(unused)]
    for unused in hidden:
        sys.modules[unused] = _empty(unused)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about namespaces of scipy and torch that they still use
            return importlib.import_module(name)
    finally:
        for unused in hidden:
            del sys.modules[unused]


def _installed(name: str) -> bool:
    return importlib.machinery.PathFinder.find_spec(name.partition(".")[0]) is not None


def _empty(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
    for unused in ("Repo", "Visdom", "models"):  # what is imported from them by name
        setattr(module, unused, None)
    return module


class Counted(nn.Module):
    """A classifier as the network of `(rows, window)` that peers expect; counts the passes backwards.

    `unit` True: it takes windows in [0, 1]."""

    def __init__(self, model: Classifier, unit: bool = False) -> None:
        super().__init__()
        self.model, self.unit, self.gradients = model, unit, 0
        # Where the network is: secml asks its first parameter.
        self.place = nn.Parameter(torch.zeros((), device=model.device), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.model.logits(2.0 * x - 1.0 if self.unit else x)
        if z.requires_grad:
            z.register_hook(self._count)
        return z

    def _count(self, gradient: torch.Tensor) -> None:
        self.gradients += len(gradient)


@dataclass(frozen=True)
class Found:
    """What a peer found: `delta (rows, n)` and how many gradients it took for each row (the mean)."""

    delta: torch.Tensor
    gradients: float


# (model, x, labels) -> Found
Peer = Callable[[Classifier, torch.Tensor, torch.Tensor], Found]


def by_foolbox(attack: str, **options: object) -> Peer:
    """`foolbox.attacks.<attack>(**options)` without a budget; with `epsilon` inside one (in foolbox's own measure, the norm)."""

    epsilon = options.pop("epsilon", None)

    def run(model: Classifier, x: torch.Tensor, labels: torch.Tensor) -> Found:
        foolbox = peer("foolbox")
        network = Counted(model).eval()
        seen = foolbox.PyTorchModel(network, bounds=(-1.0, 1.0), device=x.device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _raw, clipped, _success = getattr(foolbox.attacks, attack)(**options)(
                seen, x, foolbox.criteria.Misclassification(labels), epsilons=epsilon
            )
        return Found(clipped.detach() - x, network.gradients / len(x))

    return run


def by_adv_lib(attack: str, **options: object) -> Peer:
    """`adv_lib.attacks.<attack>(f(2u − 1), (x + 1)/2, labels, **options)`; norms in the options are half of ours."""

    def run(model: Classifier, x: torch.Tensor, labels: torch.Tensor) -> Found:
        attacks = peer("adv_lib.attacks")
        network = Counted(model, unit=True).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(attacks, attack)(network, (x + 1.0) / 2.0, labels, **options)
        return Found(2.0 * found.detach() - 1.0 - x, network.gradients / len(x))

    return run


def by_secml(attack: str, norm: str, **options: object) -> Peer:
    """`secmlt.adv.evasion.<module>.<Attack>` for attack "fmn:FMN" or "ddn:DDN", in the norm "l2" or "linf"."""

    def run(model: Classifier, x: torch.Tensor, labels: torch.Tensor) -> Found:
        module, name = attack.split(":")
        creator = getattr(peer(f"secmlt.adv.evasion.{module}"), name)
        network = Counted(model).eval()
        seen = peer("secmlt.models.pytorch.base_pytorch_nn").BasePyTorchClassifier(network)
        own = {"perturbation_model": norm} if name == "FMN" else {}
        rows = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, labels), batch_size=len(x))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = creator(lb=-1.0, ub=1.0, **own, **options)(seen, rows)
        adversarial = torch.cat([batch[0] for batch in found])
        return Found(adversarial.detach() - x, network.gradients / len(x))

    return run


def by_art(attack: str, **options: object) -> Peer:
    """`art.attacks.evasion.<attack>(classifier, **options)` on f(2u − 1)."""

    def run(model: Classifier, x: torch.Tensor, labels: torch.Tensor) -> Found:
        evasion, estimators = peer("art.attacks.evasion"), peer("art.estimators.classification")
        network = Counted(model, unit=True).eval()
        seen = estimators.PyTorchClassifier(
            network,
            nn.CrossEntropyLoss(),
            (x.shape[1],),
            len(model.labels),
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = getattr(evasion, attack)(seen, verbose=False, **options).generate(
                ((x + 1.0) / 2.0).numpy(), labels.numpy()
            )
        return Found(torch.from_numpy(2.0 * found - 1.0).float() - x, network.gradients / len(x))

    return run
