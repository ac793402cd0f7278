"""Every check by its number: what it asks and where it is (no torch needed to list them)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from mirguard.errors import UsageError

if TYPE_CHECKING:
    from mirguard.checks.finding import Judgement
    from mirguard.checks.record import Record


@dataclass(frozen=True)
class Check:
    """`asks` is the question; `function` is "module:name" within this room. Where `counts` is True, too few clips prove nothing.
    `share` is its part of the whole work, in seconds on one busy core, for telling how far it has come."""

    id: str
    title: str
    asks: str
    function: str
    counts: bool = True
    share: float = 1.0

    def judge(self, record: Record) -> Judgement:
        module, name = self.function.split(":")
        return getattr(import_module(f"mirguard.checks.{module}"), name)(record)


CHECKS = (
    Check(
        "SC-01",
        "Many steps beat one",
        "Does an iterative attack fool every clip that a single step fools?",
        "budget:iterative_beats_single_step",
        share=8,
    ),
    Check(
        "SC-02",
        "More room, more success",
        "Does success rise with the budget, from 60 dB of SNR to 0 dB?",
        "budget:more_room_never_hurts",
        share=50,
    ),
    Check(
        "SC-03",
        "Nothing stands without a bound",
        "Does an attack with no bound and 1,000 steps fool everything?",
        "budget:unbounded_reaches_everything",
        share=2,
    ),
    Check(
        "SC-04",
        "A high budget leaves chance",
        "Does a perturbation as loud as the sound leave no more than chance?",
        "budget:high_budget_leaves_chance",
    ),
    Check(
        "SC-05",
        "White box beats transfer and noise",
        "Does knowing the model help: more than another model, more than noise?",
        "baselines:white_box_beats_transfer",
        share=9,
    ),
    Check(
        "SC-06",
        "More than noise",
        "Does white noise at exactly the same SNR, 100 draws a clip, do much less?",
        "baselines:noise_is_weaker",
        share=16,
    ),
    Check(
        "SC-07",
        "Gradients beat answers",
        "Do attacks that see scores or labels alone do no better than the gradient?",
        "baselines:black_box_is_no_better",
        share=107,
    ),
    Check(
        "SC-08",
        "Converged",
        "Do twice the steps and twice the starts change nothing?",
        "budget:converged",
        share=29,
    ),
    Check(
        "SC-09",
        "The loss falls",
        "Does the loss fall in most steps, and is the step size a good one?",
        "budget:loss_falls",
        share=27,
    ),
    Check(
        "SC-10",
        "The gradient is the slope",
        "Do finite differences through the whole front end agree with the gradient?",
        "gradients:slope_is_right",
        counts=False,
        share=2,
    ),
    Check(
        "SC-11",
        "The gradient is alive",
        "Is the gradient neither zero nor NaN, and do two losses fool alike?",
        "gradients:gradient_is_alive",
        share=8,
    ),
    Check(
        "SC-12",
        "The same answer each time",
        "Is everything in evaluation mode, and does the model say the same ten times?",
        "behaviour:answers_stay",
        counts=False,
    ),
    Check(
        "SC-13",
        "Only right clips count",
        "Are clips that are wrong from the start left out and counted apart?",
        "behaviour:only_right_clips_count",
        counts=False,
    ),
    Check(
        "SC-14",
        "Fooled by the file",
        "Does success survive 16 and 24 bits, other rates and resynthesis?",
        "roundtrip:file_fools_too",
        share=7,
    ),
    Check(
        "SC-15",
        "The front end is the trained one",
        "Does the front end give here what it gave where the model was trained?",
        "gradients:front_end_is_the_trained_one",
        counts=False,
    ),
    Check(
        "SC-16",
        "20 dB read 20 dB",
        "Does the SNR read what it is, where wrong formulas do not?",
        "roundtrip:snr_is_snr",
        counts=False,
    ),
    Check(
        "SC-17",
        "Neither clipped nor silent",
        "Is nothing clipped, no silence filled, and the SNR not a matter of the edges?",
        "roundtrip:nothing_is_clipped_or_silent",
    ),
    Check(
        "SC-18",
        "Nothing leaks",
        "Does no recording come twice, and no artist in two parts of the split?",
        "data:nothing_leaks",
        counts=False,
    ),
    Check(
        "SC-19",
        "Windows and files",
        "What is counted, windows or files, and by which vote?",
        "data:windows_and_files",
        share=21,
    ),
    Check(
        "SC-20",
        "Detectors against who knows them",
        "What is left of a detector when the attack evades it, with noisy clips among the clean?",
        "detectors:static_and_adaptive",
        counts=False,
        share=46,
    ),
    Check(
        "SC-21",
        "Detectors on other attacks",
        "Does a detector know attacks that it was not made for, and weaker ones?",
        "detectors:other_attacks",
        counts=False,
        share=3,
    ),
    Check(
        "SC-22",
        "Tests of sets keep their level",
        "Does a test of sets reject clean against clean as rarely as it says?",
        "detectors:sets_keep_their_level",
        counts=False,
        share=2,
    ),
    Check(
        "SC-23",
        "The checks notice",
        "Do these checks flag known masking, pass a plain network, and count nothing on a constant one?",
        "controls:controls_behave",
        counts=False,
        share=45,
    ),
    Check(
        "SC-24",
        "Worst case of each clip",
        "What stands, clip by clip, against all attacks together?",
        "headline:worst_case_of_each_clip",
    ),
    Check(
        "SC-25",
        "The label is kept",
        "Is a fooled clip still close enough for its label to hold?",
        "headline:labels_are_kept",
    ),
)


def find_checks(ids: tuple[str, ...] | list[str] | None) -> tuple[Check, ...]:
    """Those named ("SC-07", "sc-7" or "7"), in their order, or all; UsageError for a number that there is not."""
    if not ids:
        return CHECKS
    wanted = []
    for name in ids:
        number = name.upper().removeprefix("SC").lstrip("-")
        wanted.append(f"SC-{int(number):02d}" if number.isdecimal() else name)
    unknown = [name for name in wanted if name not in {check.id for check in CHECKS}]
    if unknown:
        raise UsageError(f"There is no check {unknown[0]!r}; there are {CHECKS[0].id} to {CHECKS[-1].id}.")
    return tuple(check for check in CHECKS if check.id in wanted)
