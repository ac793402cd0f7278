"""One class more, which adversarial sounds are to fall into.

Grosse, Manoharan, Papernot, Backes and McDaniel, "On the (statistical) detection of adversarial examples", 2017 (arXiv 1702.06280),
§6: a model of K + 1 classes is trained on clean sounds with their labels and on adversarial ones as class K + 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.defences.examples import three_kinds, told_apart
from mirguard.defences.job import NOTHING, Hardened, Job
from mirguard.defences.perturbing import class_loss, uphill
from mirguard.models.networks import outlier
from mirguard.models.networks.hardened import build
from mirguard.models.networks.projection import keep_projection

_FIRST = -2.0  # the new class's logit before anything is learned


def outlier_class(job: Job) -> Hardened:
    """The cross-entropy over K + 1 classes of clean, noisy and adversarial sounds.

    Adversarial sounds are made for each batch against the K labels of the network as it stands, since those are what an attacker
    who does not know of the class more will attack; the paper makes them once, against the parent."""
    parent, front_end, values = job.parent, job.front_end, job.values
    settings = {**parent.network.settings, outlier.LAYER: True}
    network = build(job.architecture, len(parent.labels), settings)
    if values["start"] == NOTHING:
        keep_projection(network.network, parent.network)
    else:
        widen(network.network, parent.network)
    smoothing = job.recipe().label_smoothing

    def objective(heard: torch.Tensor, wanted: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, float]:
        loss_of_labels = class_loss(front_end, network, wanted)
        sounds, adversarial = three_kinds(heard, network, values, draw, lambda sign: uphill(loss_of_labels, sign))
        with torch.no_grad():
            representation = front_end(sounds)
        z = network.network(representation)
        targets = torch.cat([wanted, wanted[::2], torch.full_like(wanted, len(parent.labels))])
        log_odds = z[:, -1] - torch.logsumexp(z[:, :-1], 1)
        right = told_apart(log_odds.detach(), adversarial)
        return F.cross_entropy(z, targets, label_smoothing=smoothing), right * len(heard)

    job.train(network, objective)
    return Hardened(network, (f"Its layer {outlier.LAYER!r} tells how likely a window is to be adversarial.",))


def widen(network: nn.Module, parent: nn.Module) -> None:
    """Copy the parent's arrays into a network with one class more; the new class is unlikely for every sound."""
    own = parent.state_dict()
    for key, value in network.state_dict().items():
        if value.shape == own[key].shape:
            value.copy_(own[key])
        else:
            value[:-1].copy_(own[key])
            value[-1:].fill_(_FIRST if value.ndim == 1 else 0.0)
