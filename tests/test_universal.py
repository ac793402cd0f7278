"""Universal perturbations: the two methods, the files they are kept in, and laying them on clips."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets import WINDOW, curved, linear, sounds
from safetensors.numpy import save as encode

from mirguard.attacks.catalogue import find_attack
from mirguard.attacks.laid import loop
from mirguard.attacks.universal import Shared, abdoli, moosavi_dezfooli
from mirguard.attacks.universal_file import list_universals, load_universal, own_path, rounded, save_universal
from mirguard.attacks.view import View
from mirguard.channel.resample import Resampler
from mirguard.cli import main
from mirguard.clip import Clip, energy, rms
from mirguard.errors import Cancelled, FileError, MirguardError, UsageError
from mirguard.experiment import attack
from mirguard.experiment.sound_set import divided_folder
from mirguard.experiment.universal import Universal, fooling, lay, make_universal
from mirguard.models.tracks import classify

ABDOLI = {"epochs": 16, "batch": 10, "weight": 300.0, "kappa": 1.0, "learning_rate": 0.3}
MOOSAVI = {"fooling_rate": 1.0, "passes": 12, "inner_steps": 10, "overshoot": 0.02}
METHODS = ((abdoli, ABDOLI), (moosavi_dezfooli, MOOSAVI))


@pytest.fixture(autouse=True)
def one_thread():
    """These models are so small that two threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shared(model, x, epsilon, norm="l2", target=None, scale=None, **more) -> Shared:
    labels = model.logits(x).argmax(1)
    targets = None if target is None else torch.full_like(labels, target)
    scale = torch.ones(len(x)) if scale is None else scale
    return Shared(x, scale, View(model), model.sample_rate, labels, targets, norm, epsilon, **more)


def music(rows: int = 12, seed: int = 0, frames: int = 4000, rate: int = 16_000) -> list[Clip]:
    return [Clip(row.numpy(), rate) for row in sounds(rows, frames, seed)]


def saved(v: np.ndarray | None = None, rate: int = 16_000, **more) -> Universal:
    v = np.sin(2 * np.pi * 40 * np.arange(1600) / 1600) if v is None else v  # whole periods of 400 Hz
    about = {"norm": "l2", "epsilon": 0.01, "reference_rms": 0.1, "follows": True, **more}
    return Universal("one", rounded(0.01 * v.astype(np.float32)), rate, "test", "", "abdoli", **about)


# -- The methods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "options"), METHODS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_v_that_fools_all_is_found_where_there_is_one(method, options, norm):
    """Two classes told apart by w: of the rows of one class, v = −t·w fools all as soon as it fools the farthest one."""
    model = linear(2)
    x = sounds(40, WINDOW)
    x = x[model.logits(x).argmax(1) == 0]
    z, weight = model.logits(x), model.network.layer.weight
    w = weight[0] - weight[1]
    farthest = float((z[:, 0] - z[:, 1]).max())
    size = farthest / float(w.norm() * WINDOW**0.5 if norm == "l2" else w.abs().sum())
    every = shared(model, x, 2.0 * size, norm)  # the faded ends and the box take their part
    assert every.rate(method(every, **options)) == 1.0
    little = shared(model, x, 0.9 * size, norm)
    assert little.rate(method(little, **options)) < 1.0


@pytest.mark.parametrize(("method", "options"), METHODS)
def test_both_ways_at_once_cannot_be_fooled_by_one_v(method, options):
    """With two classes one v moves all rows the same way: no more than the rows of one class are fooled."""
    model = linear(2, shift=0.0)
    x = sounds(30, WINDOW)
    x = torch.cat([x, -x])
    counts = torch.bincount(model.logits(x).argmax(1), minlength=2)
    found = shared(model, x, 0.05)
    assert float(found.fooled(method(found, **options)).sum()) <= int(counts.max())


@pytest.mark.parametrize(("method", "options"), METHODS)
def test_a_target_is_what_comes_out(method, options):
    model, target = linear(4, seed=2), 2
    x = sounds(30, WINDOW)
    x = x[model.logits(x).argmax(1) != target]
    found = shared(model, x, 0.1, target=target)
    v = method(found, **options)
    said = model.logits((x + v).clamp(-1, 1)).argmax(1)
    assert torch.equal(found.fooled(v), said == target)
    assert float((said == target).float().mean()) > 0.9


