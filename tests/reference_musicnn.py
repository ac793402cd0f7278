"""musicnn written down plainly, layer by layer as the paper has it, to compare the tuned network with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

SHAPES = {
    "conv2d": (7, 38, 1, 204),
    "conv2d_1": (7, 67, 1, 204),
    "conv2d_2": (128, 1, 1, 51),
    "conv2d_3": (64, 1, 1, 51),
    "conv2d_4": (32, 1, 1, 51),
    "conv2d_5": (7, 561, 1, 64),
    "conv2d_6": (7, 64, 1, 64),
    "conv2d_7": (7, 64, 1, 64),
    "dense": (1506, 200),
    "dense_1": (200, 50),
}
NORMALISED = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)


def random_variables(seed: int = 0) -> dict[str, np.ndarray]:
    """Variables of the checkpoint's names and shapes; some of the scales are negative, as in the trained network."""
    random = np.random.default_rng(seed)
    found = {}
    for name, shape in SHAPES.items():
        found[f"{name}/kernel"] = random.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
        found[f"{name}/bias"] = 0.1 * random.standard_normal(shape[-1])
    for number, size in enumerate(NORMALISED):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        found[f"{name}/gamma"] = 0.3 + random.standard_normal(size)
        found[f"{name}/beta"] = 0.1 * random.standard_normal(size)
        found[f"{name}/moving_mean"] = 0.1 * random.standard_normal(size)
        found[f"{name}/moving_variance"] = random.uniform(0.2, 1.0, size)
    return {name: value.astype(np.float32) for name, value in found.items()}


class ReferenceMusicnn(torch.nn.Module):
    """Log-mel `(batch, frames, 96)` -> logits `(batch, 50)`; `layers` holds the inner outputs of the last pass."""

    def __init__(self, variables: dict[str, np.ndarray]) -> None:
        super().__init__()
        for name, value in variables.items():
            self.register_buffer(name.replace("/", "_"), torch.from_numpy(value.copy()))
        self.layers: dict[str, torch.Tensor] = {}

    def _normalise(self, x: torch.Tensor, number: int) -> torch.Tensor:
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        mean, variance, gamma, beta = (
            self.get_buffer(f"{name}_{part}") for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(x, mean, variance, gamma, beta, training=False, eps=1e-3)

    def _convolve(self, x: torch.Tensor, number: int) -> torch.Tensor:
        """Convolution, rectifier, normalisation; `(batch, 1, frames, bands)` -> `(batch, channels, frames', bands')`."""
        name = f"conv2d_{number}" if number else "conv2d"
        kernel, bias = self.get_buffer(f"{name}_kernel"), self.get_buffer(f"{name}_bias")
        return self._normalise(F.relu(F.conv2d(x, kernel.permute(3, 2, 0, 1), bias)), number + 1)

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        x = self._normalise(mel[:, None], 0)
        front = []
        for number in range(2):
            front.append(self._convolve(F.pad(x, (0, 0, 3, 3)), number).amax(3))
        for number, length in ((2, 128), (3, 64), (4, 32)):
            before = (length - 1) // 2
            front.append(self._convolve(F.pad(x, (0, 0, before, length - 1 - before)), number).amax(3))
        features = [torch.cat(front, 1)]  # (batch, channels, frames)
        for number in range(5, 8):
            y = self._convolve(F.pad(features[-1].transpose(1, 2)[:, None], (0, 0, 3, 3)), number)[..., 0]
            features.append(y if number == 5 else y + features[-1])
        joined = torch.cat(features, 1)
        largest, mean = joined.amax(2), joined.mean(2)
        pools = self._normalise(torch.stack((largest, mean), 2).flatten(1), 9)
        hidden = self._normalise(F.relu(pools @ self.dense_kernel + self.dense_bias), 10)
        inner = {"timbral": torch.cat(front[:2], 1), "temporal": torch.cat(front[2:], 1)}
        inner |= dict(zip(("cnn1", "cnn2", "cnn3"), features[1:], strict=True))
        self.layers = {name: value.transpose(1, 2).flatten(1) for name, value in inner.items()}
        self.layers |= {"max_pool": largest, "mean_pool": mean, "penultimate": hidden}
        return hidden @ self.dense_1_kernel + self.dense_1_bias
