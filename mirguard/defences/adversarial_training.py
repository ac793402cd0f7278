"""Learning from sounds that were made to mislead the network as it stands at that moment."""

from __future__ import annotations

import torch

from mirguard.defences.job import Hardened, Job
from mirguard.defences.perturbing import PGD, class_loss, draw_sizes, evaluating, own_classes, perturb, uphill
from mirguard.models.training.loop import count_right, labels_loss


def adversarial_training(job: Job) -> Hardened:
    """J̃ = α·J(x, y) + (1 − α)·J(x + δ, y), δ remade for every batch.

    `method` "fgsm": δ = ε·sign(∇ₓJ) and α = 0.5 (Goodfellow, Shlens and Szegedy 2015, §6). "pgd": δ the result of some projected
    steps from a random start and α = 0, min_θ E max_δ J (Madry et al. 2018, eq. 1). Both see the sounds as augmented.
    """
    network, front_end, values = job.network(), job.front_end, job.values
    recipe, alpha = job.recipe(), values["clean"]

    def objective(heard: torch.Tensor, wanted: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, float]:
        epsilon, sign = draw_sizes(heard, values, draw)
        with evaluating(network):
            direction = uphill(class_loss(front_end, network, own_classes(wanted, job.task)), sign)
            start = draw if values["method"] == PGD else None
            changed = perturb(heard, direction, epsilon, sign, steps=values["steps"], draw=start)
        with torch.no_grad():
            representation = front_end(torch.cat([heard, changed]) if alpha else changed)
        z = network(representation)
        loss = (1 - alpha) * labels_loss(z[-len(heard) :], wanted, job.task, recipe.label_smoothing)
        if alpha:
            loss = loss + alpha * labels_loss(z[: len(heard)], wanted, job.task, recipe.label_smoothing)
        return loss, count_right(z[-len(heard) :].detach(), wanted, job.task)

    job.train(network, objective)
    return Hardened(network)
