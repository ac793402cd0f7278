"""A detector network attached to a frozen classifier.

Metzen, Genewein, Fischer and Bischoff, "On detecting adversarial perturbations", ICLR 2017 (arXiv 1702.04267).
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F

from mirguard.defences.examples import three_kinds, told_apart
from mirguard.defences.job import Hardened, Job
from mirguard.defences.perturbing import Direction, class_loss, own_classes, uphill
from mirguard.models.networks import subnetwork
from mirguard.models.networks.subnetwork import WithSubnetwork, shape_of

DYNAMIC = "dynamic"


def attach_subnetwork(job: Job) -> Hardened:
    """The binary cross-entropy of the detector on clean, noisy and adversarial sounds; the classifier's weights stay as they are.

    Against the static adversary perturbations follow the classifier's loss alone. The dynamic one (§3.3) fools the detector as
    well:

        δ ← Π_ε(δ + α[(1 − σ)·s(∇J_cls) + σ·s(∇J_det)]),   σ drawn from [0, 1] for each batch,

    s being the norm's steepest direction and J_det the loss of the detector on adversarial sounds."""
    front_end, values = job.front_end, job.values
    classifier = copy.deepcopy(job.parent.network).requires_grad_(False)
    layer = values["layer"] or next(iter(classifier.taps))
    with torch.inference_mode():
        shape = shape_of(classifier, layer, job.parent.represent(torch.zeros(1, job.parent.window)))
    network = WithSubnetwork(classifier, layer, shape)

    def objective(heard: torch.Tensor, wanted: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, float]:
        sigma = float(torch.rand((), generator=draw)) if values["adversary"] == DYNAMIC else 0.0

        def detected(x: torch.Tensor) -> torch.Tensor:
            return F.softplus(-network.both(front_end(x))[1][:, 0])  # −log p(adversarial)

        def lead(sign: torch.Tensor) -> Direction:
            of_labels = uphill(class_loss(front_end, network.network, own_classes(wanted, job.task)), sign)
            if not sigma:
                return of_labels
            of_detector = uphill(detected, sign)
            return lambda x: (1 - sigma) * of_labels(x) + sigma * of_detector(x)

        sounds, adversarial = three_kinds(heard, network, values, draw, lead)
        with torch.no_grad():
            representation = front_end(sounds)
        log_odds = network.both(representation)[1][:, 0]
        # Both kinds of sounds count for the same, though there are more of one.
        weight = torch.where(adversarial, 0.5 / adversarial.sum(), 0.5 / (~adversarial).sum())
        loss = F.binary_cross_entropy_with_logits(log_odds, adversarial.float(), weight, reduction="sum")
        return loss, told_apart(log_odds.detach(), adversarial) * len(heard)

    job.train(network, objective)
    remark = f"Its layer {subnetwork.LAYER!r} tells how likely a window is to be adversarial; its labels are those of its parent."
    return Hardened(network, (remark,), {"layer": layer})
