"""lid and mahalanobis as they are shipped, on new sounds of the toy dataset."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from detector_trials import scores
from sklearn.metrics import roc_auc_score

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.detectors.kept import fitted_for
from mirguard.detectors.sample import Sample
from mirguard.experiment.batch import attack_batch
from mirguard.models.catalogue import load_model


@pytest.fixture(scope="module")
def heard():
    """Clean, noisy and attacked windows, at 30 dB."""
    model = load_model("toy-instruments")
    clean = Sample.of(model, [Clip(one.samples, one.sample_rate) for one in dataset(16, 21, "test")], "test")
    x = clean.waveforms()
    noisy = clean.changed(attack_batch(model, x, "noise", snr=30).adversarial)
    attacked = attack_batch(model, x, "bim", snr=30, steps=10)
    return clean, noisy, clean.changed(attacked.adversarial), attacked.success.numpy()


@pytest.mark.long
@pytest.mark.parametrize("name", ["lid", "mahalanobis"])
def test_what_is_shipped_tells_attacks_from_clean_and_noisy_sounds(heard, name):
    clean, noisy, attacked, fooled = heard
    detector = fitted_for(clean.model, name)
    low = np.concatenate([scores(detector, clean), scores(detector, noisy)])
    high = scores(detector, attacked)[fooled]
    assert len(high) >= 10
    assert roc_auc_score(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high])) > 0.8


@pytest.mark.long
@pytest.mark.parametrize("name", ["pca-tail", "pca-reduction", "lid", "mahalanobis"])
def test_scoring_a_window_takes_less_than_a_step_of_an_attack_on_it(heard, name):
    """In processor time: half of the forward and backward pass of the same windows at the most."""
    import time

    clean = heard[0]
    detector, x = fitted_for(clean.model, name), clean.waveforms()[:16]
    with torch.no_grad():
        activations, logits = clean.model.activations(x, detector.layers)

    def step() -> None:
        sound = x.clone().requires_grad_()
        clean.model.logits(sound).logsumexp(1).sum().backward()

    def score() -> None:
        with torch.no_grad():
            detector.window_scores(detector.digest(activations, logits)[:, None], logits.argmax(1))

    def seconds(work) -> float:
        taken = []
        for _ in range(4):
            began = time.process_time()
            work()
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(score) < seconds(step) / 2
