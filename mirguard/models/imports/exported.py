"""Users' models as exported programs (`.pt2`) and TorchScript: looked into, loaded, tried out.

The weights take waveforms `(batch, window)` in ±1, or what the declared representation makes of them, and give logits
`(batch, labels)`. Where the model.toml names `features`, they give a tuple: the logits, then one tensor `(batch, ...)` for each
name in that order.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models.contract import TorchClassifier
from mirguard.models.file_hash import file_hash
from mirguard.models.front_ends import make_front_end
from mirguard.models.imports.archives import Archive
from mirguard.models.imports.program_archives import is_exported_program, safe_program
from mirguard.models.imports.script_archives import safe_script
from mirguard.models.imports.wrap import check_behaviour, logits_of, probe, reason_of
from mirguard.models.model_file import ModelFile

MICRO_BATCH, GRAPH_WINDOWS = 8, 64


def load(file: ModelFile) -> TorchClassifier:
    """The classifier that a model.toml with an exported program or TorchScript describes.

    FileError with one sentence where the file is damaged, holds more than arrays and torch's operators, or is no classifier of the
    declared window, labels and outputs."""
    module = load_weights(file)
    _check_numbers(file, module)
    try:
        front_end = make_front_end(file.representation, file.sample_rate, file.window)
        windows = file.batch or 1
        micro_batch = windows * max(1, MICRO_BATCH // windows)
        model = TorchClassifier(
            file.name,
            front_end,
            Imported(module, file),
            sample_rate=file.sample_rate,
            window=file.window,
            labels=file.labels,
            task=file.task,
            taps={layer: f"taps.{place}" for place, layer in enumerate(file.features)},
            title=file.title,
            note=file.note,
            micro_batch=micro_batch,
            graph_windows=max(GRAPH_WINDOWS, micro_batch),
        )
        model.hash = file_hash(file)
        probe(model, file.output)
        check_behaviour(model)
    except UsageError as error:
        raise as_file_error(file, error) from error
    return model


def as_file_error(file: ModelFile, error: UsageError) -> FileError:
    """What does not fit, as the model.toml's fault; with what to do where it looks like a fixed batch that was not declared."""
    message = str(error)
    reason = message.partition(f"{file.window}): ")[2]  # why it does not take waveforms of that shape
    if file.batch is None and ("shape" in reason or "dimensions" in reason):
        message = (
            message.rstrip(".")
            + "; if it was exported for a fixed number of windows, say so as batch in its model.toml."
        )
    return FileError(message if message.startswith(file.name) else f"{file.name}: {message}")


def load_weights(file: ModelFile) -> nn.Module:
    """The module in the file, by what the file holds rather than what it is called."""
    what = f"{file.name}: {file.weights}"
    with Archive(file.weights_path, what, rooted=True) as archive:
        program = is_exported_program(archive)
        content = safe_program(archive) if program else safe_script(archive)
    with _quietly(what):
        return _program(content) if program else _script(content)


def _program(content: io.BytesIO) -> nn.Module:
    return torch.export.load(content).module(check_guards=False)


def _script(content: io.BytesIO) -> nn.Module:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit\.load.* is deprecated", DeprecationWarning)
        return torch.jit.load(content, map_location="cpu").eval()


class _Told(logging.Filter):
    """torch.export logs a trace before it raises; what it raises is told in one sentence."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


@contextmanager
def _quietly(what: str) -> Iterator[None]:
    silence, loggers = _Told(), [logging.getLogger(name) for name in ("torch.export", "torch._export.serde.serialize")]
    for logger in loggers:
        logger.addFilter(silence)
    try:
        yield
    except MirguardError:
        raise
    except Exception as error:  # whatever torch's readers stumble over in a strange file
        raise FileError(f"{what} cannot be loaded by this torch {torch.__version__}: {reason_of(error)}.") from error
    finally:
        for logger in loggers:
            logger.removeFilter(silence)


class Imported(nn.Module):
    """A network from outside: as many windows at a time as it takes, its first output the logits, the others for detectors.

    A number of windows that the network does not take is cut into pieces of its batch, the last one filled up with repetitions that
    no gradient flows through, and what comes out for those is cut off.
    """

    def __init__(self, module: nn.Module, file: ModelFile) -> None:
        super().__init__()
        self.inner = _Settled(module)
        self.taps = nn.ModuleList(nn.Identity() for _ in file.features)
        self.name, self.task, self.batch, self.features = file.name, file.task, file.batch, file.features
        self.undo = file.output == "probabilities"

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        if self.batch is None:
            outputs = self._outputs(representation)
        else:
            pieces = [self._piece(piece) for piece in representation.split(self.batch)]
            outputs = tuple(torch.cat(parts) for parts in zip(*pieces, strict=True))
        for tap, output in zip(self.taps, outputs[1:], strict=True):
            tap(output)
        return logits_of(outputs[0], self.task) if self.undo else outputs[0]

    def _piece(self, piece: torch.Tensor) -> tuple[torch.Tensor, ...]:
        windows = len(piece)
        if windows < self.batch:
            piece = torch.cat([piece, piece[-1:].detach().expand(self.batch - windows, *piece.shape[1:])])
        outputs = self._outputs(piece)
        if any(len(output) != self.batch for output in outputs):
            raise UsageError(f"{self.name} does not give one row for each of its batch of {self.batch} windows.")
        return tuple(output[:windows] for output in outputs)

    def _outputs(self, representation: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = self.inner(representation)
        outputs = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        if len(outputs) != 1 + len(self.features):
            raise UsageError(
                f"{self.name} gives {len(outputs)} outputs where it should give its logits first and then one for each of its "
                f"{len(self.features)} features."
            )
        for output in outputs:
            if not isinstance(output, torch.Tensor) or not output.is_floating_point() or not output.ndim:
                kind = str(output.dtype) if isinstance(output, torch.Tensor) else type(output).__name__
                raise UsageError(f"{self.name} must give tensors of floating-point numbers; it gives {kind}.")
        return outputs


class _Settled(nn.Module):
    """An exported module, which refuses to be put into a mode: it was exported in one.

    TorchScript runs as it was written: its optimiser changes the arithmetic from the third pass on, and differentiates by formulas
    of its own that know fewer operators than autograd does.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def train(self, mode: bool = True) -> _Settled:
        self.training = mode
        return self

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        if not isinstance(self.module, torch.jit.ScriptModule):
            return self.module(representation)
        with torch.jit.optimized_execution(False):
            return self.module(representation)


def _check_numbers(file: ModelFile, module: nn.Module) -> None:
    """Weights must be finite; buffers may hold infinities (masks do) but no NaN."""
    for key, value in (*module.named_parameters(), *module.named_buffers()):
        if not (value.is_floating_point() or value.is_complex()):
            continue
        wrong = torch.isnan(value) if not isinstance(value, nn.Parameter) else ~torch.isfinite(value)
        if wrong.any():
            raise FileError(f"{file.name}: its weights {key} in {file.weights} hold NaN or infinite numbers.")
