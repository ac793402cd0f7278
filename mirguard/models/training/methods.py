"""The ways a classifier can be made of labelled sounds, and what each may be told. Needs no torch and no scikit-learn.

Three kinds: a *backbone* (a model of the catalogue whose inner layers are kept as they are, with a new last layer), a *network*
trained from nothing, and a *learner* without gradients (Papernot et al., "Transferability in machine learning: from phenomena to
black-box attacks using adversarial samples", 2016, compare attacks across such learners).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mirguard.errors import UsageError
from mirguard.models.architectures import list_architectures
from mirguard.parameters import Parameter

BACKBONE, NETWORK, LEARNER = "backbone", "network", "learner"
DEFAULT = "musicnn-msd"
STATISTICS = "log-mel-statistics"
LOGISTIC, SVM, TREE, NEAREST = "logistic-regression", "svm", "decision-tree", "nearest-neighbours"

# What musicnn's layers are called together.
MUSICNN_LAYERS = {
    "pools": ("max_pool", "mean_pool"),
    "penultimate": ("penultimate",),
    "both": ("max_pool", "mean_pool", "penultimate"),
}
BACKBONES = ("musicnn-msd", "musicnn-mtt", "toy-instruments")


@dataclass(frozen=True)
class Method:
    """One way to make a classifier. `gradients` says whether attacks that need gradients can be used on the result."""

    name: str
    title: str
    help: str
    kind: str
    gradients: bool
    parameters: tuple[Parameter, ...]


_WINDOWS = Parameter(
    "windows",
    "How many windows of one clip are heard at most; of longer clips so many are spread over the length.",
    int,
    20,
    1,
    1000,
    "log",
    label="Windows of a clip",
    advanced=True,
)
_STRENGTH = Parameter(
    "strength",
    "How closely the training sounds are followed (C, the inverse of the penalty on weights); chosen by cross-validation "
    "over groups of the training sounds if left out.",
    float,
    None,
    1e-6,
    1e4,
    "log",
    label="Fit strength",
    optional=True,
    advanced=True,
)
_FINE_TUNE = (
    Parameter("fine_tune", "Train the backbone's last layers as well; takes minutes.", bool, False, label="Fine-tune"),
    Parameter("epochs", "Passes over the training sounds while fine-tuning.", int, 10, 1, 1000, "log"),
    Parameter(
        "learning_rate",
        "The largest step while fine-tuning.",
        float,
        3e-4,
        1e-6,
        0.1,
        "log",
        label="Learning rate",
        advanced=True,
    ),
)
_EXAMPLES = Parameter(
    "examples",
    "How many training windows are learned from at most; they are drawn evenly from the clips.",
    int,
    5000,
    10,
    100_000,
    "log",
    label="Windows kept",
    advanced=True,
)


def _backbone(name: str, title: str, help: str, layers: tuple[str, ...]) -> Method:
    chosen = Parameter(
        "layers",
        "Which of its inner layers the new last layer reads."
        if layers
        else "Which of its inner layers the new last layer reads, by name, with commas between; the last hidden one if left out.",
        str,
        layers[0] if layers else None,
        choices=layers,
        optional=not layers,
        advanced=True,
    )
    return Method(name, title, help, BACKBONE, True, (*_FINE_TUNE, chosen, _STRENGTH, _WINDOWS))


def _network(architecture: Any) -> Method:
    recipe = architecture.recipe
    parameters = (
        Parameter("epochs", "Passes over the training sounds.", int, max(40, recipe.get("epochs", 40)), 1, 1000, "log"),
        Parameter(
            "learning_rate",
            "The largest step.",
            float,
            recipe.get("learning_rate", 4e-3),
            1e-6,
            0.1,
            "log",
            label="Learning rate",
            advanced=True,
        ),
        Parameter("batch", "Sounds in one step.", int, recipe.get("batch", 32), 2, 1024, "log", advanced=True),
        _WINDOWS,
    )
    return Method(architecture.name, architecture.title, architecture.note, NETWORK, True, parameters)


def _learner(name: str, title: str, help: str, *parameters: Parameter) -> Method:
    features = Parameter(
        "features",
        "What it learns from: statistics of log-mel bands, or the last hidden layers of a model.",
        str,
        STATISTICS,
        choices=(STATISTICS, *BACKBONES),
    )
    return Method(name, title, f"{help} No gradients.", LEARNER, False, (features, *parameters, _EXAMPLES, _WINDOWS))


_MUSICNN = tuple(MUSICNN_LAYERS)
_BEFORE = (
    _backbone(
        "musicnn-msd",
        "On musicnn (Million Song Dataset)",
        "A new last layer on what a real music tagger hears: the best start for genres, moods and styles; takes seconds.",
        _MUSICNN,
    ),
    _backbone(
        "musicnn-mtt",
        "On musicnn (MagnaTagATune)",
        "A new last layer on what a real music tagger hears: the best start for instruments and voices; takes seconds.",
        _MUSICNN,
    ),
    _backbone(
        "toy-instruments",
        "On the toy instruments' model",
        "A new last layer on a small model that knows synthetic sounds alone; needs no download.",
        (),
    ),
)
_AFTER = (
    _learner(LOGISTIC, "Logistic regression", "A linear boundary between every two classes.", _STRENGTH),
    _learner(
        SVM,
        "Support vector machine",
        "Boundaries drawn by the hardest training windows.",
        Parameter("kernel", "Curved or straight boundaries.", str, "rbf", choices=("rbf", "linear")),
        Parameter(
            "strength", "How much a wrong training window costs (C).", float, 4.0, 1e-4, 1e4, "log", advanced=True
        ),
    ),
    _learner(
        TREE,
        "Decision tree",
        "A cascade of yes-or-no questions on single features.",
        Parameter("depth", "Questions one after the other, at most.", int, 12, 1, 64),
        Parameter("leaf", "Training windows in every leaf, at least.", int, 5, 1, 1000, "log", advanced=True),
    ),
    _learner(
        NEAREST,
        "k nearest neighbours",
        "The labels of the most similar training windows decide.",
        Parameter("neighbours", "How many windows decide (k).", int, 5, 1, 200, "log"),
        Parameter(
            "weights",
            "Whether nearer windows count for more.",
            str,
            "distance",
            choices=("distance", "uniform"),
            advanced=True,
        ),
    ),
)


def list_methods() -> tuple[Method, ...]:
    """All of them, the one to try first being the first."""
    return (*_BEFORE, *(_network(architecture) for architecture in list_architectures()), *_AFTER)


def find_method(name: str) -> Method:
    """The method of that name; any other model of the catalogue can serve as a backbone. UsageError names what there is."""
    known = {method.name: method for method in list_methods()}
    if name in known:
        return known[name]
    from mirguard.models.catalogue import list_models

    others = {info.name: info for info in list_models()}
    if name in others:
        title = others[name].title or name
        return _backbone(name, f"On {title}", f"A new last layer on what {title} hears; takes seconds.", ())
    close = get_close_matches(str(name), [*known, *others], 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}."
    raise UsageError(f"There is no way to train called {name!r}; {hint}")


def layers_of(backbone: str, chosen: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The layers that a value of `layers` stands for, of a backbone that has those `known`; UsageError for another."""
    if backbone.startswith("musicnn-") and (chosen or _MUSICNN[0]) in MUSICNN_LAYERS:
        return MUSICNN_LAYERS[chosen or _MUSICNN[0]]
    if not chosen:
        return known[-1:]
    layers = tuple(dict.fromkeys(part.strip() for part in chosen.split(",") if part.strip()))
    unknown = [layer for layer in layers if layer not in known]
    if unknown or not layers:
        raise UsageError(f"{backbone} has no layer {', '.join(unknown) or chosen!r}; it has {', '.join(known)}.")
    return layers


def plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of parameters: TOML has no None."""
    return {name: value for name, value in parameters.items() if value is not None}
