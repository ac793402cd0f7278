"""What an attack may be kept to, whom it may see, and what it is to bring out: on whole clips and on batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from nets import curved, sounds

from mirguard.attacks.restriction import FREE, Restriction, build
from mirguard.clip import Clip, rms
from mirguard.errors import UsageError
from mirguard.experiment import attack, plan, run
from mirguard.experiment.baseline import noise_baseline
from mirguard.models.tracks import classify


def song(rate: int = 16_000, seconds: float = 0.55, seed: int = 0) -> Clip:
    return Clip(sounds(1, round(rate * seconds), seed).numpy(), rate, provenance={"name": f"song {seed}"})


@pytest.fixture(scope="module")
def model():
    return curved(seed=1, micro_batch=2)


def energies(x: np.ndarray, rate: int, low: float, high: float) -> tuple[float, float]:
    """Of a signal, inside and outside a band."""
    power = np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]))) ** 2
    hz = np.fft.rfftfreq(x.shape[-1], 1 / rate)
    inside = (hz >= low) & (hz <= high)
    return float(power[..., inside].sum()), float(power[..., ~inside].sum())


def test_a_time_range_is_kept_to_the_sample(model):
    clip = song()
    outcome = attack(model, clip, "pgd", snr=10, steps=20, restriction=Restriction(time=(0.1, 0.3)), subtype="FLOAT")
    changed = np.flatnonzero(np.abs(outcome.perturbation.samples).max(0))
    assert 1600 <= changed.min() < 1700
    assert 4700 < changed.max() < 4800


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_a_band_is_kept(model, norm, rate):
    """A quarter of an edge's frequency beyond the edges nothing is left."""
    clip = song(rate)
    outcome = attack(
        *(model, clip, "pgd"), norm=norm, snr=20, steps=10, restriction=Restriction(band=(1000, 3000)), subtype="FLOAT"
    )
    inside, outside = energies(outcome.perturbation.samples[0].astype(float), rate, 750, 3750)
    assert inside > 0
    assert outside < 1e-5 * inside
    assert outcome.snr_db >= 20


def test_only_where_the_clip_is_loud(model):
    samples = song().samples.copy()
    samples[:, 4400:] *= 0.01
    clip = Clip(samples, 16_000)
    outcome = attack(model, clip, "pgd", snr=10, steps=10, restriction=Restriction(above=-20.0), subtype="FLOAT")
    assert np.abs(outcome.perturbation.samples[:, :4000]).max() > 0
    assert np.abs(outcome.perturbation.samples[:, 4800:]).max() == 0.0
    assert build(Restriction(above=-20.0), torch.zeros(1, 1000), 16_000).parts[0].factor.sum() == 0, (
        "silence is not loud"
    )


def test_restrictions_hold_together_and_in_batches(model):
    x = sounds(5, model.window, 3)
    restriction = Restriction(time=(0.02, 0.06), above=-30.0)
    found = attack(model, x, "pgd", snr=5, steps=20, restriction=restriction)
    delta = found.adversarial - x
    assert delta[:, 320:960].abs().max() > 0
    assert delta[:, :320].abs().max() == delta[:, 960:].abs().max() == 0.0


def test_noise_under_a_restriction_has_the_size_it_should(model):
    clip = song()
    for restriction in (FREE, Restriction(time=(0.1, 0.2)), Restriction(band=(500, 2000))):
        outcome = attack(model, clip, "noise", snr=30, confidence=100.0, restriction=restriction, subtype="FLOAT")
        # A filter's edges are not infinitely steep: what is filtered twice loses a little there.
        assert outcome.snr_db == pytest.approx(30.0, abs=0.01 if restriction.band is None else 0.3)


def test_what_leaves_nothing_is_refused(model):
    for restriction, words in (
        (Restriction(time=(2.0, 3.0)), "within the clip's 0.55 s"),
        (Restriction(time=(0.3, 0.1)), "first before the second"),
        (Restriction(band=(9000, 10_000)), "below 8000 Hz"),
        (Restriction(band=(-5, 100)), "lower first"),
        (Restriction(above=5.0), "-120 to 0 dB"),
    ):
        with pytest.raises(UsageError, match=words):
            attack(model, song(), "pgd", snr=20, restriction=restriction)


# -- Surrogates --------------------------------------------------------------------------------------------------------


