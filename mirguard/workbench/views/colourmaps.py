"""Colour tables: 256 colours for the 256 codes of a spectrogram, with the shown range of dB worked in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pyqtgraph as pg

from mirguard.analysis.spectrogram import STEP_DB, SpectrogramSettings, code_of


@lru_cache(maxsize=16)
def colours_of(name: str) -> np.ndarray:
    """The 256 colours of a colour map `(256, 3)` uint8, quiet to loud."""
    if name == "grey":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return pg.colormap.get(name).getLookupTable(nPts=256, alpha=False).astype(np.uint8)


def table(settings: SpectrogramSettings, gain_db: float = 0.0, grey: bool = False) -> np.ndarray:
    """The colour of every code `(256, 3)` uint8, for a picture shown `gain_db` louder than it is; in dim greys if `grey`."""
    low, high = code_of(settings.floor_db - gain_db), code_of(settings.ceiling_db - gain_db)
    share = np.clip((np.arange(256) - low) / (high - low), 0.0, 1.0)
    colours = colours_of(settings.colours)
    if grey:
        light = colours @ np.array([0.299, 0.587, 0.114]) * 0.55
        colours = np.repeat(np.rint(light).astype(np.uint8)[:, None], 3, axis=1)
    return np.ascontiguousarray(colours[np.rint(share * 255).astype(int)])


OVERLAY_DB = 40.0  # below the loudest cell, where an overlay has faded away
OVERLAY = (61, 245, 201)


def overlay_table(loudest: int, opacity: float) -> np.ndarray:
    """The colour of every code `(256, 4)` uint8 of a picture that is laid over a grey one: the closer to `loudest`, the more
    opaque."""
    share = np.clip(1.0 - (loudest - np.arange(256)) * STEP_DB / OVERLAY_DB, 0.0, 1.0)
    found = np.empty((256, 4), np.uint8)
    found[:, :3] = OVERLAY
    found[:, 3] = np.rint(255 * opacity * share)
    return found
