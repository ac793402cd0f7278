"""What there is to know of the bundled models without loading them (no torch needed)."""

from __future__ import annotations

NAME = "toy-instruments"
TITLE = "Toy instruments"
NOTE = (
    "Tells ten synthetic instruments apart, having been trained on nothing but synthetic sounds: "
    "what it says of recorded music means little."
)
WEIGHTS = ("models", "toy-instruments.safetensors")
