"""MIRGuard: how fragile is a music classifier? Attacks one can hear, detectors one can watch.

    import mirguard as mg
    clip = mg.load_clip("song.flac")
    model = mg.load_model("musicnn-mtt")
    outcome = mg.attack(model, clip, "pgd", snr=40, steps=10)
    mg.fit_detectors(model, "clean music")
    readings = mg.detect(model, outcome.clip, detectors=("kde",))

Names load on first use (PEP 562), so that `import mirguard` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "Clip": "mirguard.clip",
    "load_clip": "mirguard.clip",
    "save_clip": "mirguard.clip",
    "compare": "mirguard.analysis.measures",
    "load_model": "mirguard.models.catalogue",
    "list_models": "mirguard.models.catalogue",
    "wrap_model": "mirguard.models.imports.wrap",
    "add_model": "mirguard.models.add",
    "remove_model": "mirguard.models.add",
    "train_classifier": "mirguard.models.training.make",
    "defend": "mirguard.defences.defend",
    "labelled_folder": "mirguard.datasets.folder",
    "known_set": "mirguard.datasets.mirdata_sets",
    "split": "mirguard.datasets.splits",
    "check_leakage": "mirguard.datasets.leakage",
    "classify": "mirguard.models.tracks",
    "attack": "mirguard.experiment",
    "Experiment": "mirguard.experiment",
    "Outcome": "mirguard.experiment",
    "detect": "mirguard.experiment.detecting",
    "fit_detectors": "mirguard.experiment.detecting",
    "check": "mirguard.checks.check",
    "MirguardError": "mirguard.errors",
    "FileError": "mirguard.errors",
    "UsageError": "mirguard.errors",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'mirguard' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
