"""Making a classifier of somebody's own torch module, and trying out one that came from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from mirguard.errors import MirguardError, UsageError
from mirguard.models.contract import Classifier, TorchClassifier
from mirguard.models.decision import SINGLE_LABEL, TAGGING

OUTPUTS = ("logits", "probabilities")
_PROBES, _BEHAVIOUR = 2, 3  # windows
_TOLERANCE = 1e-3  # of the largest logit: batches of other sizes are summed in another order
_DEAF = 1e-6
NONE_REACHES = "No gradient reaches the waveform: only attacks that need none can be used."


class LogitsOf(nn.Module):
    """A module that ends in a softmax or sigmoid, with that undone: `log p`, or `log p/(1 − p)` for tags."""

    def __init__(self, module: nn.Module, task: str) -> None:
        super().__init__()
        self.module, self.task = module, task

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return logits_of(self.module(waveform), self.task)


def logits_of(p: torch.Tensor, task: str) -> torch.Tensor:
    """The logits that a softmax, or for tags a sigmoid, turned into `p`; of the former's, up to a constant per row."""
    logits = p.clamp_min(torch.finfo(p.dtype).tiny).log()
    return logits - (1 - p).clamp_min(torch.finfo(p.dtype).eps).log() if task == TAGGING else logits


def wrap_model(
    module: nn.Module,
    sample_rate: int,
    window: int,
    labels: Sequence[str],
    task: str = SINGLE_LABEL,
    name: str | None = None,
    *,
    output: str = "logits",
    layers: Sequence[str] | Mapping[str, str] = (),
    title: str = "",
    note: str = "",
    micro_batch: int = 8,
    graph_windows: int = 64,
) -> TorchClassifier:
    """A classifier whose network is `module`: waveforms `(batch, window)` in ±1 at `sample_rate` Hz -> `(batch, labels)`.

    `output` says whether the module gives logits or probabilities. `layers` names its submodules that detectors may read,
    the last hidden one last; a mapping gives them other names. `micro_batch` windows go through it at a time, and the
    graphs of up to `graph_windows` are held at once.

    The module is tried on two windows of quiet noise. Where no gradient reaches the waveform, the classifier has
    `differentiable` False, and only attacks that need none can be used on it. The module itself is used, not a copy: it is
    put into evaluation mode and its parameters are frozen. UsageError says what does not fit.
    """
    name = name or type(module).__name__
    if not isinstance(module, nn.Module):
        raise UsageError(f"wrap_model takes a torch.nn.Module, not {type(module).__name__!r}.")
    if output not in OUTPUTS:
        raise UsageError(f"{name}: output is one of {', '.join(OUTPUTS)}; got {output!r}.")
    if isinstance(labels, str):
        raise UsageError(f"{name}: labels is a sequence of names, not one text.")
    taps = _taps(name, module, layers)
    if output == "probabilities":
        module, taps = LogitsOf(module, task), {layer: f"module.{place}" for layer, place in taps.items()}
    model = TorchClassifier(
        name,
        nn.Identity(),
        module,
        sample_rate=sample_rate,
        window=window,
        labels=labels,
        task=task,
        taps=taps,
        title=title,
        note=note,
        micro_batch=micro_batch,
        graph_windows=graph_windows,
    )
    probe(model, output)
    return model


