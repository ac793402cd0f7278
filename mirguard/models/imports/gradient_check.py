"""Is a model's gradient the slope of what it computes, from the waveform through the whole front end?

- SC-10: along 20 random directions and along the gradient itself, the derivative that back-propagation gives is compared with
  central differences of the model's output. Relative error above 1 %: fail.
- SC-11: how much of the gradient is exactly zero. A level clamp relative to the loudest part (`top_db`) and the like give no slope
  to what is quiet; that hides gradients without making them wrong, and is told.
- SC-15, whether the front end hears what the model was trained on, is `parity`'s, and told along with these.

Athalye, Carlini and Wagner, "Obfuscated gradients give a false sense of security", ICML 2018, say why it matters.
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from mirguard.models.contract import Classifier, TorchClassifier
from mirguard.models.imports.parity import FAIL, NONE, PASS, check_parity
from mirguard.models.model_file import ModelFile

DIRECTIONS = 20
LARGEST_ERROR = 0.01  # relative
LARGEST_COARSE_ERROR = 0.05  # over random directions in single precision, which cannot tell better
MOST_ZEROS = 0.1  # of the samples
AT_ONCE = 8  # windows in a pass

LEVEL = 0.1  # RMS of the sounds tried
QUIET = 10 ** (
    -100 / 20
)  # how far the second half of the third sound lies below the first: further than any usual clamp
# Steps as a fraction of the sound's level. In double precision one small step is exact to many digits and crosses hardly any kink
# of a ReLU. In single precision small steps drown in rounding and large ones cross kinks; where the best one lies depends on the
# model, so several are tried, the likeliest first.
FINE_STEP = 1e-6
COARSE_STEPS = (1e-4, 3e-5, 3e-4, 1e-5, 1e-3, 3e-3, 1e-2)
MOST_ROUNDING = 0.1  # of the derivative: beyond that, a step tells nothing
# Where kinks lie close, as along the gradient at sparse sounds, only very small steps stay between them.
FINEST_STEPS, FINEST_ROUNDING = (3e-6, 1e-6), 0.005  # which then explains nothing
ROUNDINGS = 2.0  # how much of an error rounding is held to explain, in standard deviations of it


@dataclass(frozen=True)
class GradientCheck:
    """What was found; each verdict is "pass", "fail" or "none" (nothing to check), each sentence says it in words.

    `relative_error` is the larger one of that along the gradient and that over all random directions (root mean square, relative
    to the derivatives'), the worst of all sounds; 1 % is the limit, and 5 % for the latter where only single precision is to be
    had. `zeros` is the fraction of samples whose gradient is exactly 0, `quiet_zeros` that fraction in a passage 100 dB below
    another, `precision` the arithmetic the differences were taken in ("double" or "single").
    """

    reaches: bool
    relative_error: float | None
    verdict: str
    sentence: str
    zeros: float | None = None
    quiet_zeros: float | None = None
    precision: str = ""
    parity_verdict: str = NONE
    parity_difference: float | None = None
    parity_sentence: str = ""

    def card(self) -> dict[str, Any]:
        """The table that a model's card keeps as `gradient`; TOML has no empty values, so what is not known is left out."""
        found = {key: value for key, value in vars(self).items() if value is not None and value != ""}
        return {
            key: value for key, value in found.items() if not key.startswith("parity") or self.parity_verdict != NONE
        }


def check_gradient(
    model: Classifier,
    file: ModelFile | None = None,
    *,
    seed: int = 0,
    rest: Callable[[], None] | None = None,
) -> GradientCheck:
    """Check the gradient of `model` on three windows (a chord, noise, loud then quiet), and parity if `file` names a reference.

    Takes some 100 forward passes of one window, more where the model cannot be had in double precision; `rest` is called before
    each pass, and what it raises stops it. FileError if the parity file cannot be read."""
    parity: dict[str, Any] = {}
    if file and file.parity:
        found = check_parity(model, file)
        parity = {
            "parity_verdict": found.verdict,
            "parity_difference": found.difference,
            "parity_sentence": found.sentence,
        }
    if not model.differentiable:
        sentence = "No gradient reaches the waveform: only attacks that need none can be used on this model."
        return GradientCheck(False, None, NONE, sentence, **parity)
    generator = torch.Generator().manual_seed(seed)
    chord, noise, fading = (sound.to(model.device) for sound in _sounds(model, generator))
    weights = torch.randn(len(model.labels), generator=generator, dtype=torch.float64).to(model.device)
    fine = _in_double(model, torch.stack((chord, noise)))

    def logits(waveform: torch.Tensor) -> torch.Tensor:
        if rest:
            rest()
        return (fine or model.logits)(waveform)

    precision = "double" if fine else "single"
    errors, zeros = [], []
    for which, sound in (("chord", chord), ("noise", noise)):
        gradient = _gradient(logits, sound, weights, fine is not None)
        finite = gradient is not None and bool(torch.isfinite(gradient).all())
        if not finite or not gradient.any():
            state = "is nothing but zeros" if finite else "is not finite"
            sentence = f"For a {which} the gradient at the waveform {state}, so attacks that follow it learn nothing."
            return GradientCheck(False, None, FAIL, sentence, **parity)
        zeros.append(float((gradient == 0).double().mean()))
        errors.append(_errors(logits, sound, gradient, weights, fine is not None, generator))
    along, random = (max(column) for column in zip(*errors, strict=True))
    right = along <= LARGEST_ERROR and random <= (LARGEST_ERROR if fine else LARGEST_COARSE_ERROR)
    half = model.window // 2
    faded = _gradient(logits, fading, weights, fine is not None)
    quiet = float((faded[half:] == 0).double().mean()) if faded is not None else 1.0
    verdict, sentence = _words(right, max(along, random), max(zeros), quiet)
    return GradientCheck(True, max(along, random), verdict, sentence, max(zeros), quiet, precision, **parity)


def _words(right: bool, error: float, zeros: float, quiet: float) -> tuple[str, str]:
    shown = f"{100 * error:.0f} %" if error >= 0.1 else f"{100 * error:.2g} %" if error > 1e-4 else "less than 0.01 %"
    if not right:
        return FAIL, (
            f"The gradient is not the slope of what the model computes ({shown} apart along small steps, where 1 % would be fine): "
            "something in it is quantised, clipped or replaced on the way back, so attacks that follow it may fail without the "
            "model being robust."
        )
    sentence = f"The gradient reaches the waveform through the whole front end and is right to {shown}"
    if zeros > MOST_ZEROS:
        return (
            PASS,
            f"{sentence}; but it is exactly 0 for {100 * zeros:.0f} % of the samples, so a failing attack may say little.",
        )
    if quiet > MOST_ZEROS + zeros:
        return PASS, (
            f"{sentence}; but in what is 100 dB below the loudest part it is exactly 0 for {100 * quiet:.0f} % of the samples, as "
            "a level clamp (top_db) makes it: attacks cannot see that quiet passages could be used."
        )
    return PASS, f"{sentence}."


def _sounds(model: Classifier, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """A chord of decaying tones, noise, and noise that drops by 100 dB half-way; each `(window,)`, RMS 0.1."""
    time = torch.arange(model.window, dtype=torch.float64) / model.sample_rate
    chord = torch.zeros_like(time)
    for pitch in (110.0, 220.0, 277.18, 329.63):
        for harmonic in range(1, 13):
            if (frequency := pitch * harmonic) < 0.45 * model.sample_rate:
                phase = 2 * math.pi * float(torch.rand((), generator=generator))
                decay = torch.exp(-time * harmonic / max(time[-1], 1e-3))
                chord += decay * torch.sin(2 * math.pi * frequency * time + phase) / harmonic
    noise = torch.randn(model.window, generator=generator, dtype=torch.float64)
    chord += 0.003 * chord.square().mean().sqrt() * noise  # recordings have a floor
    fading = torch.randn(model.window, generator=generator, dtype=torch.float64)
    fading[model.window // 2 :] *= QUIET
    return tuple((LEVEL * sound / sound.square().mean().sqrt()).float() for sound in (chord, noise, fading))


def _in_double(model: Classifier, sounds: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The model's logits in double precision, if it can be had in it: not all exported ones can."""
    if not isinstance(model, TorchClassifier):
        return None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning
            )  # torch's, of its own
            front_end, network = copy.deepcopy(model.front_end).double(), copy.deepcopy(model.network).double()
        with torch.no_grad():
            single, double = model.logits(sounds).double(), network(front_end(sounds.double()))
            # A cast to single precision within shows in its rounding: changes a millionth of its steps apart are lost.
            nudged = network(front_end(sounds.double() * (1 + 1e-11)))
    except Exception:  # strange modules refuse in all manners; single precision is there for them
        return None
    scale = single.abs().max().clamp_min(1e-3)
    fine = (
        double.dtype == torch.float64 and torch.isfinite(double).all() and (double - single).abs().max() < 1e-2 * scale
    )
    changed = ((nudged - double) != 0).any() and (nudged - double).abs().max() < 1e-8 * scale
    return (lambda waveform: network(front_end(waveform))) if fine and changed else None


def _objective(
    logits: Callable[[torch.Tensor], torch.Tensor], waveform: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """One number per window: the logits under random weights, so that all of them count."""
    return logits(waveform).double() @ weights


def _gradient(
    logits: Callable[[torch.Tensor], torch.Tensor], sound: torch.Tensor, weights: torch.Tensor, fine: bool
) -> torch.Tensor | None:
    waveform = (sound.double() if fine else sound)[None].clone().requires_grad_()
    with torch.enable_grad():
        value = _objective(logits, waveform, weights).sum()
        if not value.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(value, waveform, allow_unused=True)
    return None if gradient is None else gradient[0].double()


def _errors(
    logits: Callable[[torch.Tensor], torch.Tensor],
    sound: torch.Tensor,
    gradient: torch.Tensor,
    weights: torch.Tensor,
    fine: bool,
    generator: torch.Generator,
) -> tuple[float, float]:
    """The relative errors of the gradient on one sound, along itself and over random directions.

    Along a single random direction the derivative may by chance be next to nothing, and any error large relative to it: the random
    ones are judged together."""
    random = torch.randn(DIRECTIONS, len(sound), generator=generator, dtype=torch.float64).to(sound.device)
    random /= random.norm(dim=1, keepdim=True)
    along = (gradient / gradient.norm())[None]
    if fine:
        step = FINE_STEP * LEVEL * math.sqrt(len(sound))
        found = (_apart(*_differences(logits, sound, gradient, weights, part, step, fine)) for part in (along, random))
    else:
        found = (_coarse_error(logits, sound, gradient, weights, part) for part in (along, random))
    return tuple(found)


def _coarse_error(
    logits: Callable[[torch.Tensor], torch.Tensor],
    sound: torch.Tensor,
    gradient: torch.Tensor,
    weights: torch.Tensor,
    directions: torch.Tensor,
) -> float:
    """The least error over the steps, beyond what rounding explains.

    Rounding is measured, not assumed. A random direction's derivative is √samples smaller than the gradient is long, and may well
    drown; a quantised front end errs by far more than its rounding at every step."""
    length = math.sqrt(len(sound)) * LEVEL
    noise, best = _rounding(logits, sound, weights), math.inf
    for step in COARSE_STEPS + FINEST_STEPS:
        measured, expected = _differences(logits, sound, gradient, weights, directions, step * length, False)
        slope = float(torch.maximum(measured.square().mean(), expected.square().mean()).sqrt())
        rounding = noise / (2 * step * length) / max(slope, 1e-300)
        finest = step in FINEST_STEPS
        if rounding > (FINEST_ROUNDING if finest else MOST_ROUNDING):
            continue
        error = _apart(measured, expected)
        best = min(best, error if finest else math.sqrt(max(error**2 - (ROUNDINGS * rounding) ** 2, 0.0)))
        if best <= LARGEST_ERROR / 2:
            break
    return best if math.isfinite(best) else 1.0


def _rounding(logits: Callable[[torch.Tensor], torch.Tensor], sound: torch.Tensor, weights: torch.Tensor) -> float:
    """How much the objective varies by rounding alone: over changes of the last bit or so."""
    with torch.no_grad():
        factors = 1 + 1.2e-7 * torch.arange(-4, 5, device=sound.device, dtype=sound.dtype)
        values = torch.cat([_objective(logits, sound[None] * factor, weights) for factor in factors])
    steps = torch.arange(len(values), dtype=torch.float64, device=values.device) - (len(values) - 1) / 2
    slope = (values - values.mean()) @ steps / steps.square().sum()
    return float((values - values.mean() - slope * steps).std() * math.sqrt(2)) + 1e-12


def _differences(
    logits: Callable[[torch.Tensor], torch.Tensor],
    sound: torch.Tensor,
    gradient: torch.Tensor,
    weights: torch.Tensor,
    directions: torch.Tensor,
    step: float,
    fine: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Central differences along `directions` (rows of length 1) and what the gradient expects of them, per unit of length."""
    measured, expected = [], []
    kind = torch.float64 if fine else torch.float32
    with torch.no_grad():
        for some in directions.split(AT_ONCE // 2):
            up, down = (sound.double() + step * some).to(kind), (sound.double() - step * some).to(kind)
            values = _objective(logits, torch.cat((up, down)), weights)
            measured.append((values[: len(some)] - values[len(some) :]) / (2 * step))
            expected.append((up.double() - down.double()) @ gradient / (2 * step))  # of the step as rounded
    return torch.cat(measured), torch.cat(expected)


def _apart(measured: torch.Tensor, expected: torch.Tensor) -> float:
    largest = torch.maximum(measured.square().mean().sqrt(), expected.square().mean().sqrt())
    return float((measured - expected).square().mean().sqrt() / largest.clamp_min(1e-300))
