"""The attacks made for sound: multi-scale Carlini–Wagner, under the masking threshold, on magnitude frames."""

from __future__ import annotations

import math

import pytest
import torch
from nets import curved, sounds

from mirguard.analysis.measures import compare
from mirguard.attacks import spectral as spectral_module
from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.ledger import Ledger
from mirguard.attacks.losses import cross_entropy
from mirguard.attacks.multiscale import multiscale_cw
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch
from mirguard.attacks.spectral import spectral
from mirguard.attacks.view import View
from mirguard.channel.masking import UnderThreshold
from mirguard.channel.stft import Stft
from mirguard.clip import Clip, rms
from mirguard.errors import UsageError
from mirguard.experiment import attack
from mirguard.models.tracks import classify

NAMES = ("multiscale-cw", "masked", "spectral")
FAST = {"multiscale-cw": {"steps": 60, "step_size": 5e-4}}


def oracle_of(model, x: torch.Tensor, epsilon: float = 0.02, **ledger) -> Oracle:
    problem = Batch(
        *(x, model.sample_rate, model.logits(x).argmax(1).detach(), None, "l2"),
        *(torch.full((len(x),), epsilon), 0, torch.ones(len(x))),
    )
    return Oracle(problem, View(model), Ledger(problem, **ledger))


def excess(x: torch.Tensor, adversarial: torch.Tensor, rate: int) -> torch.Tensor:
    return UnderThreshold(x, rate).excess(adversarial - x)


# -- All three ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_they_reach_a_target_on_windows_and_on_a_clip(name):
    model = curved(seed=1)
    x = sounds(6, model.window, 5)
    targets = (model.logits(x).argmax(1) + 1) % 4
    found = attack(model, x, name, epsilon=0.05, target=targets, **FAST.get(name, {}))
    assert found.success.sum() >= 5
    assert torch.equal(model.logits(found.adversarial).argmax(1) == targets, found.success)
    clip = Clip(sounds(2, 9000, 3).numpy(), 22_050)
    assert attack(model, clip, name, snr=5, **FAST.get(name, {})).success


@pytest.mark.parametrize("name", NAMES)
def test_quiet_sounds_are_attacked_like_loud_ones(name):
    """Steps, thresholds and distances scale with the clip: a model that hears 100 times as much of a 100th takes the same δ."""
    model, keen = curved(seed=1), curved(seed=1)
    keen.network.filters.weight.data *= 100.0
    x = sounds(3, model.window, 5)
    loud = attack(model, x, name, snr=15, steps=5)
    quiet = attack(keen, 0.01 * x, name, snr=15, steps=5)
    assert loud.l2.min() > 0
    apart = (100 * (quiet.adversarial - 0.01 * x) - (loud.adversarial - x)).norm(dim=1)
    # Signs of what nearly cancels depend on rounding.
    assert (apart < (0.5 if name == "multiscale-cw" else 0.02) * loud.l2).all(), apart / loud.l2


# -- Under the masking threshold ---------------------------------------------------------------------------------------


def test_masked_is_heard_less_than_pgd_at_the_same_success():
    model = curved(seed=1)
    x = sounds(6, model.window, 5)
    plain = attack(model, x, "pgd", snr=15)
    hidden = attack(model, x, "masked", snr=15)
    assert plain.success.all() and hidden.success.all()
    before, after = (excess(x, found.adversarial, model.sample_rate) for found in (plain, hidden))
    assert (after <= before).all()
    assert after.mean() < 0.5 * before.mean()


@pytest.mark.long
def test_masked_is_heard_less_than_pgd_on_the_bundled_model():
    from mirguard.datasets.synthesis import dataset
    from mirguard.models.catalogue import load_model

    model, shares = load_model("toy-instruments"), {"pgd": [], "masked": []}
    for made in list(dataset(4, 77, "test")):
        clip = Clip(made.samples[None][:, : 4 * made.sample_rate], made.sample_rate)
        for name, found in shares.items():
            outcome = attack(model, clip, name, snr=20)
            figures = compare(clip, outcome.clip)
            found.append((outcome.success, figures["masking_share"]))
    assert [s for s, _ in shares["masked"]] == [s for s, _ in shares["pgd"]] == [True] * 4
    assert sum(share for _, share in shares["masked"]) < 0.6 * sum(share for _, share in shares["pgd"])


def test_masked_ends_where_nothing_is_heard_any_more():
    """A clip under which the smallest perturbation that fools lies hidden needs no more looks."""
    model = curved(seed=1)
    x = sounds(6, model.window, 5)
    found = attack(model, x, "masked", snr=15, steps=200)
    hidden = excess(x, found.adversarial, model.sample_rate) == 0.0
    assert (found.gradients[hidden] < 200).all()
    assert (found.gradients[~hidden] == 200).all()


# -- Multi-scale Carlini–Wagner ----------------------------------------------------------------------------------------


def test_multiscale_takes_sign_steps_at_first_and_stops_at_the_first_success():
    """Adam's first step on a sign is one step long in every sample; at δ = 0 only the model speaks."""
    model = curved(seed=1)
    x = sounds(3, model.window, 5)
    seen = []
    oracle = oracle_of(model, x, progress=lambda step: seen.append(step.delta.clone()), stop_early=False)
    multiscale_cw(oracle, steps=2, step_size=1e-4, alpha=10.0, loss="margin")
    g = oracle_of(model, x, stop_early=False).gradient(torch.zeros_like(x), "margin")
    torch.testing.assert_close(seen[1], -1e-4 * g.sign(), rtol=1e-4, atol=0)
    found = attack(model, x, "multiscale-cw", snr=10, step_size=3e-4)
    assert found.success.all()
    margins = found.trace["margin"]
    for row in range(len(x)):
        own = margins[: int(found.gradients[row]), row]
        assert (own[:-1] < 0.1).all()


