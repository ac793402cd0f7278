"""The sanity checks: each rule on outcomes that are known, and each check on models whose answer is known."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checked_models import SNR, BlackBox, Noisy, changed, clips, distilled, given, record
from nets import curved, linear, sounds

import mirguard as mg
from mirguard.checks import baselines, behaviour, budget, check, controls, data, gradients, headline, roundtrip
from mirguard.checks.altered import Altered, Averaged, FixedSeed, Scaled
from mirguard.checks.catalogue import CHECKS, find_checks
from mirguard.checks.check import check as run_checks
from mirguard.checks.finding import FAIL, NOT_APPLICABLE, PASS, WARN, Judgement, table
from mirguard.checks.record import GRID, Record, at_size
from mirguard.checks.sounds import gather
from mirguard.checks.statistics import Rate, paired, rate
from mirguard.clip import Clip, save_clip
from mirguard.errors import Cancelled, UsageError
from mirguard.models.catalogue import load_model

ROWS = 40
TESTS = Path(__file__).resolve().parent


def first(count: int, rows: int = ROWS) -> torch.Tensor:
    """A mask of the first so many rows."""
    return torch.arange(rows) < count


def told(main=None, surrogates=(), differentiable: bool = True, labels: int = 4, **fooled) -> SimpleNamespace:
    """A record of outcomes that are made up: who was fooled by which attack."""

    def tried(mask: torch.Tensor, name: str = "pgd") -> SimpleNamespace:
        return SimpleNamespace(fooled=mask, rate=rate(mask), attack=name, delta_rms=torch.ones(len(mask)))

    def by_budget(snr=None):
        return tried(main if not isinstance(main, dict) else main[snr])

    return SimpleNamespace(
        model=SimpleNamespace(differentiable=differentiable, labels=tuple(range(labels))),
        main=by_budget,
        attack=lambda name, **options: tried(fooled["transfer" if options.get("surrogate") else name], name),
        surrogates=surrogates,
        snr=30.0,
        size=ROWS,
        judged="pgd",
        noise=lambda _size, draws: fooled["noise"],
    )


# -- Statistics and findings -------------------------------------------------------------------------------------------


def test_mcnemar_is_exact():
    both = paired(first(9), torch.cat([torch.zeros(8), torch.ones(2), torch.zeros(30)]).bool())
    assert (both.first_only, both.second_only) == (8, 1)
    assert both.p == pytest.approx(2 * 10 / 2**9)  # both tails of 9 fair coins, one at the most
    assert both.first_better and not paired(first(0), first(9)).first_better
    assert paired(first(5), first(5)).p == 1.0
    assert not paired(first(5), first(0)).first_better, "five discordant pairs prove nothing: p = 1/16"
    assert paired(first(6), first(0)).first_better


def test_a_rate_has_wilsons_interval():
    assert str(Rate(8, 10)) == "80.0% (49% to 94%)"
    assert Rate(0, 0).interval == (0.0, 1.0)


def test_rows_are_as_wide_as_their_table():
    with pytest.raises(AssertionError):
        table(("one", "two"), [(1,)])


def test_every_number_is_in_the_catalogue_once():
    assert [one.id for one in CHECKS] == [f"SC-{number:02d}" for number in range(1, 26)]
    assert [one.id for one in find_checks(["25", "sc-1", "SC-07"])] == ["SC-01", "SC-07", "SC-25"]
    for wrong in ("SC-26", "0", "all"):
        with pytest.raises(UsageError, match=r"There is no check .*SC-01 to SC-25"):
            find_checks([wrong])


def test_the_readme_lists_what_they_ask():
    text = (TESTS.parent / "README.md").read_text(encoding="utf-8")
    assert [one.id for one in CHECKS if f"| {one.id} | {one.asks} |" not in text] == []


# -- The rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("single", "many", "verdict"),
    [(10, 20, PASS), (20, 20, PASS), (20, 15, WARN), (20, 14, FAIL), (0, 0, NOT_APPLICABLE)],
)
def test_one_step_must_not_beat_many(single, many, verdict):
    assert budget.iterative_beats_single_step(told(first(many), fgsm=first(single))).verdict == verdict


def test_one_step_may_fool_other_clips_with_a_warning():
    found = budget.iterative_beats_single_step(told(first(20).flip(0), fgsm=first(2)))
    assert found.verdict == WARN and "2 clips" in found.sentence


def test_success_must_rise_with_the_budget():
    rising = {snr: first(5 * place) for place, snr in enumerate(GRID)}
    assert budget.more_room_never_hurts(told(rising)).verdict == PASS
    falling = {**rising, 10.0: first(6)}  # of 40: 20 at 20 dB, then 6
    found = budget.more_room_never_hurts(told(falling))
    assert found.verdict == FAIL and "35%" in found.sentence and "10 dB" in found.sentence
    assert budget.more_room_never_hurts(told(dict.fromkeys(GRID, first(0)))).verdict == NOT_APPLICABLE
    within = {**rising, 10.0: first(17)}  # 7.5 points, less than half the interval's width
    assert budget.more_room_never_hurts(told(within)).verdict == PASS
    assert [row[0] for row in found.evidence.rows] == [f"{snr:g} dB" for snr in GRID]
    assert found.evidence.rows[-2][2].startswith("50.0%"), "the best so far does not fall"


def test_a_high_budget_must_leave_chance():
    assert budget.high_budget_leaves_chance(told({0.0: first(36)})).verdict == PASS
    assert budget.high_budget_leaves_chance(told({0.0: first(26)})).verdict == PASS  # 35 % left, chance 25 % within
    assert budget.high_budget_leaves_chance(told({0.0: first(20)})).verdict == WARN


def test_transfer_must_not_beat_the_white_box():
    other = SimpleNamespace(name="other")
    judge = baselines.white_box_beats_transfer
    assert judge(told(first(20), [other], transfer=first(10), noise=first(1))).verdict == PASS
    assert judge(told(first(20), [other], transfer=first(21), noise=first(1))).verdict == FAIL
    found = judge(told(first(20), [other], transfer=first(20).flip(0), noise=first(1)))
    assert found.verdict == WARN and "20 clips" in found.sentence
    assert judge(told(first(20), [other], transfer=first(10), noise=first(21))).verdict == FAIL
    assert "transfer was not tried" in judge(told(first(20), noise=first(1))).sentence


def test_answers_must_not_beat_gradients():
    weak = {"nes": first(3), "square": first(5), "boundary": first(1)}
    judge = baselines.black_box_is_no_better
    assert judge(told(first(20), **weak)).verdict == PASS
    assert judge(told(first(20), **{**weak, "boundary": first(21)})).verdict == FAIL
    assert judge(told(first(20), **{**weak, "square": first(5).flip(0)})).verdict == PASS


@pytest.mark.parametrize(("hits", "verdict"), [(0, PASS), (24, PASS), (25, FAIL), (60, FAIL)])
def test_noise_must_do_less_than_half(hits, verdict):
    """The attack fools 20 of 40, and noise `hits` of 100 draws on every clip."""
    found = baselines.noise_is_weaker(told(first(20), noise=torch.full((ROWS,), hits)))
    assert found.verdict == verdict and ("just noise" in found.sentence) == (verdict == FAIL)


def test_without_a_gradient_there_is_nothing_to_compare():
    blind = told(first(20), differentiable=False)
    for judge in (
        budget.iterative_beats_single_step,
        budget.converged,
        budget.loss_falls,
        baselines.white_box_beats_transfer,
        baselines.black_box_is_no_better,
        gradients.slope_is_right,
        gradients.gradient_is_alive,
    ):
        found = judge(blind)
        assert found.verdict == NOT_APPLICABLE and "gradient" in found.sentence


def test_too_few_clips_never_pass():
    counted, exact = (next(one for one in CHECKS if one.id == number) for number in ("SC-01", "SC-10"))
    passed = Judgement(PASS, "All is well.")
    assert check._enough(counted, passed, 30) == passed
    few = check._enough(counted, passed, 29)
    assert few.verdict == WARN and few.sentence.startswith("Underpowered, 29 clips")
    assert check._enough(exact, passed, 1) == passed
    failed = Judgement(FAIL, "Not so well.")
    assert check._enough(counted, failed, 3) == failed


# -- The sounds --------------------------------------------------------------------------------------------------------


def test_only_what_is_heard_rightly_is_attacked():
    model = curved()
    own = clips(12, model)
    heard = [mg.classify(model, clip).label for clip in own]
    false = next(label for label in model.labels if label != heard[3])
    found = gather(model, [(clip, false if place == 3 else heard[place]) for place, clip in enumerate(own)], 8, 0)
    assert len(found.x) == len(found.labels) == 8 and found.wrong == ((3, 0),)
    assert (3, 0) not in found.places and found.known
    assert [model.labels[number] for number in found.labels] == [heard[clip] for clip, _window in found.places]


def test_clips_without_labels_count_as_the_model_hears_them():
    model = curved()
    found = gather(model, clips(5, model), 32, 0)
    assert len(found.x) == 5 and not found.known and not found.wrong


def test_more_windows_of_a_clip_come_after_the_first_of_each():
    model = curved()
    long = [Clip(sounds(1, 3 * model.window, seed).numpy(), model.sample_rate) for seed in (1, 2)]
    assert gather(model, long, 4, 0).places == ((0, 0), (1, 0), (0, 1), (1, 1))


def test_where_nothing_is_right_a_sentence_says_so():
    model = linear(2, shift=torch.tensor([50.0, 0.0]))
    with pytest.raises(UsageError, match=r"is right in none of .* windows"):
        gather(model, [(clip, "class 1") for clip in clips(4, model)], 4, 0)
    silent = Clip(np.zeros((1, model.window), np.float32), model.sample_rate)
    with pytest.raises(UsageError, match="There is no sound to check"):
        gather(model, [silent], 4, 0)
    with pytest.raises(UsageError, match="has no label 'jazz'"):
        gather(model, [(silent, "jazz")], 4, 0)


def test_a_folder_of_sounds_with_and_without_labels(tmp_path):
    model = curved()
    for place, clip in enumerate(clips(6, model)):
        label = mg.classify(model, clip).label if place else model.labels[-1]
        (tmp_path / label).mkdir(exist_ok=True)
        save_clip(clip, tmp_path / label / f"{place}.wav")
    (tmp_path / "class 0").mkdir(exist_ok=True)
    (tmp_path / "class 0" / "broken.wav").write_bytes(b"RIFF")
    found = gather(model, tmp_path, 32, 0)
    assert found.known and found.dataset is not None and len(found.x) + len(found.wrong) == 6
    assert any("broken.wav" in sentence for sentence in found.skipped)
    flat = gather(model, tmp_path / found.dataset.items[-1].label, 32, 0)
    assert not flat.known and flat.dataset is None and len(flat.x) >= 1


# -- What is computed --------------------------------------------------------------------------------------------------


def test_an_attack_is_run_once(monkeypatch):
    runs = []
    own = record(rows=4)
    run = own._run
    monkeypatch.setattr(own, "_run", lambda *arguments: runs.append(arguments[0]) or run(*arguments))
    assert own.main() is own.main() and own.pgd(steps=3) is not own.pgd(steps=4)
    assert runs == ["pgd", "pgd", "pgd"]
    assert own.attack("fgsm", snr=SNR, rows=torch.tensor([0])) is not own.attack("fgsm", snr=SNR)


def test_noise_has_exactly_the_size_that_was_reached():
    own = record(rows=4)
    x = torch.full((4, 400), 0.99) * torch.sign(sounds(4, 400))
    size = torch.tensor([0.001, 0.01, 0.1, 0.2])
    delta = at_size(torch.randn(4, 400, generator=torch.Generator().manual_seed(0)), size, x)
    assert torch.allclose(delta.square().mean(1).sqrt(), size, rtol=0.02) and float((x + delta).abs().max()) <= 1.0
    weak, strong = own.noise(torch.full((4,), 1e-6), 3), own.noise(torch.full((4,), 0.5), 3)
    assert int(weak.sum()) == 0 and int(strong.sum()) > 0


@pytest.fixture(scope="module")
def plain() -> Record:
    return record(rows=32)


def test_an_undefended_network_passes(plain):
    """Whatever is a matter of the attack or the gradient."""
    for judge in (
        budget.iterative_beats_single_step,
        budget.more_room_never_hurts,
        budget.unbounded_reaches_everything,
        budget.high_budget_leaves_chance,
        baselines.white_box_beats_transfer,
        baselines.noise_is_weaker,
        baselines.black_box_is_no_better,
        gradients.slope_is_right,
        gradients.gradient_is_alive,
        behaviour.answers_stay,
        behaviour.only_right_clips_count,
        headline.worst_case_of_each_clip,
    ):
        found = judge(plain)
        assert found.verdict == PASS, (judge.__name__, found)
        assert found.sentence.endswith(".") and found.evidence.rows


def test_large_logits_are_found_out_by_the_zeros_they_make(plain):
    masked = Record(controls.sharpened(plain.model, 1e3), plain.sounds, SNR)
    found = gradients.gradient_is_alive(masked)
    assert found.verdict == FAIL and "distillation" in found.sentence and "Masking suspected" in found.sentence
    assert masked.main().rate.hits < plain.main().rate.hits


@pytest.fixture
def few_steps(monkeypatch):
    """What cannot be fooled is soon given up."""
    monkeypatch.setattr(budget, "UNBOUNDED_STEPS", 60)
    monkeypatch.setattr(budget, "FIRST_LOOK", 10)


def test_a_distilled_network_is_found_out(few_steps):
    model, x = distilled()
    own = Record(model, given(model, x[:32]), 5.0)
    found = gradients.gradient_is_alive(own)
    assert found.verdict == FAIL and "distillation" in found.sentence
    soft = Record(Scaled(model, 0.01), own.sounds, 5.0)
    assert gradients.gradient_is_alive(soft).verdict == PASS
    assert soft.main().rate.hits > own.main().rate.hits, "the same network at T = 100 falls"
    assert budget.unbounded_reaches_everything(own).verdict == FAIL


def test_a_quantised_front_end_is_found_out(plain):
    masked = Record(controls.quantised(plain.model, plain.x), plain.sounds, SNR)
    assert float((masked.model.logits(plain.x) - plain.model.logits(plain.x)).abs().max()) < 1.0, "it hears the same"
    assert gradients.slope_is_right(masked).verdict == FAIL
    found = gradients.gradient_is_alive(masked)
    assert found.verdict == FAIL and "100%" in found.sentence and "front end" in found.sentence
    assert masked.main().rate.hits == 0
    assert budget.loss_falls(masked).verdict == WARN


def test_the_slope_is_right_in_single_precision_too():
    """A model that cannot be had in double precision; along its gradient kinks lie close."""
    model = Altered(load_model("toy-instruments"), "single precision")
    own = SimpleNamespace(model=model, seed=0, tell=lambda _sentence: None, pause=lambda: None)
    found = gradients.slope_is_right(own)
    assert found.verdict == PASS and found.evidence.rows[0][3] == "single"


def test_nothing_fools_a_constant_classifier(plain, few_steps):
    constant = controls.Constant(plain.model, 2)
    own = Record(constant, replace(plain.sounds, labels=torch.full_like(plain.labels, 2)), SNR)
    assert headline.worst_case_of_each_clip(own).evidence.rows[-1][1].startswith("0.0%")
    assert budget.unbounded_reaches_everything(own).verdict == FAIL
    assert baselines.noise_is_weaker(own).verdict == NOT_APPLICABLE
    assert headline.labels_are_kept(own).verdict == NOT_APPLICABLE


def test_convergence_is_of_steps_and_of_starts(plain, monkeypatch):
    assert budget.converged(plain).verdict == PASS
    monkeypatch.setattr(budget, "STEPS", 2)
    hasty = record(snr=30.0)
    monkeypatch.setattr(hasty, "main", lambda: hasty.pgd(steps=2))
    found = budget.converged(hasty)
    assert found.verdict == WARN and "Not converged" in found.sentence and "4 steps" in found.sentence


def test_the_loss_falls_and_the_step_size_is_told(plain):
    found = budget.loss_falls(plain)
    assert [row[0] for row in found.evidence.rows] == ["× 1", "× 0.25", "× 4"]
    assert found.verdict in (PASS, WARN) and "does not fall" not in found.sentence


def test_what_is_left_on_is_named():
    own = record(rows=4)
    own.model.network.train()
    found = behaviour.answers_stay(own)
    own.model.network.eval()
    assert found.verdict == FAIL and "training mode" in found.sentence and "network" in found.sentence


def test_random_answers_must_fall_when_they_are_fixed():
    network = curved().network
    own = record(changed(Noisy(network, 0.05)), rows=4)
    found = behaviour.answers_stay(own)
    assert found.verdict == WARN and "EOT" in found.sentence
    free = record(changed(Noisy(network, 0.05, free=True)), rows=4)
    assert behaviour.answers_stay(free).verdict == FAIL
    masked = record(changed(Noisy(torch.nn.Sequential(Step(), network), 0.05)), rows=4)
    found = behaviour.answers_stay(masked)
    assert found.verdict == FAIL and "randomness fixed" in found.sentence


class Step(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x * 128).round() / 128


def test_a_fixed_seed_holds_still_and_a_mean_is_one():
    model = changed(Noisy(curved().network, 1.0))
    x = sounds(2, model.window)
    fixed = FixedSeed(model, 3)
    assert torch.equal(fixed.logits(x), fixed.logits(x)) and not torch.equal(model.logits(x), model.logits(x))
    spread = torch.stack([Averaged(model, 16).logits(x) for _ in range(8)]).std(0).mean()
    assert float(spread) == pytest.approx(0.25, rel=0.35)


def test_wrong_windows_are_counted_apart():
    model = curved()
    own = clips(8, model)
    heard = [mg.classify(model, clip).label for clip in own]
    false = next(label for label in model.labels if label != heard[0])
    sound = gather(model, [(own[0], false), *zip(own[1:], heard[1:], strict=True)], 8, 0)
    found = behaviour.only_right_clips_count(Record(model, sound, SNR))
    assert found.verdict == PASS and "1 window " in found.sentence
    assert found.evidence.rows[:2] == (("right, attacked and counted", 7), ("wrong before the attack, left out", 1))
    unknown = behaviour.only_right_clips_count(Record(model, gather(model, own, 8, 0), SNR))
    assert unknown.verdict == PASS and "accuracy itself is not known" in unknown.sentence


def test_what_a_file_cannot_hold_does_not_survive_it(plain, monkeypatch):
    """Files of four bits in place of those of 16."""
    monkeypatch.setattr(roundtrip, "reread", lambda x, rate, subtype: (x * 8).round() / 8 if "16" in subtype else x)
    found = roundtrip.file_fools_too(plain)
    by_row = {row[:2]: row[2] for row in found.evidence.rows}
    assert by_row["pgd", "saved as PCM_24, read again"] == by_row["pgd", "as made"]
    assert by_row["pgd", "saved as PCM_16, read again"] != by_row["pgd", "as made"]
    assert found.verdict == WARN and "report the file's figure" in found.sentence


def test_what_is_loud_enough_survives_every_file(plain):
    found = roundtrip.file_fools_too(plain)
    assert {row[1] for row in found.evidence.rows} >= {
        "as made",
        "saved as PCM_16, read again",
        "saved as PCM_24, read again",
        "at 44100 Hz in 16 bits, and back",
        "after resynthesis",
    }
    x = plain.x[:3]
    assert float((roundtrip.reread(x, 16_000, "PCM_16") - x).abs().max()) <= 2**-16 + 1e-7
    low = torch.sin(torch.arange(1600) * 0.3)[None]
    there = roundtrip.resampled(low, 16_000, 44_100)
    back = roundtrip.resampled(there, 44_100, 16_000)[:, :1600]
    assert float((back - low)[:, 200:-200].abs().max()) < 1e-3


def test_clipping_silence_and_edges_are_noticed():
    model = curved(window=8000)
    x = sounds(4, model.window)
    x[1] = 0.999 * torch.sign(x[1])
    x[2, :4000] = 0.0
    x[3, 2100:-2100] *= 1e-3
    own = Record(model, given(model, x), 10.0)
    found = roundtrip.nothing_is_clipped_or_silent(own)
    assert found.verdict == WARN
    plainly = Record(model, given(model, sounds(4, model.window)), 20.0)
    assert roundtrip.nothing_is_clipped_or_silent(plainly).verdict == PASS


def test_silent_frames_and_edges_are_measured():
    x, made = np.full((1, 8000), 0.1, np.float32), np.full((1, 8000), 0.11, np.float32)
    x[:, 4000:] = made[:, 4000:] = 0.0
    made[:, 4000:4800] = 0.01
    assert roundtrip._silent_frames(x, made - x, 16_000).tolist() == [2]
    x[:], made[:] = 0.1, 0.1
    made[:, :100] = 0.2
    assert roundtrip._trim_gap(x, made).tolist() == [np.inf]
    assert roundtrip._trim_gap(x[:, :4096], made[:, :4096]) is None


def test_the_snr_reads_20_dB(plain, monkeypatch):
    assert roundtrip.snr_is_snr(plain).verdict == PASS
    monkeypatch.setattr(roundtrip, "snr_self_test", lambda: {"white noise": 20.02})
    assert roundtrip.snr_is_snr(plain).verdict == FAIL


def test_a_recording_that_comes_twice_is_named(tone, noise):
    model = curved()
    rng = np.random.default_rng(0)
    tune = np.concatenate([np.sin(2 * np.pi * f * np.arange(2000) / 16_000) for f in rng.uniform(300, 2000, 24)])
    tune = (0.2 * tune + 0.02 * rng.standard_normal(48_000)).astype(np.float32)
    other = (0.2 * rng.standard_normal(48_000)).astype(np.float32)
    one, two, three = (
        Clip(samples[None], 16_000, provenance={"name": name})
        for name, samples in (("one", tune), ("two", 0.5 * tune), ("three", other))
    )
    found = data.nothing_leaks(Record(model, gather(model, [one, three, two], 3, 0), SNR))
    assert found.verdict == WARN and "one and two" in found.sentence
    assert data.nothing_leaks(Record(model, gather(model, [one, three], 2, 0), SNR)).verdict == PASS
    assert data.nothing_leaks(Record(model, gather(model, [one], 2, 0), SNR)).verdict == NOT_APPLICABLE


def test_windows_and_files_are_counted_both():
    model = curved()
    long = [Clip(sounds(1, 3 * model.window, seed).numpy(), model.sample_rate) for seed in range(4)]
    found = data.windows_and_files(Record(model, gather(model, long, 4, 0), SNR))
    assert found.verdict == PASS and "vote by the mean" in found.sentence
    before = found.evidence.rows[0]
    assert before[2].startswith("100.0%"), "without labels, what a file is heard as is right"
    assert data.windows_and_files(record(rows=3)).verdict == NOT_APPLICABLE


def test_the_headline_is_the_worst_of_each_clip(plain):
    found = headline.worst_case_of_each_clip(plain)
    fooled = [float(row[1].split("%")[0]) for row in found.evidence.rows]
    assert fooled[-1] >= max(fooled[:-1])
    assert [row[0] for row in found.evidence.rows[:4]] == ["noise", "fgsm", "pgd", "pgd"]
    assert "step_size=" in found.evidence.rows[2][4] and "epsilon=" in found.evidence.rows[2][4]


def test_low_snr_leaves_no_certain_label(plain):
    assert headline.labels_are_kept(plain).verdict == PASS
    model = plain.model
    pushed = Record(model, plain.sounds, 5.0)
    tried = pushed.pgd(steps=2, stop_early=False)
    pushed.main = lambda: tried
    found = headline.labels_are_kept(pushed)
    assert found.verdict == WARN and "no longer certain" in found.sentence
    assert {"SNR, all fooled clips"} < {row[0] for row in found.evidence.rows}


# -- All of them -------------------------------------------------------------------------------------------------------

QUICK = ("SC-01", "SC-03", "SC-10", "SC-12", "SC-13", "SC-16", "SC-17", "SC-25")


def test_they_come_in_order_with_progress_and_as_json():
    model, heard, one_by_one = curved(), [], []
    found = mg.check(
        model,
        clips(4, model),
        ids=QUICK,
        snr=SNR,
        each=one_by_one.append,
        progress=lambda sentence, done: heard.append((sentence, done)),
    )
    assert found == one_by_one
    assert [one.id for one in found] == list(QUICK)
    parts = [done for _sentence, done in heard]
    assert parts == sorted(parts) and parts[0] == 0.0 and parts[-1] < 1.0
    assert any(sentence.startswith("SC-01 Many steps beat one: fgsm at 20 dB") for sentence, _done in heard)
    document = found[0].to_json()
    assert document["evidence"]["columns"] and len(document["evidence"]["rows"]) == 2
    assert found[0].verdict == WARN and "Underpowered, 4 clips" in found[0].sentence


def test_they_stop_when_asked():
    model, cancel = curved(), threading.Event()

    def at_the_attack(sentence, _done):
        if "fgsm" in sentence:
            cancel.set()

    with pytest.raises(Cancelled):
        mg.check(model, clips(4, model), ids=("SC-01",), progress=at_the_attack, cancel=cancel)


def test_they_rest_between_micro_batches_with_gradients_on():
    """Whoever is served in a rest may need gradients."""
    rests, ids = [], ("SC-01", "SC-06", "SC-10", "SC-11", "SC-12", "SC-14", "SC-19", "SC-25")
    long = [Clip(sounds(1, 2 * linear().window, seed).numpy(), 16_000) for seed in range(9)]
    mg.check(linear(), long, ids=ids, rest=lambda: rests.append(torch.is_grad_enabled()))
    assert len(rests) > 200 and all(rests)


@pytest.mark.parametrize("kind", ["tagger", "black box"])
def test_every_kind_of_model_gets_every_finding(kind, monkeypatch):
    for module in (baselines, headline):
        monkeypatch.setattr(module, "BLACK_BOXES", ("square",))
    monkeypatch.setattr("mirguard.checks.record.QUERIES", 20)
    monkeypatch.setattr(baselines, "DRAWS", 3)
    model = curved(window=800, task="tagging") if kind == "tagger" else BlackBox(curved(window=800))
    ids = [one.id for one in CHECKS if one.id != "SC-23"]
    found = {one.id: one for one in run_checks(model, clips(4, model), ids=ids, snr=SNR)}
    assert list(found) == ids
    missing = {number for number, one in found.items() if one.verdict == NOT_APPLICABLE}
    never = {"SC-15", "SC-19", "SC-20", "SC-21", "SC-22"}
    assert never <= missing
    if kind == "black box":
        assert {"SC-01", "SC-05", "SC-07", "SC-08", "SC-09", "SC-10", "SC-11"} <= missing
        assert "black box" not in found["SC-24"].sentence and found["SC-02"].verdict != NOT_APPLICABLE
    for one in found.values():
        assert one.sentence.count("\n") == 0 and one.sentence.endswith(".")


@pytest.mark.long
def test_the_controls_are_told_apart():
    """SC-23 as it runs inside `mirguard check`."""
    found = controls.controls_behave(record(rows=2))
    assert found.verdict == PASS, found
    by_name = {row[0]: row for row in found.evidence.rows}
    assert "not flagged" in by_name["undefended"][2] and "fools 8 of 8" in by_name["undefended"][2]
    for name in ("distilled, T = 100", "logits × 100"):
        assert by_name[name][2].endswith("flagged by SC-11")
    assert "flagged by SC-10 and SC-11" in by_name["8-bit front end"][2]
    assert by_name["constant"][2].startswith("0 successes")


def test_controls_that_misbehave_are_a_failure(monkeypatch):
    monkeypatch.setattr(controls, "_undefended", lambda _record: ("broken", "broken", True))
    monkeypatch.setattr(controls, "_constant", lambda _record: ("never fooled", "0 successes", True))
    monkeypatch.setattr(controls, "_masked", lambda _record: ("flagged", "not flagged", False))
    found = controls.controls_behave(record(rows=2))
    assert found.verdict == FAIL and "8-bit front end" in found.sentence