def test_an_ensemble_is_the_mean_of_its_probabilities():
    """Its gradient is that of the log of the mean probability, Liu et al. 2017, eq. 6."""
    from mirguard.attacks.ledger import Ledger
    from mirguard.attacks.oracle import Oracle
    from mirguard.attacks.problem import Batch
    from mirguard.attacks.view import View

    models = [curved(seed=k) for k in (1, 2, 3)]
    x = sounds(3, models[0].window, 2)
    labels = torch.tensor([0, 1, 2])
    problem = Batch(x, 16_000, labels, None, "l2", torch.full((3,), 0.01), 0, torch.ones(3))
    oracle = Oracle(problem, View(*models), Ledger(problem, stop_early=False))
    gradient = oracle.gradient(problem.zeros())
    leaf = x.clone().requires_grad_()
    p = torch.stack([model.logits(leaf).softmax(1) for model in models]).mean(0)
    (expected,) = torch.autograd.grad(p.gather(1, labels[:, None]).log().sum(), leaf)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-7)


def test_surrogates_are_heard_in_the_victims_order_of_labels():
    model, other = curved(seed=1), curved(seed=1)
    last = other.network.out
    turned = [2, 0, 3, 1]
    last.weight.data, last.bias.data = last.weight.data[turned], last.bias.data[turned]
    other.labels = tuple(other.labels[k] for k in turned)
    x = sounds(4, model.window, 6)
    own = attack(model, x, "pgd", snr=15)
    through = attack(model, x, "pgd", snr=15, surrogates=(other,))
    torch.testing.assert_close(own.adversarial, through.adversarial)


def test_surrogates_of_other_labels_serve_alone_but_not_together():
    model, clip = curved(seed=1), song(seconds=0.3)
    other = curved(3, seed=2)
    other.labels = ("a", "b", "c")
    outcome = attack(model, clip, "pgd", snr=5, surrogates=(other,))
    assert outcome.experiment.knowledge == "zero knowledge"
    assert outcome.adversarial.label in other.labels
    assert outcome.exported.decision.label in model.labels
    with pytest.raises(UsageError, match="different labels"):
        attack(model, clip, "pgd", snr=5, surrogates=(model, other))
    with pytest.raises(UsageError, match="no label"):
        attack(model, clip, "pgd", snr=5, surrogates=(other,), target="class 1")


def test_a_model_without_gradients_is_attacked_through_one_that_has_them():
    model, surrogate = curved(seed=1), curved(seed=1)
    model.differentiable = False
    clip = song(seconds=0.3)
    with pytest.raises(UsageError, match="--surrogate"):
        attack(model, clip, "pgd", snr=10)
    assert attack(model, clip, "pgd", snr=5, surrogates=(surrogate,)).success


def test_an_experiment_belongs_to_its_surrogates():
    model, clip = curved(seed=1), song(seconds=0.3)
    planned = plan(clip, model, "pgd", snr=10, surrogates=(curved(seed=2),))
    with pytest.raises(UsageError, match="another clip or model"):
        run(planned, clip, model)


# -- Goals -------------------------------------------------------------------------------------------------------------


def test_perfect_brings_out_the_truth_and_needs_it(model):
    name = "bim"
    clip = song(seed=3)
    clean = classify(model, clip)
    truth = next(label for label in model.labels if label != clean.label)
    outcome = attack(model, clip, name, snr=0, goal="perfect", truth=truth)
    assert outcome.target == truth
    least = attack(model, clip, name, snr=0, goal="least-likely")
    assert least.target == min(zip(clean.probabilities, clean.labels, strict=True))[1]
    chance = {attack(model, clip, name, snr=40, goal="random", seed=seed).target for seed in range(12)}
    assert len(chance) > 1 and clean.label not in chance
    with pytest.raises(UsageError, match="--truth"):
        attack(model, clip, name, snr=20, goal="perfect")
    with pytest.raises(UsageError, match="once"):
        attack(model, clip, name, snr=20, goal="random", target=truth)


# -- Noise as the baseline ---------------------------------------------------------------------------------------------


def test_noise_at_the_same_snr_is_tried(model):
    clip = song(seed=3)
    outcome = attack(model, clip, "pgd", snr=10, steps=60)
    assert outcome.success
    heard = []
    whole = model.logits
    model.logits = lambda windows: (heard.append(windows), whole(windows))[1]
    try:
        found = noise_baseline(outcome, clip, model, 4)
    finally:
        del model.logits
    assert (found.draws, found.snr_db) == (4, outcome.snr_db)
    assert 0 <= found.fooled <= 4
    assert found.sentence == f"White noise at the same SNR fools {found.fooled} of 4 draws."
    added = torch.cat(heard).view(4, -1)[:, : clip.frames] - torch.from_numpy(clip.samples.copy())
    levels = added.double().square().mean(1).sqrt().tolist()
    assert levels == pytest.approx([rms(outcome.perturbation.samples)] * 4, rel=1e-4)
    loud = attack(model, clip, "noise", snr=-20, confidence=100.0)
    assert noise_baseline(loud, clip, model, 6).fooled >= 1, "very loud noise fools now and then"