@pytest.mark.parametrize(("method", "options"), METHODS)
@pytest.mark.parametrize("norm", ["l2", "linf"])
@settings(max_examples=3, deadline=None)
@given(epsilon=st.floats(1e-4, 0.3), seed=st.integers(0, 99))
def test_the_budget_is_never_exceeded_and_the_ends_are_silent(method, options, norm, epsilon, seed):
    model = curved(seed=seed % 3)
    found = shared(model, sounds(6, model.window, seed), epsilon, norm, seed=seed)
    v = method(found, **{**options, **({"epochs": 3} if method is abdoli else {"passes": 2})})
    assert float(found.norm.size(v[None])) <= epsilon * (1 + 1e-5)
    assert v[0] == v[-1] == 0.0


def test_a_pull_without_a_loss_makes_v_as_quiet_as_still_fools():
    """The penalty in dB: with all rows far past κ, v shrinks; where C is 0 nothing else counts."""
    model = linear(2)
    x = sounds(40, WINDOW)
    x = x[model.logits(x).argmax(1) == 0]
    generous = shared(model, x, 1.0)
    loud = generous.norm.size(abdoli(generous, **{**ABDOLI, "kappa": 100.0, "learning_rate": 0.02})[None])
    generous = shared(model, x, 1.0)
    v = abdoli(generous, **{**ABDOLI, "kappa": 0.0, "learning_rate": 0.02})
    assert generous.rate(v) == 1.0
    assert float(generous.norm.size(v[None])) < 0.5 * float(loud)


def test_the_gradient_of_the_mean_agrees_with_finite_differences():
    model = curved()
    x = sounds(5, model.window)
    scale = torch.tensor([0.5, 1.0, 1.0, 2.0, 3.0])
    found = shared(model, x, 0.1, scale=scale)
    rows = torch.arange(5)

    def objective(z, _rows):
        return z[:, 0] - z[:, 1].square()

    v = 0.01 * torch.randn(model.window, generator=torch.Generator().manual_seed(1))
    g = found.gradient(v, rows, objective)
    step = 0.01 * g / g.norm()

    def loss(v):
        return float(objective(model.logits(x + scale[:, None] * v), rows).double().mean())

    assert (loss(v + step) - loss(v - step)) / 0.02 == pytest.approx(float(g.norm()), rel=0.01)


def test_rates_are_of_all_mini_batches():
    """The code of Abdoli et al. returns after the first batch; here the last rows are the ones that are fooled."""
    model = linear(2, micro_batch=4)
    x = sounds(60, WINDOW)
    labels = model.logits(x).argmax(1)
    x = torch.cat([x[labels == 1][:9], x[labels == 0][:3]])
    w = model.network.layer.weight
    v = -(w[0] - w[1]) * 5.0
    found = shared(model, x, 10.0)
    assert found.fooled(v).tolist() == [False] * 9 + [True] * 3
    assert found.rate(v) == pytest.approx(0.25)


def test_inner_steps_that_do_not_converge_are_not_used():
    """A model that nothing changes leaves v at 0."""
    model = curved()
    model.network.out.weight.data.zero_()
    found = shared(model, sounds(3, model.window), 0.1)
    assert not moosavi_dezfooli(found, **{**MOOSAVI, "passes": 2}).any()


