"""Hearing the sounds: devices, sinks, and the player that switches between sources without a seam."""
