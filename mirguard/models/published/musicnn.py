"""musicnn, the music tagger of Pons & Serra ("musicnn: pre-trained convolutional neural networks for music audio
tagging", ISMIR late-breaking 2019; architecture: Pons et al., "End-to-end learning for music audio tagging at scale",
ISMIR 2018), with its published weights.

Log-mel windows of 187 frames × 96 bands. Front end: two timbral convolutions (7 frames × 38 or 67 bands) and three
temporal ones (128, 64, 32 frames × 1 band), each followed by the maximum over frequency; middle: three convolutions over
time, the last two residual; back end: maximum and mean over time, a dense layer, 50 tags. Batch normalisation follows
each rectifier.

How it is made fast on a CPU. Of 2.8 GFLOP a window all but 0.1 are in the five front convolutions, and only the
maximum of each over frequency is used. So (`PeakConvolutions`) a convolution runs window by window with channels last,
where it reaches what the processor can do; the maximum is taken before bias, rectifier and normalisation, which
are monotonic in it (falling where the scale is negative: there the kernel's sign is turned); and the gradient goes
only to the winners, as a weighted sum of rows of a table of shifted kernels, a sixtieth of a dense backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable

from mirguard.models.contract import TorchClassifier
from mirguard.models.decision import TAGGING
from mirguard.models.front_end import LogMel
from mirguard.models.published.musicnn_weights import BANDS, FRAMES, HOP, RATE, VARIANTS, WINDOW

EPSILON = 1e-3  # of all batch normalisations
TIMBRAL = (38, 67)  # bands: 0.4 and 0.7 of 96
TEMPORAL = (128, 64, 32)  # frames
TIMBRAL_FRAMES = 7
BEFORE = (TEMPORAL[0] - 1) // 2  # TensorFlow pads an even kernel k with (k - 1) // 2 frames before and the rest after


class PeakConvolutions(nn.Module):
    """The five front convolutions, each with its maximum over frequency: `(batch, frames, 96)` -> `(batch, frames, C)`.

    `kernels` are two `(7, bands, channels)` and three `(frames, 1, channels)`. No bias: add it to the maximum.
    """

    def __init__(self, kernels: list[torch.Tensor]) -> None:
        super().__init__()
        self.channels = sum(kernel.shape[2] for kernel in kernels)
        for number, kernel in enumerate(kernels):  # stored (channels, frames, bands)
            self.register_buffer(f"kernel{number}", kernel.permute(2, 0, 1).contiguous())
        self._tables: dict[tuple, torch.Tensor] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _Peaks.apply(x, self)

    def kernels(self) -> list[torch.Tensor]:
        return [self.get_buffer(f"kernel{number}") for number in range(len(TIMBRAL) + len(TEMPORAL))]

    def peaks(self, x: torch.Tensor, where: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The maxima `(batch, frames, C)` and, if `where`, the lowest band each was found at."""
        batch, frames, bands = x.shape
        padded = F.pad(x, (0, 0, BEFORE, TEMPORAL[0] - 1 - BEFORE))
        values = x.new_empty(batch, frames, self.channels)
        found = torch.empty(batch, frames, self.channels, dtype=torch.int32, device=x.device) if where else None
        for row in range(batch):  # one window at a time: its 9 MB of activations stay in memory already warm
            first = 0
            for kernel in self.kernels():
                length, width = kernel.shape[1:]
                start, positions = BEFORE - (length - 1) // 2, bands - width + 1
                image = padded[row, start : start + frames + length - 1]
                maps = F.conv2d(_channels_last(image[None]), _channels_last(kernel))
                part = slice(first, first + kernel.shape[0])
                if where:
                    best, index = F.max_pool2d(maps, (1, positions), return_indices=True)
                    found[row, :, part] = index[0, :, :, 0].T.remainder_(positions)
                else:
                    best = F.max_pool2d(maps, (1, positions))
                values[row, :, part] = best[0, :, :, 0].T
                first = part.stop
        return values, found

    def spread(self, gradient: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """The gradient with respect to the input, `(batch, frames, 96)`, from that with respect to the maxima."""
        timbral = sum(kernel.shape[0] for kernel in self.kernels()[: len(TIMBRAL)])
        return self._spread_timbral(gradient[..., :timbral], found[..., :timbral]) + self._spread_temporal(
            gradient[..., timbral:], found[..., timbral:]
        )

    def _spread_timbral(self, gradient: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """A bag per frame: each winning channel adds its kernel, shifted to the band it won at, to 7 × 96 cells."""
        batch, frames, channels = gradient.shape
        table, starts = self._timbral_table(gradient)
        alive = gradient.reshape(-1).nonzero()[:, 0]
        offsets = F.pad((gradient != 0).view(-1, channels).sum(1).cumsum(0), (1, 0))
        cells = _bags(table, (found + starts).view(-1)[alive], offsets, gradient.reshape(-1)[alive])
        cells = cells.view(batch, frames, TIMBRAL_FRAMES, -1)
        margin = TIMBRAL_FRAMES // 2
        result = gradient.new_zeros(batch, frames + 2 * margin, cells.shape[-1])
        for shift in range(TIMBRAL_FRAMES):
            result[:, shift : shift + frames] += cells[:, :, shift]
        return result[:, margin : margin + frames]

    def _spread_temporal(self, gradient: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
        """A bag per band: each channel that won there adds its kernel, shifted to the frame it won at."""
        batch, frames, channels = gradient.shape
        bands = BANDS * batch
        alive = gradient.reshape(-1).nonzero()[:, 0]
        row = torch.arange(batch, dtype=torch.int32, device=found.device).view(-1, 1, 1) * BANDS
        band, order = torch.sort((found + row).view(-1)[alive], stable=True)
        alive = alive[order]
        offsets = F.pad(torch.bincount(band, minlength=bands).cumsum(0), (1, 0))
        rows = alive.remainder(frames * channels)
        sums = _bags(self._temporal_table(gradient, frames), rows, offsets, gradient.reshape(-1)[alive])
        return sums.view(batch, BANDS, frames).transpose(1, 2)

    def _timbral_table(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (channel, band it starts at) of 7 × 96 cells, and each channel's first row."""
        key = ("timbral", like.dtype, like.device)
        if key not in self._tables:
            parts, starts, first = [], [], 0
            for kernel in self.kernels()[: len(TIMBRAL)]:
                channels, length, width = kernel.shape
                positions = BANDS - width + 1
                part = like.new_zeros(channels, positions, length, BANDS)
                for start in range(positions):
                    part[:, start, :, start : start + width] = kernel
                parts.append(part.view(channels * positions, -1))
                starts.append(first + positions * torch.arange(channels, dtype=torch.int32, device=like.device))
                first += channels * positions
            self._tables[key] = (torch.cat(parts), torch.cat(starts))
        return self._tables[key]

    def _temporal_table(self, like: torch.Tensor, frames: int) -> torch.Tensor:
        """Rows (frame, channel) of `frames` cells: the channel's kernel as it lies around that frame."""
        key = ("temporal", like.dtype, like.device, frames)
        if key not in self._tables:
            parts = []
            for kernel in self.kernels()[len(TIMBRAL) :]:
                channels, length, _ = kernel.shape
                before = (length - 1) // 2
                part = like.new_zeros(frames, channels, frames + length - 1)
                for frame in range(frames):
                    part[frame, :, frame : frame + length] = kernel[:, :, 0]
                parts.append(part[:, :, before : before + frames])
            self._tables[key] = torch.cat(parts, 1).view(-1, frames)
        return self._tables[key]


class _Peaks(torch.autograd.Function):
    """Piecewise linear, so that the winners' places are all that the backward pass needs."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, module: PeakConvolutions) -> torch.Tensor:
        values, found = module.peaks(x, where=ctx.needs_input_grad[0])
        ctx.module = module
        ctx.save_for_backward(found)
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.module.spread(gradient.contiguous(), ctx.saved_tensors[0]), None


def _channels_last(images: torch.Tensor) -> torch.Tensor:
    """`(n, height, width)` -> `(n, 1, height, width)` with the strides of the channels-last format."""
    return images.unsqueeze(-1).permute(0, 3, 1, 2)


def _bags(table: torch.Tensor, rows: torch.Tensor, offsets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Σ weight · table[row] over each bag."""
    return F.embedding_bag(
        rows.long(), table, offsets, mode="sum", per_sample_weights=weights, include_last_offset=True
    )


class TimeConvolution(nn.Module):
    """A convolution over 7 frames, rectifier, normalisation: `(batch, frames, C)` -> `(batch, frames, 64)`."""

    def __init__(self, kernel: torch.Tensor, bias: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer(
            "kernel", kernel.permute(2, 1, 0)[:, :, None].contiguous(memory_format=torch.channels_last)
        )
        self.register_buffer("bias", bias)
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        image = x.unsqueeze(1).permute(0, 3, 1, 2)  # frames as width, channels last
        y = F.conv2d(image, self.kernel, self.bias, padding=(0, self.kernel.shape[3] // 2))
        return torch.addcmul(self.shift, F.relu(y.permute(0, 2, 3, 1).squeeze(1)), self.scale)


class Musicnn(nn.Module):
    """Log-mel `(batch, frames, 96)` -> logits `(batch, 50)`, from the checkpoint's variables.

    Normalisations are folded into the dense layer that follows where no padding lies between. The modules in `taps` pass
    on what they are given: they mark the layers that detectors may read, under the names of the original.
    """

    LAYERS = ("timbral", "temporal", "cnn1", "cnn2", "cnn3", "max_pool", "mean_pool", "penultimate")

    def __init__(self, variables: Mapping[str, np.ndarray]) -> None:
        super().__init__()

        def variable(name: str) -> torch.Tensor:
            return torch.from_numpy(np.asarray(variables[name], np.float64))

        def numbered(name: str, number: int) -> str:
            return f"{name}_{number}" if number else name

        def normalisation(number: int) -> tuple[torch.Tensor, torch.Tensor]:
            """Scale and shift at inference."""
            name = numbered("batch_normalization", number)
            scale = variable(f"{name}/gamma") / (variable(f"{name}/moving_variance") + EPSILON).sqrt()
            return scale, variable(f"{name}/beta") - variable(f"{name}/moving_mean") * scale

        def keep(name: str, value: torch.Tensor) -> None:
            self.register_buffer(name, value.float())

        scale, shift = normalisation(0)
        keep("input_scale", scale)
        keep("input_shift", shift)

        kernels, biases, scales, shifts, signs = [], [], [], [], []
        for number in range(len(TIMBRAL) + len(TEMPORAL)):
            scale, shift = normalisation(number + 1)
            sign = torch.where(scale < 0, -1.0, 1.0).double()
            kernels.append((variable(f"{numbered('conv2d', number)}/kernel")[:, :, 0] * sign).float())
            biases.append(variable(f"{numbered('conv2d', number)}/bias"))
            scales.append(scale)
            shifts.append(shift)
            signs.append(sign)
        self.peaks = PeakConvolutions(kernels)
        self.timbral = sum(kernel.shape[2] for kernel in kernels[: len(TIMBRAL)])
        for name, parts in (
            ("peak_bias", biases),
            ("peak_sign", signs),
            ("peak_scale", scales),
            ("peak_shift", shifts),
        ):
            keep(name, torch.cat(parts))

        self.middle = nn.ModuleList()
        for number in range(5, 8):
            kernel = variable(f"conv2d_{number}/kernel").squeeze(2)
            parts = (kernel, variable(f"conv2d_{number}/bias"), *normalisation(number + 1))
            self.middle.append(TimeConvolution(*(part.float() for part in parts)))

        scale, shift = normalisation(9)
        kernel = variable("dense/kernel")
        keep("dense_kernel", scale[:, None] * kernel)
        keep("dense_bias", variable("dense/bias") + shift @ kernel)
        scale, shift = normalisation(10)
        keep("dense_scale", scale)
        keep("dense_shift", shift)
        keep("output_kernel", variable("dense_1/kernel"))
        keep("output_bias", variable("dense_1/bias"))
        self.taps = nn.ModuleDict({layer: nn.Identity() for layer in self.LAYERS})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.addcmul(self.input_shift, x, self.input_scale)
        peaks = F.relu(torch.addcmul(self.peak_bias, self.peaks(x), self.peak_sign))
        front = torch.addcmul(self.peak_shift, peaks, self.peak_scale)
        self.taps["timbral"](front[..., : self.timbral])
        self.taps["temporal"](front[..., self.timbral :])

        first, second, third = self.middle
        cnn1 = self.taps["cnn1"](first(front))
        cnn2 = self.taps["cnn2"](second(cnn1) + cnn1)
        cnn3 = self.taps["cnn3"](third(cnn2) + cnn2)

        dense_connection = torch.cat((front, cnn1, cnn2, cnn3), 2)
        max_pool = self.taps["max_pool"](dense_connection.amax(1))
        mean_pool = self.taps["mean_pool"](dense_connection.mean(1))
        pools = torch.stack((max_pool, mean_pool), 2).flatten(1)  # interleaved
        hidden = F.relu(torch.addmm(self.dense_bias, pools, self.dense_kernel))
        penultimate = self.taps["penultimate"](torch.addcmul(self.dense_shift, hidden, self.dense_scale))
        return torch.addmm(self.output_bias, penultimate, self.output_kernel)


def musicnn(name: str, variables: Mapping[str, np.ndarray]) -> TorchClassifier:
    """The classifier of that name ("musicnn-mtt", "musicnn-msd") with these variables of its checkpoint.

    A window is 187 hops, so that consecutive windows are the original's consecutive patches (each padded by reflection
    where the original sees the sound before). The original also rounds the mel spectrogram to float16, which has no
    gradient; that alone moves a window's probabilities on recorded music by less than 1e-4.
    """
    variant = VARIANTS[name]
    return TorchClassifier(
        name,
        LogMel(RATE, n_fft=512, hop=HOP, n_mels=BANDS, compression="musicnn", pad="reflect", frames=FRAMES),
        Musicnn(variables),
        sample_rate=RATE,
        window=WINDOW,
        labels=variant.labels,
        task=TAGGING,
        taps={layer: f"taps.{layer}" for layer in Musicnn.LAYERS},
        channel_axis=dict.fromkeys(("timbral", "temporal", "cnn1", "cnn2", "cnn3"), -1),  # frames come first
        title=variant.title,
        note=variant.note,
        micro_batch=2,  # 0.1 s forward and backward on one thread; more at a time is not faster
        graph_windows=320,  # 3 MiB each, since only the winners' places are kept
    )