@pytest.mark.parametrize(("method", "options"), METHODS)
def test_same_seed_same_v_and_cancelling_ends_it(method, options):
    model, x = curved(), sounds(6, 1600)
    short = {**options, **({"epochs": 2} if method is abdoli else {"passes": 1})}
    first, again, other = (method(shared(model, x, 0.02, seed=seed), **short) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        method(shared(model, x, 0.02, cancel=cancel, report=lambda *_: cancel.set()), **short)


# -- Made from clips ---------------------------------------------------------------------------------------------------


class Poison(list):
    """Clips that must not be touched before v is there."""

    def __init__(self, clips, ready: threading.Event) -> None:
        super().__init__(clips)
        self.ready = ready

    def __iter__(self):
        assert self.ready.is_set(), "held-out clips were looked at while v was made"
        return super().__iter__()


@pytest.mark.parametrize("method", ["abdoli", "moosavi-dezfooli"])
def test_held_out_clips_have_no_part_in_the_making(method):
    model, ready, short = curved(), threading.Event(), {"epochs": 2} if method == "abdoli" else {"passes": 1}

    def progress(sentence, _done):
        if "hears" in sentence:  # v is done: it is being held to clips
            ready.set()

    options = {"snr": 15, "progress": progress, "seed": 3, **short}
    first = make_universal(model, music(), method, held_out=Poison(music(5, 50), ready), **options)
    other = make_universal(model, music(), method, held_out=music(7, 60), **options)
    assert np.array_equal(first.v, other.v) and first.v.any()
    assert [(rate.held_out, rate.clips) for rate in first.rates] == [(False, 12), (True, 5)]


def test_the_rates_are_those_of_the_clips_that_come_out():
    model, clips, held_out = curved(), music(20), music(15, 7)
    found = make_universal(model, clips, snr=12, held_out=held_out, others=(curved(seed=1),), epochs=8)
    for rate, judge, judged in zip(
        found.rates, (model, model, curved(seed=1)), (clips, held_out, held_out), strict=True
    ):
        changed = [classify(judge, lay(found, clip)).label != classify(judge, clip).label for clip in judged]
        assert (rate.fooled, rate.clips) == (sum(changed), len(judged))
        low, high = rate.interval
        assert 0 <= low <= rate.rate <= high <= 1
        assert rate.snr_db >= 12 - 0.5  # a loop that ends within v may be louder than the whole v
    assert found.rates[0].fooled > found.rates[0].noise


def test_a_level_that_follows_and_one_that_does_not():
    quiet, loud = (
        Clip(0.01 * sounds(1, 3200, 1, 1.0).numpy(), 16_000),
        Clip(0.2 * sounds(1, 3200, 1, 1.0).numpy(), 16_000),
    )
    follows, fixed = saved(), saved(follows=False)
    added = {
        (one.follows, clip is loud): rms(lay(one, clip).samples - clip.samples)
        for one in (follows, fixed)
        for clip in (quiet, loud)
    }
    assert added[True, True] == pytest.approx(20 * added[True, False], rel=1e-4)
    assert added[False, True] == pytest.approx(added[False, False], rel=1e-4) == pytest.approx(fixed.rms, rel=1e-4)


def test_clips_that_are_silent_or_have_the_target_are_not_counted():
    model = curved()
    clips = [*music(8), Clip(np.zeros(4000, np.float32), 16_000)]
    assert fooling(saved(), model, clips).clips == 8
    have = sum(classify(model, clip).label == "class 1" for clip in music(8))
    assert 0 < have < 8
    assert fooling(saved(target="class 1"), model, clips).clips == 8 - have
    with pytest.raises(UsageError, match="silent"):
        fooling(saved(), model, clips[-1:])
    with pytest.raises(UsageError, match="no label 'tuba'"):
        fooling(saved(target="tuba"), model, clips)


def test_what_makes_no_sense_is_refused_in_a_sentence():
    model = curved()
    for options, words in (
        ({"snr": 20, "epsilon": 0.1}, "once"),
        ({"epsilon": 3.0}, "at most 2"),
        ({"norm": "l7"}, "l2 or linf"),
        ({"method": "magic"}, "abdoli, moosavi-dezfooli"),
        ({"target": "tuba"}, "tuba"),
        ({"epochs": 0}, "epochs"),
    ):
        with pytest.raises(UsageError, match=words):
            make_universal(model, music(2), **options)
    with pytest.raises(UsageError, match="none here"):
        make_universal(model, [])
    model.differentiable = False
    with pytest.raises(UsageError, match="no gradient"):
        make_universal(model, music(2))


def test_a_folder_is_divided_into_parts_that_share_nothing(tmp_path):
    for number, clip in enumerate(music(10)):
        soundfile.write(tmp_path / f"{number}.wav", clip.samples.T, clip.sample_rate)
    (tmp_path / "empty.wav").touch()
    used, held_out, skipped = divided_folder(tmp_path, held_out=0.3, seed=1)
    names = [{clip.name for clip in part} for part in (used, held_out)]
    assert (len(names[0]), len(names[1]), names[0] & names[1], len(skipped)) == (7, 3, set(), 1)
    again = divided_folder(tmp_path, held_out=0.3, seed=1)
    assert [clip.name for clip in again[1]] == [clip.name for clip in held_out]
    with pytest.raises(FileError, match="no folder"):
        divided_folder(tmp_path / "none")


# -- Laid on a clip ----------------------------------------------------------------------------------------------------


def test_the_loop_is_periodic_and_begins_where_it_should():
    v = torch.randn(400, generator=torch.Generator().manual_seed(0))
    once = loop(v, 16_000, 1000, 16_000)
    assert torch.equal(once, torch.cat([v, v, v])[:1000])
    assert torch.equal(loop(v, 16_000, 1000, 16_000, 100 / 16_000), torch.cat([v, v, v])[100:1100])


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_at_other_rates_the_loop_is_resampled_without_a_seam(rate, monkeypatch):
    """Of a tone that fits v exactly the resampled loop is the tone; piecewise it is the same as at once."""
    tone = saved()
    laid = loop(torch.from_numpy(tone.v), 16_000, rate, rate)
    wanted = 0.01 * np.sin(2 * np.pi * 400 * np.arange(rate) / rate)
    np.testing.assert_allclose(laid.numpy(), wanted, atol=2e-5)
    monkeypatch.setattr("mirguard.attacks.laid.PIECE", 1000)
    torch.testing.assert_close(loop(torch.from_numpy(tone.v), 16_000, rate, rate), laid, atol=1e-7, rtol=1e-5)


def test_a_model_at_its_own_rate_hears_v_itself_again_from_a_clip_at_another():
    v = saved(np.convolve(np.random.default_rng(0).standard_normal(1600), np.ones(4) / 4, "same"))
    laid = loop(torch.from_numpy(v.v), 16_000, 44_100, 44_100)
    back = Resampler(44_100, 16_000)
    a, b = back.span(3200, 6400)
    heard = back(laid[a:b], 3200, 6400).numpy()
    again = np.concatenate([v.v, v.v])
    assert energy(heard - again) < 0.02 * energy(again)


@pytest.mark.parametrize(("channels", "rate", "frames"), [(1, 16_000, 700), (2, 44_100, 9_001), (2, 8_000, 5)])
def test_any_clip_takes_it_at_the_size_asked_for(channels, rate, frames):
    clip = Clip(0.1 * np.random.default_rng(0).standard_normal((channels, frames)).clip(-4, 4), rate)
    found = lay(saved(), clip, snr=25)
    delta = found.samples - clip.samples
    assert (found.channels, found.frames, found.sample_rate) == (channels, frames, rate)
    assert 20 * np.log10(rms(clip.samples) / rms(delta)) == pytest.approx(25, abs=0.05)
    assert np.abs(lay(saved(norm="linf"), clip, epsilon=0.01).samples - clip.samples).max() <= 0.01 + 1e-6
    with pytest.raises(UsageError, match="once"):
        lay(saved(), clip, snr=20, epsilon=0.1)


def test_the_attack_lays_a_saved_one_and_asks_the_model_once(tmp_path):
    model, clip = curved(), Clip(sounds(1, 9000, 4).numpy(), 44_100)
    one = saved()
    path = save_universal(one, tmp_path / "one")
    found = attack(model, clip, "universal", snr=20, perturbation=str(path), offset=0.01, subtype="FLOAT")
    assert found.snr_db >= 20 - 1e-3 and found.forwards == 1 and found.gradients == 0
    assert found.experiment.knowledge == "zero knowledge"
    np.testing.assert_allclose(found.clip.samples, lay(one, clip, snr=20, offset=0.01).samples, atol=1e-6)
    model.differentiable = False
    attack(model, clip, "universal", snr=20, perturbation=str(path))
    assert not find_attack("universal").gradients


# -- Files -------------------------------------------------------------------------------------------------------------


def test_what_is_saved_is_what_is_loaded(tmp_path):
    made = make_universal(
        curved(), music(4), name="mine", snr=20, held_out=music(2, 5), target="class 1", source="here", epochs=1
    )
    path = save_universal(made, tmp_path / "new folder" / "mine")
    again = load_universal(path)
    assert np.array_equal(again.v, made.v) and again.v.dtype == np.float32
    assert json.dumps(again.to_json()) == json.dumps(made.to_json())
    assert again.rates == made.rates and again.target == "class 1"
    faint = replace(made, v=rounded(1e-6 * made.v))
    loaded = load_universal(save_universal(faint, tmp_path / "faint"))
    assert np.abs(loaded.v - 1e-6 * made.v).max() <= 1e-3 * np.abs(faint.v).max()


def test_damaged_files_are_told_from_perturbations(tmp_path):
    whole = save_universal(saved(), tmp_path / "whole").read_bytes()
    about = {**saved().to_json(), "format": 1, "peak": 0.01}

    def file(name: str, data: bytes):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        return path

    v = {"v": np.ones(100, np.float16)}
    for name, data in (
        ("empty", b""),
        ("torn", whole[: len(whole) // 2]),
        ("noise", bytes(range(256)) * 9),
        ("plain", encode(v)),
        ("no-json", encode(v, {"universal": "{"})),
        ("newer", encode(v, {"universal": json.dumps({**about, "format": 2})})),
        ("other", encode({"w": v["v"]}, {"universal": json.dumps(about)})),
        ("nan", encode({"v": v["v"] * np.float16("nan")}, {"universal": json.dumps(about)})),
        ("flat", encode({"v": v["v"][None]}, {"universal": json.dumps(about)})),
        ("rate", encode(v, {"universal": json.dumps({**about, "sample_rate": 0})})),
        ("extra", encode(v, {"universal": json.dumps({**about, "more": 1})})),
    ):
        with pytest.raises(FileError, match=f"{name}.safetensors is not a universal perturbation"):
            load_universal(file(name, data))
    with pytest.raises(FileError, match="no file"):
        load_universal(tmp_path / "gone.safetensors")


def test_names_are_listed_and_unknown_ones_answered_with_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path))
    shipped = [one.name for one in list_universals()]
    assert find_attack("universal").parameters[2].default in shipped
    save_universal(replace(saved(), name="mine"), own_path("mine"))
    (tmp_path / "universal" / "broken.safetensors").write_bytes(b"no")
    assert {one.name for one in list_universals()} == {*shipped, "mine"}
    assert load_universal("mine").name == "mine"
    with pytest.raises(UsageError, match=f"there are {shipped[0]}.*mine"):
        load_universal("yours")
    for name in ("../up", "", shipped[0]):
        with pytest.raises(UsageError):
            own_path(name)


def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="cannot be kept"):
        save_universal(saved(), tmp_path / "file" / "one")
    assert (tmp_path / "file").read_text() == "in the way"


