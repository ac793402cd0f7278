"""Attacks against closed forms, finite differences and the invariants that every attack keeps."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import WINDOW, curved, linear, sounds
from scipy.optimize import linprog, nnls

from mirguard.attacks.budget import before_rounding, epsilon_to_snr, snr_to_epsilon
from mirguard.attacks.catalogue import find_attack, list_attacks
from mirguard.attacks.ledger import Ledger
from mirguard.attacks.losses import cross_entropy, margin
from mirguard.attacks.norms import NORMS as NORM_OBJECTS
from mirguard.attacks.oracle import Oracle
from mirguard.attacks.problem import Batch, WholeTrack
from mirguard.attacks.restriction import Restriction
from mirguard.attacks.view import View
from mirguard.clip import Clip, save_clip
from mirguard.errors import UsageError
from mirguard.experiment import attack

ATTACKS = [entry.name for entry in list_attacks()]
NORMS = ("l2", "linf")
FEW = {
    "steps": 6,
    "rounds": 8,
    "searches": 2,
    "queries": 40,
    "samples": 8,
    "epochs": 2,
}  # enough to see what always holds


def norms_of(name: str) -> tuple[str, ...]:
    entry = find_attack(name)
    own = {parameter.name: parameter for parameter in entry.parameters}
    return own["norm"].choices if "norm" in own else (entry.norm,)


CASES = [(name, norm) for name in ATTACKS for norm in norms_of(name) if norm != "l1"]
GRADIENT = [entry.name for entry in list_attacks() if entry.gradients]
# Those that go on for as long as they are let, by gradients; with JSMA's γ there is another limit than ε.
OWN = {name: {own.name for own in find_attack(name).parameters} for name in GRADIENT}
ITERATIVE = [name for name in GRADIENT if {"steps", "rounds"} & OWN[name] and "gamma" not in OWN[name]]


def quick(name: str, norm: str | None = None) -> dict:
    """Options that end the attack soon, and the norm where it is not the only one."""
    own = {parameter.name: parameter for parameter in find_attack(name).parameters}
    few = {key: min(value, own[key].default) for key, value in FEW.items() if key in own}
    return few | ({"norm": norm} if norm and "norm" in own else {})


def distances(model, x: torch.Tensor, norm: str, target: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """The closed-form distance to the nearest boundary of a linear model, in ε's measure, and the model's labels."""
    weight, z = model.network.layer.weight, model.logits(x)
    labels = z.argmax(1)
    found = torch.full((len(x), z.shape[1]), math.inf)
    for row, own in enumerate(labels.tolist()):
        for k in range(z.shape[1]):
            if k == own or (target is not None and k != target):
                continue
            w = weight[k] - weight[own]
            size = w.norm() * math.sqrt(x.shape[1]) if norm == "l2" else w.abs().sum()
            found[row, k] = (z[row, own] - z[row, k]) / size
    return found.amin(1), labels


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shift", [0.0, -50.0])
def test_fgsm_and_pgd_reach_the_closed_form_distance_of_two_classes(norm, shift):
    """On a linear K = 2 model one gradient step is optimal: 1 % more than the distance fools, 1 % less cannot."""
    model = linear(2, shift=shift)
    x = sounds(6, WINDOW)
    optimum, _ = distances(model, x, norm)
    for name, own in (("fgsm", {}), ("pgd", {"steps": 8})):
        for row, distance in enumerate(optimum.tolist()):
            for factor, fooled in ((1.01, True), (0.99, False)):
                found = attack(
                    model, x[row : row + 1], name, norm=norm, epsilon=factor * distance, confidence=0.0, **own
                )
                assert bool(found.success[0]) is fooled, (name, row, factor)


def test_pgd_finds_what_lies_inside_the_budget_of_many_classes():
    """Untargeted, the nearest of the pairwise boundaries is the optimum; within 10 % of it PGD finds a way out."""
    model = linear(6, seed=3)
    x = sounds(8, WINDOW, seed=4)
    for norm in NORMS:
        optimum, _ = distances(model, x, norm)
        for row, distance in enumerate(optimum.tolist()):
            options = {"norm": norm, "steps": 60, "loss": "margin", "confidence": 0.0}
            assert attack(model, x[row : row + 1], "pgd", epsilon=1.1 * distance, **options).success[0]
            assert not attack(model, x[row : row + 1], "pgd", epsilon=0.99 * distance, **options).success[0]


@pytest.mark.parametrize("norm", NORMS)
def test_targeted_pgd_finds_what_lies_inside_the_budget(norm):
    """The target must beat every class: the smallest such δ is a linear program (L∞) or a least-distance problem (L2)."""
    model, target = linear(6, seed=3), 3
    x = sounds(8, WINDOW, seed=4)
    weight = model.network.layer.weight.double().numpy()
    for row, z in zip(x, model.logits(x).double(), strict=True):
        if int(z.argmax()) == target:
            continue
        others = [k for k in range(6) if k != target]
        slopes = weight[target] - weight[others]  # slopes @ δ >= gaps
        gaps = z[others].numpy() - float(z[target])
        if norm == "linf":
            size = linprog(
                np.r_[np.zeros(WINDOW), 1.0],
                A_ub=np.block(
                    [
                        [-slopes, np.zeros((5, 1))],
                        [np.eye(WINDOW), -np.ones((WINDOW, 1))],
                        [-np.eye(WINDOW), -np.ones((WINDOW, 1))],
                    ]
                ),
                b_ub=np.r_[-gaps, np.zeros(2 * WINDOW)],
                bounds=[(None, None)] * WINDOW + [(0, None)],
            ).fun
        else:  # Lawson & Hanson 1974, ch. 23: LDP through NNLS
            system, right = np.vstack([slopes.T, gaps]), np.r_[np.zeros(WINDOW), 1.0]
            residual = system @ nnls(system, right)[0] - right
            size = np.linalg.norm(residual[:-1] / residual[-1]) / math.sqrt(WINDOW)
        options = {"norm": norm, "steps": 400, "loss": "margin", "confidence": 0.0, "target": torch.tensor([target])}
        assert attack(model, row[None], "pgd", epsilon=1.2 * size, **options).success[0]
        assert not attack(model, row[None], "pgd", epsilon=0.99 * size, **options).success[0]


@pytest.mark.parametrize("task", ["single-label", "tagging"])
@pytest.mark.parametrize("channels", [1, 2])
def test_gradient_of_a_track_agrees_with_finite_differences(task, channels):
    """Through down-mix, resampling, windows, the mean of probabilities and the loss, in one go."""
    model = curved(task=task, micro_batch=2, graph_windows=3)
    rng = np.random.default_rng(1)
    clip = Clip(0.1 * rng.standard_normal((channels, 22_050 * 5 // 8)), 22_050)
    problem = WholeTrack(clip, 1, None, "l2", 0.01, 0, "FLOAT")
    oracle = Oracle(problem, View(model), Ledger(problem, stop_early=False))
    delta = 0.01 * torch.from_numpy(rng.standard_normal((1, clip.frames)).astype(np.float32))
    gradient = oracle.gradient(delta)

    def loss(at: torch.Tensor) -> float:
        return float(cross_entropy(oracle.logits(at).double(), problem.labels, None)[0])

    for direction in (
        gradient / gradient.norm(),
        torch.from_numpy(rng.standard_normal(delta.shape).astype(np.float32)),
    ):
        direction = direction / direction.norm()
        slope = float((gradient * direction).sum())
        step = 0.02
        measured = (loss(delta + step * direction) - loss(delta - step * direction)) / (2 * step)
        assert measured == pytest.approx(slope, rel=0.01, abs=0.002 * float(gradient.norm()))


def test_gradient_is_the_same_with_one_pass_and_with_two():
    """Graphs kept from the first pass, or run again because the track is long: the same numbers."""
    clip = Clip(0.1 * np.random.default_rng(2).standard_normal((2, 44_100)), 44_100)
    found = []
    for held in (0, 3, 64):
        model = curved(micro_batch=2, graph_windows=held)
        problem = WholeTrack(clip, 0, 2, "l2", 0.01, 0, "FLOAT")
        found.append(Oracle(problem, View(model), Ledger(problem)).gradient(problem.zeros()))
    assert found[0].abs().max() > 0
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("finished", [False, True])
def test_slopes_are_the_same_in_one_micro_batch_and_in_several(finished):
    """All windows at once lead back without a halt at their logits: the same numbers, 0 for rows that are done."""
    x, found = sounds(5, WINDOW), []
    for micro_batch in (2, 8):
        model = curved(micro_batch=micro_batch)
        problem = Batch(x, 16_000, torch.arange(5) % 3, None, "l2", torch.full((5,), 0.01), 0, torch.ones(5))
        oracle = Oracle(problem, View(model), Ledger(problem, stop_early=False))
        if finished:
            oracle.finish(torch.arange(5) == 3)
        g = oracle.gradient(problem.zeros())
        _, rows = oracle.jacobian(problem.zeros(), torch.tensor([[0, 1]] * 5))
        assert bool((g[3] == 0).all() and (rows[:, 3] == 0).all()) is finished
        found.append(torch.cat([g[None], rows]))
    assert (found[0].abs().amax(2)[:, :3] > 0).all()
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5 * float(found[0].abs().max()))


# -- Invariants of every attack ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "norm"), CASES)
@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 10_000), snr=st.floats(5.0, 45.0))
def test_success_is_true_outside_and_the_budget_holds(name, norm, seed, snr):
    model = curved(3, seed=seed % 5)
    x = sounds(4, model.window, seed)
    found = attack(model, x, name, snr=snr, seed=seed, **quick(name, norm))
    clean, now = model.logits(x).argmax(1), model.logits(found.adversarial).argmax(1)
    assert torch.equal(found.success, now != clean)
    delta = found.adversarial.double() - x
    true_snr = 10 * torch.log10(x.double().square().sum(1) / delta.square().sum(1))
    assert (true_snr >= snr - 1e-4).all()
    torch.testing.assert_close(found.snr_db.double(), true_snr, rtol=0, atol=1e-3)
    assert found.adversarial.abs().max() <= 1.0
    if norm == "linf":
        bound = x.square().mean(1).sqrt() * 10 ** (-snr / 20)
        assert (found.linf <= bound + 1e-7).all()  # x + δ is rounded to float32


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_batch_mates_and_their_order_change_nothing(name, norm):
    model = curved(seed=1)
    x = sounds(3, model.window, 5)
    together = attack(model, x, name, snr=20, seed=3, **quick(name, norm))
    backwards = attack(model, x.flip(0), name, snr=20, seed=3, **quick(name, norm))
    for row in range(len(x)):
        own = float(x[row].square().mean().sqrt() * 0.1)
        alone = attack(model, x[row : row + 1], name, epsilon=own, seed=3, **quick(name, norm))
        assert bool(alone.success[0]) == bool(together.success[row]) == bool(backwards.success[len(x) - 1 - row])
        assert float(alone.l2[0]) == pytest.approx(float(together.l2[row]), rel=1e-4)
        assert float(backwards.l2[len(x) - 1 - row]) == pytest.approx(float(together.l2[row]), rel=1e-4)


@pytest.mark.parametrize("name", ATTACKS)
def test_same_seed_same_result_other_seed_other_noise(name):
    model = curved()
    x = sounds(3, model.window)
    chosen = {parameter.name for parameter in find_attack(name).parameters}
    options = {"random_start": True} if "random_start" in chosen else {}
    few = quick(name)
    first, again, other = (
        attack(model, x, name, snr=25, seed=seed, **few, **options).adversarial for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not (options or name == "noise") or not torch.equal(first, other)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_level_of_the_logits_does_not_matter(name):
    """50 below, where a hinge that masks by multiplying with 0 finds nothing any more."""
    model, lowered = curved(), curved()
    lowered.network.out.bias.data -= 50.0
    x = sounds(6, model.window)
    found, below = (attack(of, x, name, snr=20, **quick(name)) for of in (model, lowered))
    assert torch.equal(found.success, below.success)
    torch.testing.assert_close(found.l2, below.l2, rtol=0.02, atol=0)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_least_of_everything_still_ends_in_the_box(name):
    """One step, one search, one question; or a sentence says that it is too little."""
    model = curved()
    x = sounds(3, model.window)
    least = {own.name: own.minimum for own in find_attack(name).parameters if own.kind is int}
    try:
        found = attack(model, x, name, **least)
    except UsageError:
        assert least.get("queries") == 1
        return
    assert torch.equal(found.success, model.logits(found.adversarial).argmax(1) != model.logits(x).argmax(1))
    assert found.adversarial.abs().max() <= 1.0


@pytest.mark.parametrize("name", ATTACKS)
def test_silence_is_attacked_by_amplitude_and_has_no_snr(name):
    model = curved()
    x = torch.zeros(2, model.window)
    with pytest.raises(UsageError, match="silent"):
        attack(model, x, name, snr=30, **quick(name))
    found = attack(model, x, name, epsilon=0.01, **quick(name))
    assert torch.isnan(found.snr_db).all()
    assert torch.isfinite(found.adversarial).all()
    assert (found.l2 <= 0.01 * math.sqrt(model.window) * (1 + 1e-5)).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_samples_at_full_scale_stay_in_the_box(name, norm):
    model = curved()
    x = sounds(4, model.window, level=2.0).clamp(-1, 1)
    assert (x.abs() == 1).any()
    found = attack(model, x, name, epsilon=0.05, **quick(name, norm))
    assert found.adversarial.abs().max() <= 1.0
    assert (
        (found.linf <= 0.05 + 1e-6).all()
        if norm == "linf"
        else (found.l2 <= 0.05 * math.sqrt(model.window) * 1.00001).all()
    )


@pytest.mark.parametrize("name", ATTACKS)
def test_already_misclassified_rows_are_returned_unchanged(name):
    model = curved()
    x = sounds(3, model.window)
    labels = model.logits(x).argmax(1)
    labels[1] = (labels[1] + 1) % 4
    found = attack(model, x, name, epsilon=0.02, labels=labels, **quick(name))
    assert found.status[1] == "clean-wrong"
    assert torch.equal(found.adversarial[1], x[1])
    assert found.status[0] != "clean-wrong"


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(("classes", "task"), [(2, "single-label"), (5, "tagging")])
def test_two_classes_and_tags_are_attacked_like_others(name, classes, task, tmp_path):
    """Untargeted the top label changes, targeted it becomes the target; what is reported is so."""
    model = curved(classes, task=task)
    x = sounds(16, model.window, 6)
    labels = model.logits(x).argmax(1)
    target = int(labels[0])
    rows = (labels != target).nonzero()[:3, 0]
    entry, few = find_attack(name), quick(name)
    if entry.untargeted:
        found = attack(model, x[rows], name, snr=15, **few)
        assert torch.equal(found.success, model.logits(found.adversarial).argmax(1) != labels[rows])
    if entry.targeted:
        if "start" in {parameter.name for parameter in entry.parameters}:  # a sound that is heard as the target
            few["start"] = str(save_clip(Clip(x[:1].numpy(), model.sample_rate), tmp_path / "start.wav", "FLOAT"))
        found = attack(model, x[rows], name, snr=15, target=torch.full_like(rows, target), **few)
        assert torch.equal(found.success, model.logits(found.adversarial).argmax(1) == target)


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize("k", [1, 7])
def test_a_gradient_budget_is_the_same_schedule_cancelled_there(name, k):
    model = curved()
    x = sounds(2, model.window)
    options = {"snr": 20} | quick(name)
    limited = attack(model, x, name, max_gradients=k, **options)
    looks = int(limited.forwards.max())
    cancel = threading.Event()
    cancelled = attack(
        model, x, name, cancel=cancel, progress=lambda step: cancel.set() if step.forwards == looks else None, **options
    )
    assert torch.equal(limited.adversarial, cancelled.adversarial)
    assert limited.gradients.tolist() == cancelled.gradients.tolist()


@pytest.mark.parametrize("name", ATTACKS)
def test_time_ranges_are_kept(name):
    """Outside the range not a sample changes."""
    model = curved()
    x = sounds(2, model.window)
    begin, end = 400, 1200
    allowed = Restriction(time=(begin / model.sample_rate, end / model.sample_rate))
    delta = attack(model, x, name, snr=15, restriction=allowed, **quick(name)).adversarial - x
    assert torch.equal(delta[:, :begin], torch.zeros(2, begin))
    assert torch.equal(delta[:, end:], torch.zeros(2, model.window - end))


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_bands_are_kept(name, norm):
    """Beyond the edges' slopes hardly anything is added: 40 dB less than within. What cannot keep to a band says so."""
    model = curved()
    x = sounds(3, model.window)
    allowed = Restriction(band=(1000, 3000))
    try:
        found = attack(model, x, name, snr=10, restriction=allowed, **quick(name, norm))
    except UsageError as refusal:
        if "single samples" not in str(refusal):
            raise
        return
    delta = (found.adversarial.double() - x) * torch.hann_window(model.window, dtype=torch.float64)
    power = torch.fft.rfft(delta).abs().square()
    hz = torch.fft.rfftfreq(model.window, 1 / model.sample_rate)
    inside = (hz >= 750) & (hz <= 3750)
    assert power[:, inside].sum() > 0
    assert (power[:, ~inside].sum(1) <= 1e-4 * power[:, inside].sum(1)).all()


