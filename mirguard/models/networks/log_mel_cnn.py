"""A small convolutional network on log-mel spectrograms: the architecture of the bundled models.

Four blocks of convolution, batch normalisation and ReLU with average pooling between them; the mean and the maximum over time
and frequency; one hidden layer, which is what detectors read. Average pooling and the power spectrum keep gradients with
respect to the waveform useful everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from mirguard.errors import FileError
from mirguard.models.contract import TorchClassifier
from mirguard.models.decision import SINGLE_LABEL
from mirguard.models.front_end import LogMel

FORMAT = "mirguard log-mel cnn 1"
CHANNELS = (16, 32, 64, 96)
HIDDEN = 96
TAPS = {"block-3": "blocks.2", "block-4": "blocks.3", "hidden": "hidden"}  # the last one is the last hidden layer


class Block(nn.Module):
    """Convolution 3×3, batch normalisation, ReLU, and average pooling by 2×2 unless it is the last."""

    def __init__(self, inputs: int, outputs: int, pool: bool) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.norm(self.convolution(x)))
        return F.avg_pool2d(x, 2) if self.pool else x


class LogMelCnn(nn.Module):
    """`(batch, frames, mel bands)` -> logits `(batch, labels)`."""

    def __init__(self, labels: int, channels: Sequence[int] = CHANNELS, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        widths = [1, *channels]
        self.blocks = nn.Sequential(*(Block(a, b, pool=b != widths[-1]) for a, b in pairwise(widths)))
        self.hidden = nn.Sequential(nn.Linear(2 * widths[-1], hidden), nn.ReLU())
        self.out = nn.Linear(hidden, labels)

    def forward(self, representation: torch.Tensor) -> torch.Tensor:
        # Channels last: convolutions with few channels run up to twice as fast on CPU.
        x = self.norm(representation[:, None]).contiguous(memory_format=torch.channels_last)
        x = self.blocks(x)
        return self.out(self.hidden(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)))


def save_log_mel_cnn(
    path: Path,
    network: LogMelCnn,
    *,
    front_end: Mapping[str, object],
    window: int,
    labels: Sequence[str],
    training: Mapping[str, object],
) -> None:
    """Weights as float32 safetensors, with what is needed to hear through them: the front end's settings, the window in samples,
    the labels; `training` says how they came about."""
    settings = {
        "front_end": dict(front_end),
        "network": {
            "channels": [b.convolution.out_channels for b in network.blocks],
            "hidden": network.out.in_features,
        },
        "window": window,
        "labels": list(labels),
        "task": SINGLE_LABEL,
        "training": dict(training),
    }
    weights = {}
    for key, value in network.state_dict().items():
        if value.is_floating_point():
            value = value.detach().float()
            # Denormal weights make a pass on CPU many times slower.
            weights[key] = torch.where(value.abs() < 1e-20, torch.zeros_like(value), value).contiguous()
    path.write_bytes(save(weights, {"format": FORMAT, "settings": json.dumps(settings)}))


def load_log_mel_cnn(path: Path, *, name: str, title: str, note: str) -> TorchClassifier:
    """The classifier that `save_log_mel_cnn` wrote; FileError if the file is something else."""
    settings, weights = _read(path)
    front_end = LogMel(**settings["front_end"])
    network = LogMelCnn(len(settings["labels"]), **settings["network"])
    try:
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise FileError(f"{path.name} does not hold the weights that its settings describe.") from error
    if unexpected or any(not key.endswith("num_batches_tracked") for key in missing):
        raise FileError(f"{path.name} does not hold the weights that its settings describe.")
    classifier = TorchClassifier(
        name,
        front_end,
        network.to(memory_format=torch.channels_last),
        sample_rate=front_end.sample_rate,
        window=settings["window"],
        labels=settings["labels"],
        task=settings["task"],
        taps=TAPS,
        title=title,
        note=note,
        micro_batch=16,
    )
    # Of the file, not of tensors: the mel filters are computed here, and another processor may round them otherwise.
    classifier.hash = hashlib.sha256(path.read_bytes()).hexdigest()
    return classifier


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FileError(f"{path.name} cannot be read as safetensors: {error}.") from error
    if metadata.get("format") != FORMAT:
        raise FileError(f"{path.name} holds no log-mel CNN of MIRGuard (its metadata do not say {FORMAT!r}).")
    return json.loads(metadata["settings"]), tensors
