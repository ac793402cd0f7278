"""A student that learns a teacher's soft answers at a high temperature and is used at 1.

Papernot, McDaniel, Wu, Jha and Swami, "Distillation as a defense to adversarial perturbations against deep neural networks", IEEE
S&P 2016 (arXiv 1511.04508). It hides gradients rather than taking adversarial examples away (Carlini and Wagner 2017): at T = 1 the
student's logits lie T times as far apart as the teacher's, and the cross-entropy's gradient rounds to zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mirguard.defences.job import Hardened, Job
from mirguard.errors import UsageError
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.training.loop import count_right


def distillation(job: Job) -> Hardened:
    """Student and teacher give softmax(Z/T); the student is trained on the teacher's, and its Z are what comes out (T = 1).

    The parent is the teacher: one that was trained at T differs from it in the scale of its last layer alone, Z = T·z, and
    softmax(Z/T) is what the parent gives. In the same way the student's last layer is trained as z = Z/T, with steps of the
    usual size, and is multiplied by T when all is learned. A tagger's answers are sigmoid(Z/T), tag by tag.
    """
    student, teacher, front_end = job.network(), job.parent.network, job.front_end
    last = last_layer(student, job.architecture.title)

    def objective(heard: torch.Tensor, wanted: torch.Tensor, _draw: torch.Generator) -> tuple[torch.Tensor, float]:
        with torch.no_grad():
            representation = front_end(heard)
            soft = teacher(representation)
        z = student(representation)
        if job.task == SINGLE_LABEL:
            loss = F.cross_entropy(z, soft.softmax(1))
        else:
            loss = F.binary_cross_entropy_with_logits(z, soft.sigmoid())
        return loss, count_right(z.detach(), wanted, job.task)

    job.train(student, objective)
    with torch.no_grad():
        last.weight.mul_(job.values["temperature"])
        last.bias.mul_(job.values["temperature"])
    return Hardened(student, ("Its gradients may vanish, which makes it look more robust than it is.",))


def last_layer(network: nn.Module, title: str) -> nn.Linear:
    """The linear layer that gives the logits; UsageError where something comes after it."""
    while isinstance(inner := getattr(network, "network", None), nn.Module):
        network = inner
    layer = getattr(network, "out", None)
    if not isinstance(layer, nn.Linear) or getattr(network, "voting", "logits") != "logits":
        raise UsageError(f"{title} does not end in a linear layer, so that a temperature means nothing for it.")
    return layer
