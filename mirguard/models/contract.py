"""The contract between a classifier and everything that attacks, inspects or shows it.

A model hears windows of `window` samples at `sample_rate` and gives logits over `labels`. Representation (the front end)
and decision (the network behind it) are separate, inner layers can be read by name, and a model may have no gradient.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from mirguard.errors import UsageError
from mirguard.models.decision import SINGLE_LABEL, TAGGING, probabilities

MOST_NAMED = 10  # labels in one sentence
Change = Callable[[torch.Tensor], torch.Tensor]  # what a layer gives -> what is passed on in its place
# What every model has beside its own layers: the samples it hears, what the network takes, what comes out.
WAVEFORM, REPRESENTATION, LOGITS = "waveform", "representation", "logits"


class Classifier:
    """Base of all models. Subclasses give `represent` and `decide`; `layers` are the names `features` knows, the last
    one being the last hidden layer (what most detectors read)."""

    name: str
    title: str = ""
    note: str = ""  # one sentence on what the model is and is not good for
    sample_rate: int
    window: int
    labels: tuple[str, ...]
    task: str = SINGLE_LABEL
    differentiable: bool = True
    layers: tuple[str, ...] = ()
    micro_batch: int = 8  # windows in one pass: small enough that a pass is a point of rest every ~0.2 s
    graph_windows: int = 64  # windows whose graphs may be held at once (memory) before a second pass is cheaper
    hash: str = ""  # of the weights and everything else that decides the output
    device: torch.device = torch.device("cpu")

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.name}: {self.task}, {len(self.labels)} labels, windows of {self.window} samples "
            f"at {self.sample_rate} Hz>"
        )

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        """`(batch, window)` waveform in ±1 -> what the network takes."""
        raise NotImplementedError

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        """Representation -> logits `(batch, K)`."""
        raise NotImplementedError

    def decide_with(self, representation: torch.Tensor, changes: Mapping[str, Change]) -> torch.Tensor:
        """`decide` with some layers changed on the way; UsageError where nothing inside of the model can be reached."""
        raise UsageError(f"{self.name} is a black box: nothing inside of it can be changed.")

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inner activations `(batch, d)` by layer name, and the logits of the same pass."""
        raise NotImplementedError

    def activations(
        self, waveform: torch.Tensor, layers: Sequence[str]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Inner activations in their own shape, `(batch, d)` or `(batch, channels, ...)`, and the logits of the same pass. Besides
        the model's `layers` there are WAVEFORM, REPRESENTATION `(batch, ...)` and LOGITS."""
        inner = [layer for layer in layers if layer not in (WAVEFORM, REPRESENTATION)]
        found, logits = self.features(waveform, inner)
        if WAVEFORM in layers:
            found[WAVEFORM] = waveform
        if REPRESENTATION in layers:
            found[REPRESENTATION] = self.represent(waveform)
        return found, logits

    def logits(self, waveform: torch.Tensor) -> torch.Tensor:
        """`(batch, window)` -> `(batch, K)`."""
        return self.decide(self.represent(waveform))

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        return probabilities(logits, self.task)

    def index(self, label: str) -> int:
        """The number of a label; UsageError names the ones there are."""
        if label in self.labels:
            return self.labels.index(label)
        close = [name for name in self.labels if label.lower() in name.lower()][:5]
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        elif len(self.labels) <= MOST_NAMED:
            hint = f"it knows {', '.join(self.labels)}."
        else:
            hint = f"it knows {', '.join(self.labels[:MOST_NAMED])}, … ({len(self.labels)} labels)."
        raise UsageError(f"{self.name} has no label {label!r}; {hint}")

    def check(self) -> Classifier:
        """Itself, if its declarations make sense; UsageError otherwise."""
        if self.task not in (SINGLE_LABEL, TAGGING):
            raise UsageError(f"{self.name}: task is {SINGLE_LABEL!r} or {TAGGING!r}, not {self.task!r}.")
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise UsageError(f"{self.name}: a classifier needs at least two labels, all different.")
        if self.window < 1 or not 1_000 <= self.sample_rate <= 192_000:
            raise UsageError(f"{self.name}: window and sample rate must be positive, in samples and Hz.")
        return self


class TorchClassifier(Classifier):
    """A classifier made of two torch modules: `front_end` (waveform -> representation) and `network` (-> logits).

    `taps` maps layer names to the names of submodules of `network` whose output is that layer; the last entry is the last
    hidden layer. `channel_axis` says where a layer's channels are, if not at 1. Parameters are frozen
    and the modules put into evaluation mode: nothing here ever trains.
    """

    def __init__(
        self,
        name: str,
        front_end: nn.Module,
        network: nn.Module,
        *,
        sample_rate: int,
        window: int,
        labels: Sequence[str],
        task: str = SINGLE_LABEL,
        taps: Mapping[str, str] | None = None,
        channel_axis: Mapping[str, int] | None = None,
        title: str = "",
        note: str = "",
        micro_batch: int = 8,
        graph_windows: int = 64,
    ) -> None:
        self.name, self.title, self.note = name, title or name, note
        self.sample_rate, self.window, self.labels, self.task = sample_rate, window, tuple(labels), task
        self.front_end = front_end.eval().requires_grad_(False)
        self.network = network.eval().requires_grad_(False)
        self._taps, self._channel_axis = dict(taps or {}), dict(channel_axis or {})
        self.layers = tuple(self._taps) or ("logits",)
        self.micro_batch, self.graph_windows = micro_batch, graph_windows
        self.device = next((p.device for p in network.parameters()), torch.device("cpu"))
        self.hash = self._hash()
        self.check()

    def represent(self, waveform: torch.Tensor) -> torch.Tensor:
        return self.front_end(waveform)

    def decide(self, representation: torch.Tensor) -> torch.Tensor:
        return self.network(representation)

    def decide_with(self, representation: torch.Tensor, changes: Mapping[str, Change]) -> torch.Tensor:
        """`decide` with what comes out of some layers, or submodules of `network` by their path, replaced by what the change of
        that name makes of it. A change may give more rows than it gets where all that follows takes rows one by one."""
        handles = []
        try:
            for place, change in changes.items():
                try:
                    module = self.network.get_submodule(self._taps.get(place, place))
                except AttributeError:
                    raise UsageError(f"{self.name} has no layer {place!r} that can be changed.") from None
                handles.append(module.register_forward_hook(lambda _m, _i, out, change=change: change(out)))
            return self.decide(representation)
        finally:
            for handle in handles:
                handle.remove()

    def features(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        found, logits = self._tapped(waveform, layers)
        return {layer: values.flatten(1) for layer, values in found.items()}, logits

    def activations(
        self, waveform: torch.Tensor, layers: Sequence[str]
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        found, logits = self._tapped(waveform, layers)
        axes = self._channel_axis
        return {layer: values.movedim(axes.get(layer, 1), 1) for layer, values in found.items()}, logits

    def _tapped(self, waveform: torch.Tensor, layers: Sequence[str]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        """Activations as the network makes them."""
        found: dict[str, torch.Tensor] = {}
        handles = []
        for layer in layers:
            if layer in (WAVEFORM, REPRESENTATION, LOGITS):
                continue
            if layer not in self._taps:
                raise UsageError(f"{self.name} has no layer {layer!r}; it has {', '.join(self.layers)}.")
            module = self.network.get_submodule(self._taps[layer])
            handles.append(module.register_forward_hook(lambda _m, _i, out, layer=layer: found.__setitem__(layer, out)))
        try:
            representation = self.represent(waveform)
            logits = self.decide(representation)
        finally:
            for handle in handles:
                handle.remove()
        always = {WAVEFORM: waveform, REPRESENTATION: representation, LOGITS: logits}
        return {layer: found[layer] if layer in found else always[layer] for layer in layers}, logits

    def _hash(self) -> str:
        about = f"{self.sample_rate} {self.window} {self.task} {self.labels} {self.front_end!r}"
        digest = hashlib.sha256(about.encode())
        for part in (self.front_end, self.network):
            for key, value in part.state_dict().items():
                digest.update(f"{key} {tuple(value.shape)} ".encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
