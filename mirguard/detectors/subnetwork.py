"""A small network that has learned what attacks do to one layer of the model.

Metzen, Genewein, Fischer and Bischoff 2017 (ICLR, arXiv:1702.04267): the classifier stays as it is; a network with
few convolutions reads one of its layers and learns, by Adam, from as many adversarial inputs as normal ones (§3.1).
Its log-odds are the score.

- Normal are clean windows and noisy ones, together as heavy as the adversarial.
- The network is that of the defence of this name (`models.networks.subnetwork.Detector`): three convolutions with two
  poolings between them, then the mean and the maximum over all places, or three small layers where the layer has no
  places. The paper's are four to eight times as wide and learn from 45,000 pictures; some hundred clips bear no more
  than this.
- It reads the representation, if that is a picture of frames and bands, else the first layer of convolutions, else
  the first layer: the paper's AD(0) to AD(4), of which AD(2) was the best there. Here attacks show best in the grain
  of the spectrogram.
- `dynamic` goes on against an adversary who knows the detector (§3.3.2): x ← P(x + α[(1 − σ) d∇J_cls + σ d∇J_det]), σ
  drawn from [0, 1] for each batch. There d is the sign; here, where budgets are SNRs, d scales the gradient to length
  1, and P keeps δ within a budget in L2, drawn for each window from SNRS.
- A model that was made with a subnetwork (layer "subnetwork") has its own: that is read, and only the threshold is
  fitted.
- Tags: classes play no part in the score; what the dynamic adversary sets out to change is the top tag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from mirguard.detectors.fitted import About, Fitted
from mirguard.detectors.learning import adversarial_or_not, balance, require_attacked
from mirguard.detectors.maps import maps_among, shapes, with_channels
from mirguard.detectors.sample import Sample, no_pause
from mirguard.errors import UsageError
from mirguard.models.contract import REPRESENTATION, Classifier
from mirguard.models.networks.subnetwork import CHANNELS, LAYER, Detector

BATCH = 32  # windows
SEED = 0
MOST_NUMBERS = 60_000_000  # activations that are kept at once
WIDEST = 16_384  # units of a layer without places
SNRS = (20.0, 35.0)  # dB, between which the dynamic adversary's budgets are drawn
STEPS, STRIDE = 5, 2.5  # the dynamic adversary's, and how long they are together in ε
ROUND = 32  # windows that the dynamic adversary attacks in an epoch
MEMORY = 160  # of its windows that are learned from: the latest


class Subnetwork(Fitted):
    """`network` reads `layer`; where the model has a subnetwork of its own, that is the layer, and there is no other network."""

    name = "subnetwork"

    def __init__(self, layer: str, network: Detector | None = None) -> None:
        self.layers = (layer,)
        self.network = None if network is None else network.cpu().eval().requires_grad_(False)

    @classmethod
    def fit(cls, clean: Sample, noisy: Sample | None, adversarial: Sample | None, values: Mapping[str, Any]) -> Self:
        if LAYER in clean.model.layers:
            return cls(LAYER)
        require_attacked(cls.name, adversarial)
        if values["dynamic"] and not clean.model.differentiable:
            raise UsageError(f"{clean.model.name} gives no gradient, so there is no dynamic adversary to learn from.")
        layer, shape = choose_layer(clean, values["layer"])
        x, y, _logits = examples(layer, shape, clean, noisy, adversarial)
        training = Training(tuple(x.shape[1:]), values["learning_rate"])
        for _epoch in range(values["epochs"]):
            training.epoch(x, y, clean)
        if values["dynamic"]:
            found = x[:0]
            for _epoch in range(values["epochs"]):
                found = torch.cat([training.adversaries(layer, clean), found])[:MEMORY]
                training.epoch(torch.cat([x, found]), torch.cat([y, torch.ones(len(found), dtype=y.dtype)]), clean)
        return cls(layer, training.network)

    def digest(self, heard: Mapping[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        x = read(self.layers[0], heard)
        return x.flatten(1) if self.network is None else self.network(x.cpu()).to(logits.device)

    def window_scores(self, digests: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return digests[..., 0]

    def arrays(self) -> dict[str, np.ndarray]:
        return {} if self.network is None else kept_arrays(self.layers[0], self.network)

    @classmethod
    def restore(cls, arrays: Mapping[str, np.ndarray], about: About, model: Classifier) -> Self:
        return cls(LAYER) if LAYER in model.layers else cls(*network_of(arrays))


def kept_arrays(layer: str, network: Detector) -> dict[str, np.ndarray]:
    """The arrays of a network and which layer it reads."""
    kept = {key: value.contiguous().numpy() for key, value in network.state_dict().items() if value.is_floating_point()}
    return kept | {
        "layer": np.frombuffer(layer.encode(), np.uint8),
        "shape": np.array(network.shape, np.int64),
    }


def network_of(arrays: Mapping[str, np.ndarray], outputs: int = 1) -> tuple[str, Detector]:
    """The layer and the network again; ValueError for arrays that belong to another one."""
    network = make_network(tuple(arrays["shape"].tolist()), outputs)
    weights = {key: torch.from_numpy(value) for key, value in arrays.items() if key not in ("layer", "shape")}
    counters = {key for key, value in network.state_dict().items() if not value.is_floating_point()}
    try:
        missing, strange = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise ValueError("weights of another shape") from error
    if strange or set(missing) - counters:
        raise ValueError("weights of another network")
    return arrays["layer"].tobytes().decode(), network


class Training:
    """A subnetwork for a layer of this `shape` (without the batch), while it learns."""

    def __init__(self, shape: Sequence[int], learning_rate: float) -> None:
        self.network = make_network(tuple(shape))
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=learning_rate)
        self._draw = torch.Generator().manual_seed(SEED)

    def epoch(self, x: torch.Tensor, y: torch.Tensor, clean: Sample) -> None:
        """Once through `x (n, ...)` in an order drawn by chance, towards `y (n,)`, 1 for adversarial; both kinds weigh the same."""
        self.network.train()
        weight = torch.from_numpy(balance(y.numpy())).float()
        for some in torch.randperm(len(x), generator=self._draw).split(BATCH):
            clean.pause()
            if len(some) < 2:  # has no variance to normalise by
                continue
            log_odds = self.network(channels_last(x[some]))[:, 0]
            loss = F.binary_cross_entropy_with_logits(log_odds, y[some].float(), weight=weight[some])
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()

    def adversaries(self, layer: str, clean: Sample) -> torch.Tensor:
        """What the layer hears of ROUND clean windows, drawn by chance, after the dynamic adversary's steps."""
        self.network.eval()
        chosen = torch.randperm(len(clean.windows), generator=self._draw)[:ROUND].numpy()
        found = []
        for some in np.array_split(chosen, -(-len(chosen) // clean.model.micro_batch)):
            clean.pause()
            sigma = float(torch.rand((), generator=self._draw))
            snr = SNRS[0] + (SNRS[1] - SNRS[0]) * torch.rand(len(some), 1, generator=self._draw)
            x = dynamic_adversary(clean.model, self.network, layer, clean.waveforms(some), snr, sigma, clean.pause)
            with torch.no_grad():
                heard, _logits = clean.model.activations(x.to(clean.model.device), (layer,))
                found.append(read(layer, heard).cpu())
        return torch.cat(found)


def dynamic_adversary(
    model: Classifier,
    network: torch.nn.Module,
    layer: str,
    x: torch.Tensor,
    snr: torch.Tensor,
    sigma: float,
    pause: Callable[[], None] = no_pause,
) -> torch.Tensor:
    """Windows `x (m, window)` that are to change the decision and look normal to the subnetwork, at SNRs of `snr (m, 1)` or more.

    Each of STEPS steps goes α in the direction (1 − σ) ∇J_cls/‖∇J_cls‖ + σ ∇J_det/‖∇J_det‖: J_cls is the cross-entropy of what
    the model hears in the clean window, J_det that of being told adversarial."""
    epsilon = x.norm(dim=1, keepdim=True) * 10 ** (-snr / 20)
    delta, own = torch.zeros_like(x), None
    for _ in range(STEPS):
        pause()
        there = (x + delta).requires_grad_()
        heard, z = model.activations(there.to(model.device), (layer,))
        own = z.argmax(1) if own is None else own
        told = network(read(layer, heard).cpu())[:, 0]
        j_cls, j_det = F.cross_entropy(z, own, reduction="sum"), F.softplus(-told).sum()
        (g_cls,) = torch.autograd.grad(j_cls, there, retain_graph=True)
        (g_det,) = torch.autograd.grad(j_det, there)
        delta = delta + STRIDE / STEPS * epsilon * ((1 - sigma) * _unit(g_cls) + sigma * _unit(g_det))
        delta = delta * (epsilon / delta.norm(dim=1, keepdim=True).clamp_min(1e-12)).clamp(max=1.0)
        delta = (x + delta).clamp(-1.0, 1.0) - x
    return x + delta


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def _unit(g: torch.Tensor) -> torch.Tensor:
    return g / g.norm(dim=1, keepdim=True).clamp_min(1e-30)


def choose_layer(clean: Sample, wanted: str | None) -> tuple[str, tuple[int, ...]]:
    """The layer to read, and its shape without the batch; UsageError where that cannot be read."""
    found = shapes(clean)
    if wanted is not None and wanted not in found:
        raise UsageError(f"{clean.model.name} has no layer {wanted!r}; it has {', '.join(found)}.")
    inner = [layer for layer in found if layer != REPRESENTATION]
    layer = wanted or (*maps_among(found), *inner)[0]
    shape = found[layer]
    if len(shape) == 1 and shape[0] > WIDEST:
        raise UsageError(
            f"Layer {layer} of {clean.model.name} has {shape[0]:,} units, too many for a subnetwork; choose another."
        )
    if len(shape) > 3:
        raise UsageError(f"Layer {layer} of {clean.model.name} has {len(shape)} dimensions, too many for a subnetwork.")
    return layer, shape


def examples(
    layer: str, shape: tuple[int, ...], clean: Sample, noisy: Sample, adversarial: Sample
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the layer gives for all windows `(n, ...)`, 1 where they are adversarial `(n,)`, and the model's logits `(n, K)`; some
    of them, drawn by chance, where all would not fit into memory."""
    samples = (clean, noisy, adversarial)
    share = MOST_NUMBERS / (sum(len(one.windows) for one in samples) * int(np.prod(shape)))
    if share < 1.0:
        samples = tuple(_part(one, share) for one in samples)
    x = [torch.from_numpy(one.heard((layer,), lambda heard, _z: read(layer, heard))) for one in samples]
    logits = torch.from_numpy(np.concatenate([one.logits for one in samples]))
    return torch.cat(x), torch.from_numpy(adversarial_or_not(*samples)), logits


def read(layer: str, heard: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """What the subnetwork takes of the layer `(m, ...)`."""
    return with_channels(layer, heard[layer]).float()


def make_network(shape: tuple[int, ...], outputs: int = 1) -> Detector:
    """A network that reads a layer of this shape (without the batch), as yet untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = Detector(shape, CHANNELS, outputs)
    if len(shape) == 3:
        network = network.to(memory_format=torch.channels_last)  # few channels learn twice as fast so
    network.shape = shape
    return network


def _part(sample: Sample, share: float) -> Sample:
    """That share of the windows, drawn by chance."""
    count = max(2, int(share * len(sample.windows)))
    chosen = np.sort(np.random.default_rng(SEED).permutation(len(sample.windows))[:count])
    return sample.changed(sample.waveforms(chosen), chosen)
