"""At a point of rest other work is served on the same thread, an attack for one: gradients must be on there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import curved, sounds

from mirguard.clip import Clip
from mirguard.detectors.sample import hear
from mirguard.experiment import plan, run
from mirguard.experiment.baseline import noise_baseline
from mirguard.experiment.insight.response import respond, surface
from mirguard.experiment.insight.saliency import slopes
from mirguard.experiment.insight.transfer_sounds import windows_of
from mirguard.experiment.transfer import transfer_matrix
from mirguard.models.tracks import classify

CLIP = Clip(sounds(1, 3 * 1600).numpy(), 16_000)
DELTA = 0.01 * sounds(1, 3 * 1600, seed=1)[0].numpy()


def outcome(model, rest=None):
    return run(plan(CLIP, model, "fgsm", snr=20.0), CLIP, model, rest=rest)


def carry(model, rest) -> None:
    x = torch.from_numpy(np.array(CLIP.samples)).view(3, 1600)
    transfer_matrix([model], [model], x, windows_of((CLIP,), model, 3)[1], "fgsm", rest=rest)


@pytest.mark.parametrize(
    "work",
    [
        lambda model, rest: classify(model, CLIP, rest),
        lambda model, rest: hear(model, CLIP, (), rest),
        lambda model, rest: outcome(model, rest),
        lambda model, rest: noise_baseline(outcome(model), CLIP, model, 1, rest),
        lambda model, rest: respond(model, CLIP, DELTA, count=5, rest=rest),
        lambda model, rest: surface(model, CLIP, DELTA, "class 0", across="gradient", count=3, rest=rest),
        lambda model, rest: slopes(model, CLIP, "class 1", rest),
        lambda model, rest: windows_of((CLIP,), model, 3, rest),
        carry,
    ],
    ids=["classify", "hear", "attack", "baseline", "respond", "surface", "slopes", "windows", "transfer"],
)
def test_gradients_are_on_while_others_are_served(work):
    seen = []
    work(curved(), lambda: seen.append(torch.is_grad_enabled() and not torch.is_inference_mode_enabled()))
    assert seen and all(seen)