@pytest.mark.parametrize("name", ATTACKS)
def test_the_best_candidate_seen_is_the_one_returned(name, monkeypatch):
    """The one that fools most or, where the smallest is looked for, the smallest that fools; judged here anew."""
    model = curved()
    x = sounds(4, model.window)
    own = {parameter.name: parameter for parameter in find_attack(name).parameters}
    options = {"snr": 5} | quick(name) | ({"stop_early": False} if "stop_early" in own else {})
    least = own["confidence"].default if "confidence" in own else 0.0
    measures, margins, deltas = [], [], []
    minimise = Ledger.minimise
    monkeypatch.setattr(Ledger, "minimise", lambda ledger, of: (measures.append(of), minimise(ledger, of))[1])

    def note(step) -> None:
        margins.append(step.margin.nan_to_num(-math.inf))  # of rows that were not heard
        deltas.append(step.delta.clone())

    adversarial = attack(model, x, name, progress=note, **options).adversarial
    gaps, rows = torch.stack(margins), torch.arange(len(x))
    last = margin(model.logits(adversarial), model.logits(x).argmax(1), None)
    if not measures:
        torch.testing.assert_close(last, gaps.amax(0), rtol=1e-3, atol=1e-4)
        return
    inside = torch.stack([delta.square().mean(1).sqrt() for delta in deltas])
    inside = inside <= x.square().mean(1).sqrt() * 10 ** (-5 / 20) * (1 + 1e-5)
    sizes = torch.stack([measures[0](delta, rows) for delta in deltas])
    smallest = torch.where(inside & (gaps > least), sizes, math.inf).amin(0)
    fooled = smallest.isfinite()
    assert fooled.any()
    torch.testing.assert_close(measures[0](adversarial - x, rows)[fooled], smallest[fooled], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(
        last[~fooled], torch.where(inside, gaps, -math.inf).amax(0)[~fooled], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", ITERATIVE)
def test_a_larger_budget_never_fools_less(name):
    """Row by row: what 40 dB are enough for, 35 dB are enough for as well."""
    model = curved()
    x = sounds(20, model.window)
    fooled = [attack(model, x, name, snr=snr, **quick(name)).success for snr in (40, 35, 30, 25, 20, 15)]
    for less, more in pairwise(fooled):
        assert (more | ~less).all()


@pytest.mark.parametrize(("name", "norm"), [(name, norm) for name, norm in CASES if name in ITERATIVE])
def test_without_a_budget_everything_is_fooled(name, norm):
    model = curved()
    x = sounds(8, model.window)
    options = {} if find_attack(name).norm else {"norm": norm}
    assert attack(model, x, name, epsilon=2.0, **options).success.all()


def test_the_l1_ball_is_projected_onto_like_by_brute_force():
    """Duchi et al. 2008 against the threshold found by bisection, rows inside and outside the ball."""
    norm = NORM_OBJECTS["l1"]
    delta = sounds(5, 300, 3, level=0.5)
    epsilon = torch.tensor([0.01, 0.1, 0.2, 5.0, 0.3])
    found = norm.project_(delta.clone(), epsilon)
    for row, radius, projected in zip(delta.double(), epsilon.tolist(), found.double(), strict=True):
        low, high = 0.0, float(row.abs().max())
        for _ in range(80):
            theta = (low + high) / 2
            low, high = (theta, high) if (row.abs() - theta).clamp_min(0).mean() > radius else (low, theta)
        expected = row if row.abs().mean() <= radius else row.sign() * (row.abs() - high).clamp_min(0)
        torch.testing.assert_close(projected, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in ATTACKS if "l1" in norms_of(name)])
def test_l1_budgets_hold_for_each_row_and_are_no_snr(name):
    model = curved()
    x = sounds(4, model.window)
    found = attack(model, x, name, epsilon=0.002, confidence=100.0, **quick(name, "l1"))
    size = (found.adversarial - x).abs().mean(1)
    assert (size <= 0.002 * 1.0001).all()
    assert (size > 0.0005).all()  # every row is moved, not only the one of the batch's largest gradient
    with pytest.raises(UsageError, match="signal-to-noise"):
        attack(model, x, name, snr=30, norm="l1")


def test_momentum_is_dongs():
    """Two steps by hand: v₂ = μ·∇₁/‖∇₁‖₁ + ∇₂/‖∇₂‖₁."""
    model = curved()
    x = sounds(1, model.window)
    options = {"norm": "linf", "epsilon": 0.01, "step_size": 0.001, "stop_early": False, "confidence": 100.0}
    found = attack(model, x, "pgd", steps=2, momentum=0.9, **options).adversarial
    labels, v, delta = model.logits(x).argmax(1), 0.0, torch.zeros_like(x)
    tried = []
    for _ in range(2):
        leaf = (x + delta).requires_grad_()
        g = torch.autograd.grad(cross_entropy(model.logits(leaf), labels, None).sum(), leaf)[0]
        v = 0.9 * v + g / g.abs().sum()
        delta = delta - 0.001 * v.sign()
        tried.append(x + delta)
    best = max(tried, key=lambda at: float(margin(model.logits(at), labels, None)))
    torch.testing.assert_close(found, best, atol=1e-6, rtol=0)


def test_targets_that_are_the_label_are_refused():
    model = curved()
    x = sounds(2, model.window)
    with pytest.raises(UsageError, match="target"):
        attack(model, x, "pgd", target=model.logits(x).argmax(1))


@pytest.mark.parametrize("k", [1, 4, 9])
def test_cancelling_at_gradient_k_is_the_same_schedule_stopped_there(k):
    model = curved()
    x = sounds(3, model.window)
    options = {"steps": 20, "step_size": 0.0005, "epsilon": 0.004, "stop_early": False}
    limited = attack(model, x, "pgd", max_gradients=k, **options)
    cancel = threading.Event()
    cancelled = attack(
        model, x, "pgd", cancel=cancel, progress=lambda step: cancel.set() if step.gradients == k else None, **options
    )
    assert torch.equal(limited.adversarial, cancelled.adversarial)
    assert limited.gradients.tolist() == cancelled.gradients.tolist() == [k] * 3
    assert set(cancelled.status) <= {"cancelled", "success"}


def test_finished_rows_leave_the_batch():
    """Rows that are easily fooled take one step and are not computed again."""
    model = curved()
    x = sounds(16, model.window)
    heard = []
    whole = model.logits
    model.logits = lambda windows: (heard.append(len(windows)), whole(windows))[1]
    found = attack(model, x, "pgd", snr=12, steps=40)
    per_row = found.forwards.tolist()
    assert min(per_row) < max(per_row)
    judged_outside = 2 * len(x)  # the labels before and the check after
    assert sum(heard) - judged_outside == sum(per_row)


def test_restarts_only_add():
    model = curved(seed=2)
    x = sounds(12, model.window, 9)
    once = attack(model, x, "noise", snr=8)
    often = attack(model, x, "noise", snr=8, restarts=30)
    assert (often.success | ~once.success).all()
    assert often.success.sum() > once.success.sum()


def test_a_model_without_gradient_takes_noise_and_refuses_the_rest():
    model = curved()
    model.differentiable = False
    x = sounds(2, model.window)
    attack(model, x, "noise", snr=20)
    for name in ("fgsm", "pgd"):
        with pytest.raises(UsageError, match="gradient"):
            attack(model, x, name, snr=20)


def test_vanishing_gradients_keep_their_direction():
    """Saturated softmax: gradients of 1e-30 still point somewhere, in both norms."""
    problem = Batch(
        sounds(1, 8), 16_000, torch.zeros(1, dtype=torch.long), None, "l2", torch.tensor([0.1]), 0, torch.ones(1)
    )
    tiny = torch.tensor([[1e-30, -2e-30, 0, 0, 0, 0, 0, 2e-30]])
    direction = problem.steepest(tiny)
    assert float(direction.square().mean()) == pytest.approx(1.0, rel=1e-5)
    assert direction[0, 1] == pytest.approx(-2 * direction[0, 0])
    assert torch.equal(problem.steepest(torch.zeros(1, 8)), torch.zeros(1, 8))
    # Where the smallest numbers count as nothing, as on the window's thread, they may not be divided by.
    torch.set_flush_denormal(True)
    try:
        assert torch.equal(problem.steepest(torch.zeros(1, 8)), torch.zeros(1, 8))
    finally:
        torch.set_flush_denormal(False)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_a_step_in_place_goes_as_far_as_it_says(norm):
    g = torch.randn(3, 400, generator=torch.Generator().manual_seed(1))
    g[1] *= 1e-30
    g[2] = 0.0
    delta, length = torch.full_like(g, 0.5), torch.tensor([0.1, 0.2, 0.3])
    expected = delta - length[:, None] * NORM_OBJECTS[norm].steepest(g)
    moved = NORM_OBJECTS[norm].descend_(delta, g, length)
    assert moved is delta
    torch.testing.assert_close(delta, expected)
    sizes = NORM_OBJECTS[norm].size(delta - 0.5)
    assert sizes.tolist() == pytest.approx([0.1, 0.2, 0.0], rel=1e-4)


def test_noise_has_exactly_the_size_it_should():
    model = curved()
    x = sounds(3, model.window)
    found = attack(model, x, "noise", snr=30, confidence=100.0)
    torch.testing.assert_close(found.snr_db, torch.full((3,), 30.0), atol=1e-3, rtol=0)


def test_budgets_hold_for_minutes_of_sound():
    """Sums of millions of squares in float32: what is projected onto ε has that RMS in double precision too."""
    x = torch.zeros(1, 1 << 22)
    problem = Batch(x, 16_000, torch.zeros(1, dtype=torch.long), None, "l2", torch.tensor([0.01]), 0, torch.ones(1))
    for delta in (problem.noise(), problem.project(sounds(1, 1 << 22, level=1.0))):
        assert float(delta.double().square().mean().sqrt()) == pytest.approx(0.01, rel=1e-6)


@given(snr=st.floats(-20, 90), rms=st.floats(1e-4, 1.0))
def test_epsilon_and_snr_are_two_faces_of_one_number(snr, rms):
    assert epsilon_to_snr(snr_to_epsilon(snr, rms), rms) == pytest.approx(snr, abs=1e-9)


def test_budgets_too_small_for_the_format_are_refused():
    with pytest.raises(UsageError, match="16-bit"):
        before_rounding(1e-5, "linf", "PCM_16", 1000)
    assert before_rounding(1e-5, "linf", "FLOAT", 1000) == pytest.approx(1e-5, rel=1e-5)


def test_unknown_attacks_are_named_with_the_known_ones():
    with pytest.raises(UsageError, match="noise, fgsm, bim, pgd"):
        find_attack("pdg")


def test_a_window_of_the_wrong_length_is_refused():
    model = curved()
    with pytest.raises(UsageError, match="shape"):
        attack(model, sounds(2, 100), "pgd")
    with pytest.raises(UsageError, match="finite"):
        attack(model, torch.full((1, model.window), math.nan), "pgd")