def test_the_shipped_one_does_what_its_file_says():
    """On fresh toy clips of the test split, at its own size, better than noise."""
    from mirguard.datasets.synthesis import dataset
    from mirguard.models.catalogue import load_model

    one = load_universal(find_attack("universal").parameters[2].default)
    model = load_model(one.model)
    assert one.model_hash == model.hash
    stated = next(rate for rate in one.rates if rate.held_out and rate.model == model.name)
    clips = [Clip(made.samples, made.sample_rate) for made in dataset(20, 4321, "test")]
    found = fooling(one, model, clips)
    low, high = found.interval
    assert stated.interval[0] < high and low < stated.interval[1]
    assert found.fooled > found.noise


# -- The terminal ------------------------------------------------------------------------------------------------------


def test_made_listed_and_tried_in_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MIRGUARD_DATA", str(tmp_path / "data"))
    for number, clip in enumerate(music(4, frames=40_000)):
        soundfile.write(tmp_path / f"{number}.wav", clip.samples.T, clip.sample_rate)

    def run(*arguments: object) -> tuple[int, str, str]:
        status = main(["universal", *map(str, arguments)])
        return status, *capsys.readouterr()

    make = ("make", tmp_path, "--model", "toy-magnitude-mlp", "--snr", 20, "--epochs", 1, "--held-out", 0.5)
    status, out, err = run(*make, "-o", "mine", "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert document["path"] == str(tmp_path / "data" / "universal" / "mine.safetensors")
    assert [(rate["clips"], rate["held_out"]) for rate in document["rates"]] == [(2, False), (2, True)]
    status, _out, err = run(*make, "-o", "mine")
    assert status == 2 and "--replace" in err
    status, out, _err = run("list")
    assert status == 0 and "mine" in out and "held-out" in out
    assert "mine" in {one["name"] for one in json.loads(run("list", "--json")[1])["universals"]}
    status, out, _err = run("try", "mine", tmp_path, "--model", "toy-logistic", "--snr", 10)
    assert status == 0 and "of 4 clips" in out and "10.0 dB" in out
    tried = json.loads(run("try", "mine", tmp_path, "--json")[1])
    assert (tried["model"], tried["clips"], tried["held_out"]) == ("toy-magnitude-mlp", 4, False)
    for wrong in (("try", "none", tmp_path), (*make, "-o", "other", "--target", "tuba"), (*make, "-o", "../mine/x/y")):
        status, out, err = run(*wrong)
        assert status == 2 and out == "" and err.count("\n") == 1
    with pytest.raises(MirguardError):
        load_universal("other")
