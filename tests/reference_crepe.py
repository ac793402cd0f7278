"""CREPE written down plainly from its state dict, as the paper and the published package have it, to compare with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

CHANNELS = (1, 128, 16, 16, 16, 32, 64)
PITCHES = 360


def random_state(seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of the tiny state dict's names and shapes; some of the scales are negative, as in the trained network."""
    random = np.random.default_rng(seed)
    found = {}
    for number in range(1, 7):
        before, after = CHANNELS[number - 1 : number + 1]
        taps = 512 if number == 1 else 64
        found[f"conv{number}.weight"] = random.standard_normal((after, before, taps, 1)) / np.sqrt(taps * before)
        found[f"conv{number}.bias"] = 0.1 * random.standard_normal(after)
        found[f"conv{number}_BN.weight"] = 0.5 + random.standard_normal(after)
        found[f"conv{number}_BN.bias"] = 0.1 * random.standard_normal(after)
        found[f"conv{number}_BN.running_mean"] = 0.1 * random.standard_normal(after)
        found[f"conv{number}_BN.running_var"] = random.uniform(0.2, 1.0, after)
    found["classifier.weight"] = random.standard_normal((PITCHES, 4 * CHANNELS[-1])) / 16
    found["classifier.bias"] = 0.1 * random.standard_normal(PITCHES)
    return {name: value.astype(np.float32) for name, value in found.items()}


def reference_logits(arrays: dict[str, np.ndarray], waveform: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """`(batch, 1024)` -> logits `(batch, 360)` and each layer's output, flattened."""
    state = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
    frames = waveform - waveform.mean(1, keepdim=True)
    frames = frames / torch.maximum(frames.std(1, keepdim=True), torch.tensor(1e-10))
    x, layers = frames[:, None, :, None], {}
    for number in range(1, 7):
        x = F.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
        stride = (4, 1) if number == 1 else (1, 1)
        x = F.relu(F.conv2d(x, state[f"conv{number}.weight"], state[f"conv{number}.bias"], stride))
        mean, variance, scale, shift = (
            state[f"conv{number}_BN.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.max_pool2d(F.batch_norm(x, mean, variance, scale, shift, eps=0.001), (2, 1), (2, 1))
        layers[f"conv{number}"] = x.flatten(1)
    hidden = x.permute(0, 2, 1, 3).reshape(len(x), -1)
    return hidden @ state["classifier.weight"].T + state["classifier.bias"], layers
