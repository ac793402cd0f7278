"""CREPE, the pitch estimator of Kim et al. ("CREPE: A Convolutional Representation for Pitch Estimation", ICASSP 2018),
with the published weights of its tiny network.

It hears windows of 1024 samples (64 ms), each by itself: mean 0 and deviation 1, then six convolutions along time, each
with rectifier, normalisation and the maximum of two neighbours, and one sigmoid a pitch. The sigmoids are independent of
each other, so that to everything else here it is a model with 360 tags, of which the top one is the pitch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mirguard.models.contract import TorchClassifier
from mirguard.models.decision import TAGGING
from mirguard.models.published.crepe_facts import LABELS, NAME, NOTE, RATE, TITLE, WINDOW

EPSILON = 0.0010000000474974513  # of all batch normalisations
QUIETEST = 1e-10  # the deviation that a window is divided by at least


class Levelled(nn.Module):
    """`(batch, 1024)` -> the same with mean 0 and standard deviation 1 in every row; a constant row becomes zeros.

    The deviation is held above 1e-10, as published. It is held before the root is taken, where the gradient of digital
    silence is still finite.
    """

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        centred = waveform - waveform.mean(1, keepdim=True)
        variance = centred.square().sum(1, keepdim=True) / (waveform.shape[1] - 1)
        return centred / variance.clamp_min(QUIETEST**2).sqrt()


class Block(nn.Module):
    """Convolution along time, rectifier, normalisation, maximum of pairs: `(batch, C, 1, n)` -> `(batch, D, 1, n / 2 / stride)`.

    Channels last and one row high: twice as fast on a CPU as a convolution of one dimension.
    """

    def __init__(
        self, arrays: Mapping[str, np.ndarray], number: int, padding: tuple[int, int], stride: int = 1
    ) -> None:
        super().__init__()

        def array(name: str) -> torch.Tensor:
            return torch.from_numpy(np.asarray(arrays[name], np.float64))

        layer, norm = f"conv{number}", f"conv{number}_BN"
        scale = array(f"{norm}.weight") / (array(f"{norm}.running_var") + EPSILON).sqrt()
        shift = array(f"{norm}.bias") - array(f"{norm}.running_mean") * scale
        kernel = array(f"{layer}.weight").transpose(2, 3).float().contiguous(memory_format=torch.channels_last)
        self.padding, self.stride = padding, (1, stride)
        self.register_buffer("kernel", kernel)
        self.register_buffer("bias", array(f"{layer}.bias").float())
        self.register_buffer("scale", scale.float()[:, None, None])
        self.register_buffer("shift", shift.float()[:, None, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, self.padding).contiguous(memory_format=torch.channels_last)
        x = F.relu(F.conv2d(x, self.kernel, self.bias, self.stride))
        return F.max_pool2d(torch.addcmul(self.shift, x, self.scale), (1, 2))


class Crepe(nn.Module):
    """Levelled waveform `(batch, 1024)` -> logits `(batch, 360)`, from the published state dict of either size."""

    LAYERS = tuple(f"conv{number}" for number in range(1, 7))

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.conv1 = Block(arrays, 1, (254, 254), stride=4)
        for number in range(2, 7):
            setattr(self, f"conv{number}", Block(arrays, number, (31, 32)))
        self.register_buffer("kernel", torch.from_numpy(np.asarray(arrays["classifier.weight"], np.float32).T.copy()))
        self.register_buffer("bias", torch.from_numpy(np.array(arrays["classifier.bias"], np.float32)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, None, None]
        for layer in self.LAYERS:
            x = self.get_submodule(layer)(x)
        return torch.addmm(self.bias, x[:, :, 0].transpose(1, 2).flatten(1), self.kernel)


def crepe(arrays: Mapping[str, np.ndarray]) -> TorchClassifier:
    """The classifier with the arrays of the tiny network's state dict."""
    return TorchClassifier(
        NAME,
        Levelled(),
        Crepe(arrays),
        sample_rate=RATE,
        window=WINDOW,
        labels=LABELS,
        task=TAGGING,
        taps={layer: layer for layer in Crepe.LAYERS},
        title=TITLE,
        note=NOTE,
        micro_batch=64,  # 0.2 s forward and backward on one thread; more at a time is slower
        graph_windows=512,
    )