def test_multiscale_spares_the_silence_that_pgd_fills():
    """The logarithm makes what is new in silence dear (Prinz et al. 2021)."""
    model = curved(seed=1)
    x = sounds(4, model.window, 5)
    x[:, 800:] = 0.0
    for name, spared in (("pgd", False), ("multiscale-cw", True)):
        options = {"norm": "linf", "step_size": 5e-4, "epsilon": 0.05, "steps": 12, "confidence": 100.0}
        delta = attack(model, x, name, **options).adversarial - x
        level = delta[:, 1000:].square().mean() / delta[:, :800].square().mean()
        assert bool(level < 0.5) is spared, (name, level)


# -- Magnitude frames --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["original", "griffin-lim"])
@pytest.mark.parametrize("valid_stft", [False, True])
def test_magnitudes_keep_to_the_ball_and_the_sound_to_its_snr(monkeypatch, phase, valid_stft):
    """All that is heard was ≥ 0 and inside the SNR ball as magnitudes, and is inside it as sound."""
    model = curved(seed=1)
    x, epsilon = sounds(4, model.window, 5), 0.01
    heard = []

    class Listening(Stft):
        def inverse(self, spectra: torch.Tensor, n: int) -> torch.Tensor:
            heard.append(spectra.abs())
            return super().inverse(spectra, n)

    monkeypatch.setattr(spectral_module, "Stft", Listening)
    seen = []
    oracle = oracle_of(model, x, epsilon, stop_early=False, progress=lambda step: seen.append(step.delta.clone()))
    options = {"window": 256, "hop": 128, "phase": phase, "valid_stft": valid_stft, "loss": "margin"}
    spectral(oracle, steps=12, step_size=0.004, **options)
    stft = Stft(256, 128)
    origin = stft.forward(x).abs()
    bound = epsilon * math.sqrt(stft.mean_square * model.window)
    sizes = torch.stack([stft.norm(y - origin) for y in heard])
    assert sizes.max() <= bound * 1.001
    assert sizes.max() > 0.9 * bound
    assert len(seen) == 13
    assert seen[0].abs().max() < 1e-6, "without a change the resynthesis is the sound itself"
    for delta in seen:
        assert (delta.square().mean(1).sqrt() <= epsilon * (1 + 1e-5)).all()
    assert seen[-1].square().mean() > (0.3 * epsilon) ** 2


def test_the_gradient_goes_through_the_resynthesis():
    """∇_Y J = Re(e^{−iφ} A*∇_δ J), in the inner product of whole spectra, against finite differences."""
    model = curved(seed=1)
    x = sounds(2, model.window, 5)
    stft, oracle = Stft(256, 128), oracle_of(model, x, 1.0, stop_early=False)
    spectra = stft.forward(x)
    magnitude, turn = spectra.abs(), torch.sgn(spectra)

    def heard(y: torch.Tensor) -> torch.Tensor:
        return stft.inverse(y * turn, model.window) - x

    g = oracle.gradient(heard(magnitude))
    slope = (stft.inverse_adjoint(g) * turn.conj()).real
    way = torch.rand(magnitude.shape, generator=torch.Generator().manual_seed(0)) * magnitude

    def loss(y: torch.Tensor) -> float:
        return float(cross_entropy(oracle.logits(heard(y)).double(), oracle.problem.labels, None).sum())

    expected = float(2 * (slope * way).sum() - (slope * way)[..., [0, -1]].sum())
    step = 2e-3
    measured = (loss(magnitude + step * way) - loss(magnitude - step * way)) / (2 * step)
    assert measured == pytest.approx(expected, rel=0.01)


def test_success_is_that_of_the_resynthesised_sound():
    model = curved(seed=1)
    clip = Clip(sounds(1, 9000, 3).numpy(), 22_050)
    for phase in ("original", "griffin-lim"):
        outcome = attack(model, clip, "spectral", snr=5, phase=phase, valid_stft=True)
        assert outcome.success
        assert outcome.exported.decision.label != outcome.clean.label
        assert outcome.snr_db >= 5.0
        assert rms(outcome.perturbation.samples) > 0


def test_all_four_goals_of_kereliuk():
    """All to one label, to the truth, to one by chance, and away from what it was."""
    model = curved(seed=1)
    clip = Clip(sounds(1, 9000, 3).numpy(), 16_000)
    clean = classify(model, clip).label
    other = next(label for label in model.labels if label != clean)
    same = attack(model, clip, "spectral", snr=0, target=other)
    truth = attack(model, clip, "spectral", snr=0, goal="perfect", truth=other)
    chance = attack(model, clip, "spectral", snr=0, goal="random")
    wrong = attack(model, clip, "spectral", snr=0)
    assert same.success and same.exported.decision.label == other
    assert truth.success and truth.target == other
    assert chance.target not in (None, clean)
    assert wrong.success and wrong.target is None


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="whole hops"):
        attack(curved(), sounds(1, 1600), "spectral", window=1000, hop=300)


@pytest.mark.parametrize("name", NAMES)
def test_each_names_its_source(name):
    declared = find_attack(name)
    assert declared.gradients and declared.knowledge == "perfect knowledge"
    assert declared.reference[-4:].isdigit()
