"""Declarations of parameters: one declaration feeds sliders, command-line options, study files and reference page.

A declaration says what a value is (name, unit, range, scale, default, choices, one line of help); `resolve` turns what a
person gave into a complete, checked set of values or says in one sentence what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mirguard.errors import UsageError

# A default that depends on the other values: called with the values resolved so far (declaration order) and the context
# (facts about model and clip that the caller knows, such as "rms", the clip's level).
Derived = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Parameter:
    """One value a person may set.

    `kind` is float, int, bool or str. `scale` is how a slider travels: "linear" or "log". `default` is a value or a
    function of the values declared before it. `choices` closes a str; `optional` allows None.
    """

    name: str
    help: str
    kind: type = float
    default: Any | Derived = None
    minimum: float | None = None
    maximum: float | None = None
    scale: str = "linear"
    unit: str = ""
    choices: tuple[str, ...] = ()
    label: str = ""
    optional: bool = False
    advanced: bool = False

    @property
    def title(self) -> str:
        """The words beside the slider."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def option(self) -> str:
        """The command-line option."""
        return "--" + self.name.replace("_", "-")

    def default_for(self, values: Mapping[str, Any]) -> Any:
        return self.default(values) if callable(self.default) else self.default

    def check(self, value: Any) -> Any:
        """The value in its own type, or UsageError with one sentence."""
        if value is None:
            if self.optional:
                return None
            raise UsageError(f"{self.title} ({self.option}) needs a value.")
        value = self._convert(value)
        if self.choices and value not in self.choices:
            raise UsageError(f"{self.title} ({self.option}) is one of {', '.join(self.choices)}; got {value!r}.")
        if self.kind in (int, float):
            self._check_range(value)
        return value

    def _convert(self, value: Any) -> Any:
        if self.kind is bool:
            words = {
                "true": True,
                "yes": True,
                "on": True,
                "1": True,
                "false": False,
                "no": False,
                "off": False,
                "0": False,
            }
            if isinstance(value, bool):
                return value
            if str(value).lower() in words:
                return words[str(value).lower()]
        elif self.kind is str:
            return str(value)
        elif not isinstance(value, bool):
            try:
                number = float(value)
            except (TypeError, ValueError):
                number = math.nan
            if math.isfinite(number) and (self.kind is float or number == int(number)):
                return self.kind(number)
        noun = {bool: "yes or no", int: "a whole number", float: "a number"}[self.kind]
        raise UsageError(f"{self.title} ({self.option}) is {noun}; got {value!r}.")

    def _check_range(self, value: float) -> None:
        low, high = self.minimum, self.maximum
        if (low is None or value >= low) and (high is None or value <= high):
            return
        unit = f" {self.unit}" if self.unit else ""
        if low is not None and high is not None:
            wanted = f"from {low:g} to {high:g}{unit}"
        else:
            wanted = f"at least {low:g}{unit}" if low is not None else f"at most {high:g}{unit}"
        raise UsageError(f"{self.title} ({self.option}) is {wanted}; got {value:g}.")


def count(name: str, help: str, default: int | Derived, maximum: int, *, minimum: int = 1, **more: Any) -> Parameter:
    """A number of things or times, on a slider that travels by ratios."""
    return Parameter(name, help, int, default, minimum=minimum, maximum=maximum, scale="log", **more)


def positive(name: str, help: str, default: float | Derived, minimum: float, maximum: float, **more: Any) -> Parameter:
    """A number above 0, on a slider that travels by ratios."""
    return Parameter(name, help, float, default, minimum=minimum, maximum=maximum, scale="log", **more)


def resolve(declared: Sequence[Parameter], given: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    """Every declared value: what was given, checked, else the default. Raises UsageError for unknown names."""
    known = {parameter.name for parameter in declared}
    for name in given:
        if name not in known:
            raise UsageError(f"There is no parameter {name!r} here; it takes {', '.join(sorted(known)) or 'none'}.")
    values: dict[str, Any] = {}
    for parameter in declared:
        value = given.get(parameter.name)
        values[parameter.name] = parameter.check(parameter.default_for(context | values) if value is None else value)
    return values
