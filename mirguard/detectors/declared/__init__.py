"""The detectors, declared: what each asks, after whom, and what can be set. Loads no torch."""
