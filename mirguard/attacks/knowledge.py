"""What an attacker is taken to know: Papernot's and Carlini & Wagner's levels, in the words of window and terminal."""

from __future__ import annotations

NONE = "no knowledge"
ZERO = "zero knowledge"
LIMITED = "limited knowledge"
PERFECT = "perfect knowledge"

LEVELS = {
    NONE: "Knows nothing of any model: the baseline.",
    ZERO: "Knows nothing of the model that is attacked; the sound is made on another one, or universal, and carried over.",
    LIMITED: "May ask the model and sees its answers (scores or only the label), but neither weights nor gradients.",
    PERFECT: "Knows the model, its weights and its front end (white box).",
}
