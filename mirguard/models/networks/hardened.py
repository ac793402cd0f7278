"""Networks with what defences add to them, built from the `[network]` table of a model.toml.

Beside the settings of the architecture the table may hold

    outlier = true                                                  one class more, `outlier.WithOutlier`
    subnetwork = {layer = "block-3", shape = [64, 12, 8], ...}      `subnetwork.WithSubnetwork`
    projection = {components = 24, frames = 8, bands = 64}          `projection.Projected`

A projection comes before the network; outlier and subnetwork go around both, and not together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from mirguard.errors import UsageError
from mirguard.models.architectures import Architecture
from mirguard.models.networks import outlier, projection, subnetwork

ADDED = (outlier.LAYER, subnetwork.LAYER, projection.LAYER)


def build(architecture: Architecture, labels: int, settings: Mapping[str, Any]) -> nn.Module:
    """The network, untrained, that such a table describes, for that many labels; UsageError with one sentence for settings that
    there are not or that make no sense."""
    added = {key: settings[key] for key in ADDED if key in settings}
    own = {key: value for key, value in settings.items() if key not in ADDED}
    with_outlier = added.get(outlier.LAYER, False)
    if not isinstance(with_outlier, bool):
        raise UsageError("The network's outlier is true or false.")
    if with_outlier and subnetwork.LAYER in added:
        raise UsageError("A network has an outlier class or a subnetwork, not both.")
    network = architecture.build(labels + with_outlier, own)
    if projection.LAYER in added:
        network = projection.Projected.from_settings(network, added[projection.LAYER])
    if with_outlier:
        network = outlier.WithOutlier(network)
    if subnetwork.LAYER in added:
        network = subnetwork.WithSubnetwork.from_settings(network, added[subnetwork.LAYER])
    return network
