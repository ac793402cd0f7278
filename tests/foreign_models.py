"""Models as other people hand them on: exported in every way, written beside a model.toml, whole or tampered with."""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from torch import nn

from mirguard.models.front_end import LogMel

RATE, WINDOW, LABELS = 8000, 1600, ("low", "middle", "high")
FRONT_END = {"kind": "log-mel", "n_fft": 256, "hop": 128, "n_mels": 20}


@pytest.fixture(scope="module")
def one_thread():
    """For many passes of small models, where a second thread would only be waited for."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Convolutions(nn.Module):
    """Log-mel `(batch, frames, 20)` -> logits, and what was pooled if asked for."""

    def __init__(self, pooled: bool = False) -> None:
        super().__init__()
        self.conv, self.out, self.pooled = nn.Conv1d(20, 12, 3), nn.Linear(12, len(LABELS)), pooled

    def hidden(self, mel: torch.Tensor) -> torch.Tensor:
        return self.conv(mel.transpose(1, 2)).relu().mean(-1)

    def logits(self, mel: torch.Tensor) -> torch.Tensor:
        return self.out(self.hidden(mel))

    def forward(self, mel: torch.Tensor):
        hidden = self.hidden(mel)
        return (self.out(hidden), hidden) if self.pooled else self.out(hidden)


class Network(nn.Module):
    """The whole of it: waveform -> STFT -> log-mel -> convolutions -> logits."""

    def __init__(self, pooled: bool = False, end: Callable[[torch.Tensor], torch.Tensor] | None = None) -> None:
        super().__init__()
        self.front, self.back, self.end = LogMel(RATE, 256, 128, 20), Convolutions(pooled), end

    def forward(self, waveform: torch.Tensor):
        given = self.back(self.front(waveform))
        return self.end(given) if self.end else given


def network(seed: int = 0, **settings: Any) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Network(**settings).eval()
    with torch.no_grad():  # about as often one label as another
        made.back.out.weight *= 10
        made.back.out.bias -= made.back.logits(made.front(windows(32, 99))).mean(0)
    return made


class Function(nn.Module):
    """Any function as a module, with weights so that there is something to keep."""

    def __init__(self, function: Callable[..., Any], window: int = WINDOW) -> None:
        super().__init__()
        self.function = function
        generator = torch.Generator().manual_seed(0)
        self.layer = nn.Linear(window, len(LABELS))
        self.layer.weight.data = torch.randn(len(LABELS), window, generator=generator) / window**0.5

    def forward(self, waveform: torch.Tensor):
        return self.function(self.layer, waveform)


def windows(rows: int = 5, seed: int = 0, window: int = WINDOW) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, window, generator=generator)
    return 0.1 * (noise + torch.sin(torch.arange(window) * torch.rand(rows, 1, generator=generator)))


def program(
    module: nn.Module, path: Path, *, rows: int = 2, dynamic: bool = True, shape: tuple[int, ...] = (WINDOW,)
) -> Path:
    sizes = ({0: torch.export.Dim("batch")},) if dynamic else None
    example = torch.randn(rows, *shape, generator=torch.Generator().manual_seed(9)) * 0.1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of exporting, which is other people's business
        torch.export.save(torch.export.export(module, (example,), dynamic_shapes=sizes), path)
    return path


def torchscript(module: nn.Module, path: Path, *, script: bool = False, shape: tuple[int, ...] = (WINDOW,)) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; files of it are not
        made = (
            torch.jit.script(module)
            if script
            else torch.jit.trace(module, torch.randn(2, *shape) * 0.1, check_trace=False)
        )
        made.save(path)
    return path


def describe(folder: Path, weights: str, **keys: Any) -> Path:
    """Write a model.toml beside the weights and return its path."""
    about = {"name": "foreign", "weights": weights, "sample_rate": RATE, "window": WINDOW, "task": "single-label"}
    path = folder / "model.toml"
    path.write_bytes(tomli_w.dumps({**about, "labels": list(LABELS), **keys}).encode())
    return path


def onnx_of(net: Network, path: Path, *, batch: int | str = "batch", softmax: bool = False) -> Path:
    """The same network as ONNX, node by node (STFT, mel bands, convolution), for torch's exporter needs more than is installed."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(value, order="C"), name)

    front, back = net.front, net.back
    half = front.n_fft // 2
    arrays = [
        constant("pads", np.array([0, half, 0, half], np.int64)),
        constant("last", np.array([-1], np.int64)),
        constant("hop", np.array(front.hop, np.int64)),
        constant("hann", front.window.numpy()),
        constant("length", np.array(front.n_fft, np.int64)),
        constant("filters", front.filters.numpy()),
        constant("gain", np.array(10_000, np.float32)),
        constant("one", np.array(1, np.float32)),
        constant("ln10", np.array(np.log(10), np.float32)),
        constant("w", back.conv.weight.detach().numpy()),
        constant("b", back.conv.bias.detach().numpy()),
        constant("ow", back.out.weight.detach().numpy().T),
        constant("ob", back.out.bias.detach().numpy()),
    ]
    steps = [
        ("Pad", ["waveform", "pads"], "padded", {"mode": "reflect"}),
        ("Unsqueeze", ["padded", "last"], "signal", {}),
        ("STFT", ["signal", "hop", "hann", "length"], "spectrum", {"onesided": 1}),
        ("Mul", ["spectrum", "spectrum"], "squares", {}),
        ("ReduceSum", ["squares", "last"], "power", {"keepdims": 0}),
        ("MatMul", ["power", "filters"], "mel", {}),
        ("Mul", ["mel", "gain"], "louder", {}),
        ("Add", ["louder", "one"], "above", {}),
        ("Log", ["above"], "ln", {}),
        ("Div", ["ln", "ln10"], "log", {}),
        ("Transpose", ["log"], "bands", {"perm": [0, 2, 1]}),
        ("Conv", ["bands", "w", "b"], "heard", {}),
        ("Relu", ["heard"], "rectified", {}),
        ("ReduceMean", ["rectified"], "hidden", {"axes": [-1], "keepdims": 0}),
        ("MatMul", ["hidden", "ow"], "products", {}),
        ("Add", ["products", "ob"], "logits", {}),
    ]
    last = "logits"
    if softmax:
        steps.append(("Softmax", ["logits"], "p", {"axis": -1}))
        last = "p"
    nodes = [helper.make_node(kind, given, [gives], **settings) for kind, given, gives, settings in steps]
    outputs = [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, len(LABELS)])]
    if net.back.pooled:
        outputs.append(helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [batch, 12]))
    inputs = [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, [batch, WINDOW])]
    graph = helper.make_graph(nodes, "foreign", inputs, outputs, arrays)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(made, path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(contents: dict[str, bytes] | list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in contents.items() if isinstance(contents, dict) else contents:
            archive.writestr(name, data)
    return buffer.getvalue()


def tampered(path: Path, ending: str, change: Callable[[bytes], bytes]) -> bytes:
    """The archive with the one member whose name ends so changed."""
    contents = members(path)
    (name,) = [name for name in contents if name.endswith(ending)]
    return packed({**contents, name: change(contents[name])})


def tampered_json(path: Path, ending: str, change: Callable[[Any], None]) -> bytes:
    def edit(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return tampered(path, ending, edit)


class Canary:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)
