"""What the card of a hardened model says of its defence and its parent."""

from __future__ import annotations

from typing import Any

from mirguard.defences.defence import Defence
from mirguard.models.contract import Classifier


def about_defence(defence: Defence, parent: Classifier) -> dict[str, Any]:
    """The card's `defence`: by what it was hardened, against whom that helps, and out of which model."""
    return {
        "name": defence.name,
        "reference": defence.reference,
        "knowledge": defence.knowledge,
        "parent": parent.name,
        "parent_hash": parent.hash,
    }


def lineage_of(parent: Classifier) -> str:
    """The parent, as one line of a lineage."""
    return f"{parent.name} ({parent.hash[:12]})"
