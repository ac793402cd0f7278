"""conv-cascade, outlier-class and subnetwork against their definitions, and where they refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from detector_trials import area, made_up, mel_model, sample, scores, trial
from nets import curved
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from mirguard.clip import Clip
from mirguard.datasets.synthesis import dataset
from mirguard.detectors.catalogue import find_detector
from mirguard.detectors.conv_cascade import quantiles
from mirguard.detectors.fitting import PUT_ASIDE, fit
from mirguard.detectors.kept import fitted_for, keep, load
from mirguard.detectors.learning import adversarial_or_not, balance, folds, learn_linear
from mirguard.detectors.sample import Sample
from mirguard.detectors.subnetwork import dynamic_adversary, read
from mirguard.errors import Cancelled, UsageError
from mirguard.experiment.batch import attack_batch
from mirguard.models.bundled import NAME
from mirguard.models.catalogue import load_model
from mirguard.models.contract import TorchClassifier
from mirguard.models.networks.log_mel_cnn import LogMelCnn
from mirguard.models.networks.outlier import WithOutlier
from mirguard.models.networks.subnetwork import WithSubnetwork

NAMES = ("conv-cascade", "outlier-class", "subnetwork")
FEW = {"subnetwork": {"epochs": 2}}


@pytest.fixture(scope="module")
def heard() -> tuple[Sample, Sample, Sample]:
    return made_up(mel_model(), 30)


@pytest.fixture(scope="module")
def fitted(heard):
    return {name: fit(name, *heard, **FEW.get(name, {})) for name in NAMES}


@pytest.fixture(scope="module")
def faint() -> tuple[Sample, Sample, Sample]:
    """Two in five "attacked" windows are clean ones, so that no stage can be sure."""
    clean, noisy, attacked = made_up(mel_model(), 60)
    changed = torch.rand(len(attacked.windows), 1, generator=torch.Generator().manual_seed(7)) > 0.4
    return clean, noisy, attacked.changed(torch.where(changed, attacked.waveforms(), part_of_clean(clean).waveforms()))


@pytest.fixture(scope="module")
def cascade(faint):
    return fit("conv-cascade", *faint, passing=0.9)


def part_of_clean(clean: Sample) -> Sample:
    """The clips to fit on."""
    return clean.divided(PUT_ASIDE)[0]


def part_of(heard: tuple[Sample, Sample, Sample]) -> tuple[Sample, Sample, Sample]:
    """What they are fitted on."""
    return part_of_clean(heard[0]), *heard[1:]


# -- What they share -------------------------------------------------------------------------------------------------------


def test_no_clip_is_in_two_folds_and_every_fold_has_attacked_ones(heard):
    samples = part_of(heard)
    fold, attacked = folds(*samples), adversarial_or_not(*samples)
    clips = np.concatenate([np.array(one.hashes)[one.clip_of] for one in samples])
    assert all(len(set(fold[clips == clip])) == 1 for clip in clips)
    assert set(fold[attacked == 1]) == set(fold[attacked == 0]) == set(range(5))
    weights = balance(attacked)
    assert weights[attacked == 1].sum() == pytest.approx(weights[attacked == 0].sum())


def test_a_linear_judge_learns_what_can_be_learned_and_keeps_what_was_known(heard):
    rng = np.random.default_rng(0)
    attacked = rng.integers(0, 2, 400)
    x = rng.standard_normal((400, 30)) * 5.0 + 2.0
    x[:, 4] = 7.0
    known = np.where(attacked == 1, 1.0, -1.0) + rng.standard_normal(400)
    fold, weights = np.arange(400) % 5, balance(attacked)
    found = learn_linear(x, attacked, fold, weights, heard[0], known)
    assert roc_auc_score(attacked, found.held_out) > roc_auc_score(attacked, known) - 0.03
    assert found.weight[4] == 0.0
    x[:, 3] += 15.0 * attacked
    better = learn_linear(x, attacked, fold, weights, heard[0], known)
    assert roc_auc_score(attacked, better.held_out) > roc_auc_score(attacked, known)
    every = np.concatenate([x, known[:, None]], 1)
    assert roc_auc_score(attacked, every @ better.weight + better.bias) > 0.95


# -- conv-cascade ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [1, 2, 5, 64])
def test_quantiles_are_numpys(places):
    x = torch.randn(3, 4, places, generator=torch.Generator().manual_seed(places))
    expected = np.quantile(x.numpy(), (0.0, 0.25, 0.5, 0.75, 1.0), axis=2)
    np.testing.assert_allclose(quantiles(x), np.moveaxis(expected, 0, 2), rtol=1e-5, atol=1e-6)


def test_the_cascade_is_that_of_normalised_components_and_quantiles(faint, cascade):
    clean = part_of(faint)[0]
    assert cascade.layers[:2] == ("representation", "block-2")
    other = sample(clean.model, 4, 8)
    expected, before, open_ = [], None, np.ones(len(other.windows), bool)
    for stage in cascade.stages:
        maps, new = clean.activations(stage.layer), other.activations(stage.layer)
        if stage.layer == "representation":  # patches of 5 × 5
            own, new_own = maps[:, None], new[:, None]
            maps, new = (
                np.lib.stride_tricks.sliding_window_view(one, (5, 5), (1, 2)).reshape(len(one), -1, 25).swapaxes(1, 2)
                for one in (maps, new)
            )
        else:
            own, new_own = (one.reshape(*one.shape[:2], -1) for one in (maps, new))
            maps, new = own, new_own
        analysis = PCA(len(stage.components.rows)).fit(maps.swapaxes(1, 2).reshape(-1, maps.shape[1]).astype(float))
        deviation = np.sqrt(analysis.explained_variance_)
        mean = np.stack([(abs(analysis.transform(one.T)) / deviation).mean(0) for one in new])
        flat = new_own.reshape(*new_own.shape[:2], -1)
        of_filters = np.moveaxis(np.quantile(flat, (0, 0.25, 0.5, 0.75, 1), axis=2), 0, 2).reshape(len(flat), -1)
        found = stage.components.statistics(
            torch.from_numpy(new_own if stage.layer == "representation" else new_own[..., None])
        )
        np.testing.assert_allclose(found, np.concatenate([mean, of_filters], 1), rtol=0.02, atol=0.01)
        x = found.numpy() if before is None else np.concatenate([found, before[:, None]], 1)
        log_odds = x @ stage.weight.numpy() + stage.bias
        expected.append(np.where(open_, log_odds, 0.0))
        open_, before = open_ & (log_odds >= stage.threshold), log_odds
    digests = other.digests(cascade)
    np.testing.assert_allclose(digests, np.stack(expected, 1), rtol=1e-3, atol=1e-3)


def test_stages_pass_attacked_windows_and_rejected_ones_go_no_further(faint, cascade):
    clean, _noisy, attacked = faint
    first = cascade.stages[0].threshold
    assert (attacked.digests(cascade)[:, 0] >= first).mean() > 0.85
    digests = torch.from_numpy(clean.digests(cascade))
    stages, rejected = cascade.stages_of(digests), digests[:, 0] < first
    assert rejected.any() and not rejected.all()
    assert (stages[rejected] == 1).all() and (stages[~rejected] > 1).all()
    assert (digests[rejected, 1:] == 0).all()
    scores = cascade.window_scores(digests[None], torch.tensor([0]))[0]
    np.testing.assert_array_equal(scores, [row[stage - 1] for row, stage in zip(digests, stages, strict=True)])
    assert 1.0 <= cascade.cost < len(cascade.stages)
    assert cascade.cost == pytest.approx(float(stages.float().mean()), abs=0.5)
    assert f"{cascade.cost:.1f} of {len(cascade.stages)} stages" in cascade.note("a")


def test_a_stage_is_computed_for_those_windows_alone_that_come_to_it(faint, cascade, monkeypatch):
    seen, stage_type = [], type(cascade.stages[0])
    log_odds = stage_type.log_odds
    monkeypatch.setattr(
        stage_type,
        "log_odds",
        lambda self, x, before: (seen.append((self.layer, len(x))), log_odds(self, x, before))[1],
    )
    digests = torch.from_numpy(faint[0].digests(cascade))
    wanted = [int((cascade.stages_of(digests) > number).sum()) for number in range(len(cascade.stages))]
    assert [sum(rows for layer, rows in seen if layer == stage.layer) for stage in cascade.stages] == wanted
    assert wanted[1] < wanted[0] == len(digests)


def test_models_without_maps_have_no_cascade():
    clean, noisy, attacked = made_up(curved())
    with pytest.raises(UsageError, match="no layer of convolutions"):
        fit("conv-cascade", clean, noisy, attacked)


# -- outlier-class -----------------------------------------------------------------------------------------------------------


def test_the_outlier_class_is_the_last_of_a_network_that_knows_the_models_classes(heard, fitted):
    detector, (clean, _noisy, _attacked) = fitted["outlier-class"], part_of(heard)
    seen = clean.heard(detector.layers, lambda found, _z: detector.network(read(detector.layers[0], found)))
    assert seen.shape == (len(clean.windows), len(clean.model.labels) + 1)
    p = torch.softmax(torch.from_numpy(seen), 1)[:, -1].clamp(1e-7, 1 - 1e-7)
    np.testing.assert_allclose(clean.digests(detector)[:, 0], torch.log(p / (1 - p)), rtol=1e-2, atol=0.02)
    # It was trained to hear clean windows as the model does.
    assert np.mean(seen[:, :-1].argmax(1) == clean.logits.argmax(1)) > 1.5 / len(clean.model.labels)


def test_attacked_windows_are_outliers():
    assert area(fit("outlier-class", *trial()), "bim", 20) > 0.6


def test_tags_have_no_outlier_class():
    with pytest.raises(UsageError, match="is a tagger: tags do not exclude"):
        fit("outlier-class", *made_up(mel_model("tagging")))


# -- subnetwork --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["block-2", "hidden", "representation"])
def test_a_subnetwork_reads_the_layer_that_it_is_told(heard, layer):
    made = fit("subnetwork", *heard, layer=layer, epochs=1)
    assert made.layers == (layer,)
    assert np.isfinite(made.clean_scores).all()


def test_what_was_learned_is_there_on_held_out_clips(heard):
    made = fit("subnetwork", *heard, epochs=8)
    assert made.layers == ("representation",)
    aside = heard[0].divided(PUT_ASIDE)[1]
    quiet = aside.changed(0.5 * aside.waveforms() + 0.02 * torch.randn(aside.windows.shape))
    assert roc_auc_score(*_labelled(aside.digests(made), quiet.digests(made))) > 0.9


def test_the_dynamic_adversary_changes_the_decision_and_looks_normal(heard):
    clean = heard[0]
    made = fit("subnetwork", *heard, epochs=8)
    x, snr = clean.waveforms(slice(0, 16)), torch.full((16, 1), 15.0)
    found = {
        sigma: dynamic_adversary(clean.model, made.network, "representation", x, snr, sigma)
        for sigma in (0.0, 0.5, 1.0)
    }
    losses, told = {}, {}
    with torch.no_grad():
        own = clean.model.logits(x).argmax(1)
        for sigma, there in found.items():
            heard_now, z = clean.model.activations(there, ("representation",))
            losses[sigma] = float(F.cross_entropy(z, own))
            told[sigma] = float(made.digest(heard_now, z).mean())
            assert float((there - x).norm(dim=1).div(x.norm(dim=1)).max()) <= 10 ** (-15 / 20) * (1 + 1e-4)
        assert losses[0.0] > losses[1.0] and told[1.0] < told[0.0]
        assert losses[0.5] > float(F.cross_entropy(clean.model.logits(x), own))


def test_learning_from_the_dynamic_adversary_gives_another_network(heard):
    plain, dynamic = (fit("subnetwork", *heard, epochs=1, dynamic=value) for value in (False, True))
    assert np.isfinite(dynamic.clean_scores).all()
    assert not np.allclose(plain.clean_scores, dynamic.clean_scores)


def test_layers_that_are_not_there_are_named(heard):
    with pytest.raises(UsageError, match="has no layer 'block-9'; it has representation, block-2"):
        fit("subnetwork", *heard, layer="block-9")
    wide = made_up(curved(window=20_000), 10)
    with pytest.raises(UsageError, match="too many for a subnetwork"):
        fit("subnetwork", *wide, layer="representation")


def _labelled(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low[:, 0], high[:, 0]])


# -- Models that were made with a detector -----------------------------------------------------------------------------------


def hardened(make) -> TorchClassifier:
    plain = mel_model()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = make(LogMelCnn)
    return TorchClassifier(
        "hardened",
        plain.front_end,
        network,
        sample_rate=plain.sample_rate,
        window=plain.window,
        labels=plain.labels,
        taps=network.taps,
    )


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("outlier-class", lambda kind: WithOutlier(kind(4, channels=(4, 6), hidden=8))),
        ("subnetwork", lambda kind: WithSubnetwork(kind(3, channels=(4, 6), hidden=8), "block-1", (4, 13, 12))),
    ],
)
def test_a_model_that_has_the_detector_in_it_is_read(name, make, tmp_path):
    model = hardened(make)
    heard = made_up(model)
    made = fit(name, *heard)
    layer = {"outlier-class": "outlier", "subnetwork": "subnetwork"}[name]
    assert made.layers == (layer,)
    np.testing.assert_array_equal(heard[0].digests(made), heard[0].activations(layer))
    again = load(keep(made, tmp_path / "d.safetensors"), model)
    np.testing.assert_array_equal(heard[0].digests(again), heard[0].digests(made))


# -- All three -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_the_same_after_keeping(name, heard, fitted, tmp_path):
    path = keep(fitted[name], tmp_path / "d.safetensors")
    again = load(path, heard[0].model)
    np.testing.assert_allclose(heard[0].digests(again), heard[0].digests(fitted[name]), rtol=1e-5, atol=1e-5)
    assert path.stat().st_size < 150_000


@pytest.mark.parametrize("name", NAMES)
def test_scores_have_a_gradient_at_the_sound(name, heard, fitted):
    model, detector = heard[0].model, fitted[name]
    x = heard[0].waveforms(slice(0, 4)).requires_grad_()
    found, z = model.activations(x, detector.layers)
    evasion = detector.evadable()
    suspicion = evasion.suspicion(evasion.digest(found, z)[:, None], z.argmax(1))
    (g,) = torch.autograd.grad(suspicion.sum(), x)
    assert torch.isfinite(g).all() and (g.abs().amax(1) > 0).all()
    step = 1e-4 * x.detach().norm(dim=1, keepdim=True) * g / g.norm(dim=1, keepdim=True)
    with torch.no_grad():
        found, z = model.activations(x - step, detector.layers)
        lower = evasion.suspicion(evasion.digest(found, z)[:, None], z.argmax(1))
    assert (lower < suspicion).sum() >= 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["few clips", "identical clips", "silence scored"])
def test_poor_references_give_a_sentence_or_numbers(name, kind, heard, fitted):
    if kind == "silence scored":
        model = heard[0].model
        with torch.no_grad():
            found, z = model.activations(torch.zeros(2, model.window), fitted[name].layers)
            assert torch.isfinite(
                fitted[name].window_scores(fitted[name].digest(found, z)[None], z.argmax(1)[:1])
            ).all()
        return
    clean, noisy, attacked = heard
    if kind == "few clips":
        few = np.arange(3)
        with pytest.raises(UsageError, match="at least 5"):
            fit(name, clean, noisy.part(few), attacked.part(few))
        return
    same = clean.changed(clean.waveforms(np.zeros(len(clean.windows), int)))
    made = fit(name, same, noisy, attacked, **FEW.get(name, {}))
    assert np.isfinite(made.clean_scores).all()


@pytest.mark.parametrize("name", NAMES)
def test_fitting_can_be_cancelled(name, heard):
    calls = []

    def pause() -> None:
        calls.append(1)
        if len(calls) > 3:
            raise Cancelled

    clean, noisy, attacked = heard
    with pytest.raises(Cancelled):
        fit(name, Sample(**{**clean.__dict__, "pause": pause}), noisy, attacked, **FEW.get(name, {}))


@pytest.fixture(scope="module")
def attacked_toys() -> tuple[Sample, Sample, Sample]:
    """Clean, noisy and attacked windows at 30 dB that no detector has met."""
    model = load_model(NAME)
    clips = [Clip(one.samples, one.sample_rate) for one in dataset(20, 11, "test")]
    clean = Sample.of(model, clips, "test")
    x = clean.waveforms()
    noisy = attack_batch(model, x, "noise", snr=30).adversarial
    found = attack_batch(model, x, "pgd", snr=30, steps=8, stop_early=False)
    chosen = np.flatnonzero(found.success)
    return clean, clean.changed(noisy), clean.changed(found.adversarial[chosen], chosen)


@pytest.mark.parametrize(("name", "least"), [("conv-cascade", 0.85), ("outlier-class", 0.6), ("subnetwork", 0.9)])
def test_the_shipped_ones_see_attacks_on_the_toy_model(name, least, attacked_toys):
    clean, noisy, attacked = attacked_toys
    detector = fitted_for(clean.model, name)
    low = np.concatenate([scores(detector, clean), scores(detector, noisy)])
    high = scores(detector, attacked)
    assert len(high) >= 20
    assert roc_auc_score(np.repeat([0, 1], [len(low), len(high)]), np.concatenate([low, high])) > least
    # Of 20 clips at the most 4 (the 99.7 % quantile of the binomial distribution) exceed a threshold at 5 %.
    digests = torch.from_numpy(clean.digests(detector))
    of_clips = [
        detector.score(digests[torch.from_numpy(clean.clip_of == clip)], clean.model.labels[said])
        for clip, said in enumerate(clean.said)
    ]
    assert np.sum(np.array(of_clips) > detector.threshold(0.05)) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_an_attack_that_evades_passes_more_often(name, attacked_toys):
    clean = attacked_toys[0]
    detector = fitted_for(clean.model, name)
    x, rows = clean.waveforms(slice(0, 10)), np.arange(10)
    passed = {}
    for evade in ((), (detector.evadable(),)):
        found = attack_batch(clean.model, x, "pgd", snr=20, steps=15, stop_early=False, evade=evade)
        unseen = scores(detector, clean.changed(found.adversarial, rows)) <= detector.threshold(0.05)
        passed[bool(evade)] = int((found.success.numpy() & unseen).sum())
    assert passed[True] >= 8 and passed[True] > passed[False]


# -- Models that were made with a detector in them -----------------------------------------------------------------------------


def test_a_model_made_with_the_detector_needs_no_attacked_sounds():
    class Within:
        layers = ("hidden", "outlier")

    assert find_detector("outlier-class").needed(Within()) == ()
    assert find_detector("subnetwork").needed(Within()) == ("noisy", "adversarial")