def _taps(name: str, module: nn.Module, layers: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    taps = dict(layers) if isinstance(layers, Mapping) else {layer: layer for layer in layers}
    known = dict(module.named_modules())
    for place in taps.values():
        if place not in known:
            raise UsageError(f"{name} has no submodule {place!r} to read a layer from.")
    return taps


def probe(model: Classifier, output: str) -> None:
    """Try the model on two windows of quiet noise, one pass each way; sets `differentiable`, and says why in its note.

    `output` is what its network itself gives, "logits" or "probabilities". UsageError says what does not fit."""
    generator = torch.Generator().manual_seed(0)
    waveform = (0.1 * torch.randn(_PROBES, model.window, generator=generator)).to(model.device).requires_grad_()
    with torch.enable_grad():
        try:
            logits = model.logits(waveform)
        except MirguardError:
            raise
        except Exception as error:
            raise UsageError(
                f"{model.name} does not take waveforms of shape (batch, {model.window}): {reason_of(error)}."
            ) from error
        if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
            kind = str(logits.dtype) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise UsageError(f"{model.name} must give one tensor of floating-point logits; it gives {kind}.")
        if tuple(logits.shape) != (_PROBES, len(model.labels)):
            raise UsageError(
                f"{model.name} gives {tuple(logits.shape)} for a batch of {_PROBES} where its {len(model.labels)} "
                f"labels need {(_PROBES, len(model.labels))}."
            )
        if not torch.isfinite(logits).all():
            raise UsageError(f"{model.name} gives NaN or infinite logits for quiet noise.")
        if output == "logits" and model.task == SINGLE_LABEL and _are_probabilities(logits.detach()):
            raise UsageError(
                f"{model.name} seems to end in a softmax (its outputs sum to 1): take that off, "
                "or say output='probabilities'."
            )
        for layer in model.layers:
            features = model.features(waveform, (layer,))[0]
            if layer not in features or features[layer].shape[0] != _PROBES:
                raise UsageError(f"{model.name}: layer {layer!r} does not give one row per window.")
        reason = why_no_gradient(logits, waveform, generator)
    if reason and model.differentiable:
        model.differentiable = False
        model.note = f"{model.note} {reason}".strip()


def check_behaviour(model: Classifier) -> None:
    """Whether the model is one at all: the same every time, a window at a time, and not of one mind whatever it hears.

    UsageError with one sentence if not. Sizes and kinds of what it gives are `probe`'s matter."""
    generator = torch.Generator().manual_seed(1)
    noise = 0.1 * torch.randn(_BEHAVIOUR, model.window, generator=generator)
    noise[0] *= torch.linspace(0, 1, model.window).square()  # levels and courses of all kinds
    noise[1] = 0.3 * torch.sin(torch.arange(model.window) * (2 * torch.pi * 440 / model.sample_rate))
    noise = noise.to(model.device)
    with torch.no_grad():
        try:
            together, again = model.logits(noise), model.logits(noise)
            alone = torch.cat([model.logits(noise[k : k + 1]) for k in range(_BEHAVIOUR)])
        except MirguardError:
            raise
        except Exception as error:
            raise UsageError(
                f"{model.name} takes {_PROBES} windows at a time but not any number of them ({reason_of(error)}): if it was made "
                f"for that many, say batch = {_PROBES} in its model.toml."
            ) from error
    if not torch.isfinite(together).all():
        raise UsageError(f"{model.name} gives NaN or infinite logits for a quiet tone or noise.")
    scale = float(together.abs().max().clamp_min(1e-3))
    if (together - again).abs().max() > _TOLERANCE * scale:
        raise UsageError(
            f"{model.name} gives other logits each time it hears the same sound: export it in evaluation mode, after model.eval()."
        )
    if (together - alone).abs().max() > _TOLERANCE * scale:
        raise UsageError(
            f"{model.name} hears a window differently when other windows are in the batch: export it in evaluation mode, after "
            "model.eval(), and normalise over each window alone."
        )
    if (together - together[:1]).abs().max() <= _DEAF * scale:
        raise UsageError(
            f"{model.name} gives the same logits whatever it hears: its weights or its input do not reach its output."
        )


def reason_of(error: Exception) -> str:
    """What an error of torch's says, in a few words without its trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("RuntimeError:", "torch.jit.Error:"))]  # TorchScript's come last
    first = (told or lines or [type(error).__name__])[0].removeprefix("RuntimeError: ")
    return " ".join(first.split())[:200].rstrip(". :")


def _are_probabilities(values: torch.Tensor) -> bool:
    return bool((values >= 0).all() and (values.sum(-1) - 1).abs().max() < 1e-3)


def why_no_gradient(logits: torch.Tensor, waveform: torch.Tensor, generator: torch.Generator) -> str:
    """A sentence, or nothing if a usable gradient reaches the waveform."""
    if not logits.requires_grad:
        return NONE_REACHES
    weights = torch.randn(logits.shape, generator=generator).to(logits)
    try:
        (gradient,) = torch.autograd.grad((logits * weights).sum(), waveform, allow_unused=True)
    except Exception as error:  # not every operator has a derivative
        return f"Its gradient cannot be had ({reason_of(error)}): only attacks that need none can be used."
    if gradient is None or not gradient.any():
        return NONE_REACHES
    if not torch.isfinite(gradient).all():
        return "Its gradient is NaN or infinite: only attacks that need none can be used."
    return ""
