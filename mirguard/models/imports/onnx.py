"""Users' models as ONNX: run by onnxruntime as a black box. Nothing but what comes out is known, so there are no gradients.

Outputs as for exported programs: the logits first, then one for each of the model.toml's `features`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mirguard.errors import FileError, MirguardError, UsageError
from mirguard.models.contract import Classifier
from mirguard.models.file_hash import file_hash
from mirguard.models.front_ends import make_front_end
from mirguard.models.imports.archives import LARGEST
from mirguard.models.imports.exported import as_file_error
from mirguard.models.imports.onnx_contents import OWN_DOMAINS, read_contents
from mirguard.models.imports.wrap import check_behaviour, logits_of, probe, reason_of
from mirguard.models.model_file import ModelFile

NOTE = "ONNX gives no gradients: only attacks that need none can be used."
_QUIET = 4  # onnxruntime's severity "fatal": what goes wrong is told in one sentence here


class OnnxClassifier(Classifier):
    """An onnxruntime session as a classifier; any number of windows, cut into its fixed batch where it has one."""

    differentiable = False

    def __init__(self, file: ModelFile, session: Any) -> None:
        self.name, self.title, self.note = file.name, file.title or file.name, f"{file.note} {NOTE}".strip()
        self.sample_rate, self.window, self.labels, self.task = file.sample_rate, file.window, file.labels, file.task
        self.layers = file.features or ("logits",)
        self.batch, self.undo = file.batch, file.output == "probabilities"
        if file.batch:
            self.micro_batch = file.batch * max(1, self.micro_batch // file.batch)
        self._session = session
        self._front_end = (
            make_front_end(file.representation, file.sample_rate, file.window).eval().requires_grad_(False)
        )
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            types = ", ".join(entry.type for entry in inputs) or "none"
            raise UsageError(f"{self.name} must take one input of 32-bit numbers; {file.weights} takes {types}.")
        if len(outputs) != 1 + len(file.features):
            raise UsageError(
                f"{self.name} gives {len(outputs)} outputs where it should give its logits first and then one for each of its "
                f"{len(file.features)} features."
            )
        self._input, self._outputs = inputs[0].name, [entry.name for entry in outputs]
        self.hash = file_hash(file)
        self.check()

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        return self._front_end(waveform)

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        return self._logits(self._run(representation)[0])

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        unknown = sorted(set(layers) - {*self.layers, "logits"})
        if unknown:
            raise UsageError(f"{self.name} has no layer {unknown[0]!r}; it has {', '.join(self.layers)}.")
        outputs = self._run(self.represent(waveform))
        logits = self._logits(outputs[0])
        named = {"logits": logits} | dict(zip(self.layers, (part.flatten(1) for part in outputs[1:]), strict=False))
        return {layer: named[layer] for layer in layers}, logits

    def _logits(self, output: torch.Tensor) -> torch.Tensor:
        return logits_of(output, self.task) if self.undo else output

    def _run(self, representation: torch.Tensor) -> list[torch.Tensor]:
        heard = np.ascontiguousarray(representation.detach().cpu().numpy(), np.float32)
        size = self.batch or len(heard)
        pieces = [self._piece(heard[first : first + size], size) for first in range(0, len(heard), size)]
        return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*pieces, strict=True)]

    def _piece(self, piece: np.ndarray, size: int) -> list[np.ndarray]:
        windows = len(piece)
        if windows < size:
            piece = np.concatenate([piece, np.repeat(piece[-1:], size - windows, 0)])
        try:
            outputs = self._session.run(self._outputs, {self._input: piece})
        except Exception as error:  # onnxruntime's own, which all derive from Exception alone
            raise UsageError(
                f"{self.name} does not take waveforms of shape ({size}, {self.window}): {_reason(error)}."
            ) from error
        for output in outputs:
            if not isinstance(output, np.ndarray) or output.dtype.kind != "f" or output.ndim < 1 or len(output) != size:
                raise UsageError(f"{self.name} must give one row of floating-point numbers for each of {size} windows.")
        return [output[:windows].astype(np.float32, copy=False) for output in outputs]


def load(file: ModelFile) -> OnnxClassifier:
    """The classifier that a model.toml with ONNX weights describes; FileError with one sentence if there is anything amiss."""
    what = f"{file.name}: {file.weights}"
    data = _content(file, what)
    try:
        model = OnnxClassifier(file, _session(data, what))
        probe(model, file.output)
        check_behaviour(model)
    except UsageError as error:
        raise as_file_error(file, error) from error
    return model


def _content(file: ModelFile, what: str) -> bytes:
    """The file, if it needs no other file and no operators but onnxruntime's own."""
    try:
        if file.weights_path.stat().st_size > LARGEST:
            raise FileError(f"{what} is refused: it is larger than {LARGEST >> 30} GB.")
        data = file.weights_path.read_bytes()
    except OSError as error:
        raise FileError(f"{what} cannot be read: {error.strerror}.") from error
    contents = read_contents(data, what)
    if contents.external:
        raise FileError(
            f"{what} keeps arrays in other files; save it as one file (onnx.save with save_as_external_data=False)."
        )
    foreign = sorted(
        f"{domain}.{name}" for domain, name in contents.calls - contents.functions if domain not in OWN_DOMAINS
    )
    if foreign:
        raise FileError(
            f"{what} needs the operator {foreign[0][:80]}, which onnxruntime does not bring; export it without."
        )
    return data


def _session(data: bytes, what: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MirguardError(f"{what} needs onnxruntime; install it with pip install onnxruntime.") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    # A core is left to the window, and idle threads sleep instead of turning on the spot.
    options.intra_op_num_threads = max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1))
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, which all derive from Exception alone
        raise FileError(
            f"{what} cannot be loaded by this onnxruntime {onnxruntime.__version__}: {_reason(error)}."
        ) from error


def _reason(error: Exception) -> str:
    """onnxruntime's message without its codes and the places in its source."""
    text = reason_of(error)
    for mark in (
        "FAIL :",
        "INVALID_GRAPH :",
        "INVALID_ARGUMENT :",
        "INVALID_PROTOBUF :",
        "NOT_IMPLEMENTED :",
        "Status Message:",
    ):
        text = text.rpartition(mark)[2] if mark in text else text
    return text.strip().rstrip(".")
