"""Declared values: what is taken, what is refused and how, and what is filled in."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirguard.attacks.catalogue import list_attacks
from mirguard.detectors.catalogue import list_detectors
from mirguard.errors import UsageError
from mirguard.parameters import Parameter, resolve

SIZE = Parameter("step_size", "Length of a step.", minimum=0.5, maximum=2.0, unit="m")
COUNT = Parameter("steps", "How many.", int, 10, minimum=1, maximum=10_000, label="Iterations")
SWITCH = Parameter("random_start", "Whether.", bool, False)
NORM = Parameter("norm", "Which.", str, "l2", choices=("l2", "linf"))


def refusal(parameter: Parameter, value: object) -> str:
    with pytest.raises(UsageError) as caught:
        parameter.check(value)
    sentence = str(caught.value)
    assert sentence.startswith(f"{parameter.title} ({parameter.option}) ")
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_what_a_person_sees():
    assert (SIZE.title, SIZE.option) == ("Step size", "--step-size")
    assert COUNT.title == "Iterations"


# -- One value ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, 1.0, "1", " 1.0 ", "1e0", np.float32(1), np.int64(1)])
def test_numbers_in_any_dress(value):
    for parameter in (SIZE, COUNT):
        found = parameter.check(value)
        assert found == 1
        assert type(found) is parameter.kind


@pytest.mark.parametrize(
    "value", ["", "one", "1,5", "nan", math.nan, "inf", math.inf, -math.inf, "1e999", True, [], "0x10"]
)
def test_what_is_no_number(value):
    assert "is a number; got " in refusal(SIZE, value)
    assert "is a whole number; got " in refusal(COUNT, value)


def test_whole_numbers_are_whole():
    assert refusal(COUNT, "2.5") == "Iterations (--steps) is a whole number; got '2.5'."
    assert refusal(COUNT, 2.5) == "Iterations (--steps) is a whole number; got 2.5."


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_number_is_in_range_or_refused(value):
    if 0.5 <= value <= 2.0:
        assert SIZE.check(value) == value
    else:
        refusal(SIZE, value)


def test_the_ends_of_a_range_belong_to_it():
    assert SIZE.check(0.5) == 0.5
    assert SIZE.check(2.0) == 2.0
    assert refusal(SIZE, 0.49) == "Step size (--step-size) is from 0.5 to 2 m; got 0.49."
    assert refusal(COUNT, 0) == "Iterations (--steps) is from 1 to 10000; got 0."
    assert refusal(Parameter("a", "", minimum=1.0), 0) == "A (--a) is at least 1; got 0."
    assert refusal(Parameter("a", "", maximum=1.0, unit="dB"), 2) == "A (--a) is at most 1 dB; got 2."
    assert Parameter("a", "").check(-1e300) == -1e300


@pytest.mark.parametrize(
    ("value", "means"),
    [(True, True), ("yes", True), ("ON", True), ("1", True), (1, True), ("True", True), (np.bool_(True), True)]
    + [(False, False), ("no", False), ("Off", False), ("0", False), (0, False), ("false", False)],
)
def test_the_words_for_yes_and_no(value, means):
    assert SWITCH.check(value) is means


@pytest.mark.parametrize("value", ["maybe", "", 2, 1.5, "ja"])
def test_other_words_are_neither(value):
    assert "is yes or no; got " in refusal(SWITCH, value)


def test_a_choice_is_one_of_those_there_are():
    assert NORM.check("linf") == "linf"
    assert refusal(NORM, "L2") == "Norm (--norm) is one of l2, linf; got 'L2'."


def test_only_the_optional_may_be_nothing():
    assert refusal(SIZE, None) == "Step size (--step-size) needs a value."
    assert Parameter("a", "", optional=True).check(None) is None


# -- A set of values ---------------------------------------------------------------------------------------------------


def test_what_is_given_is_checked_and_the_rest_filled_in():
    found = resolve((SIZE, COUNT, SWITCH, NORM), {"step_size": "0.75", "random_start": "on"})
    assert found == {"step_size": 0.75, "steps": 10, "random_start": True, "norm": "l2"}
    assert list(found) == ["step_size", "steps", "random_start", "norm"]
    with pytest.raises(UsageError, match="whole number"):
        resolve((COUNT,), {"steps": "many"})


def test_a_default_may_follow_from_context_and_from_the_values_before():
    level = Parameter("level", "", default=lambda values: values["rms"] / 10)
    half = Parameter("half", "", default=lambda values: values["level"] / 2)
    assert resolve((level, half), {}, rms=4.0) == {"level": 0.4, "half": 0.2}
    assert resolve((level, half), {"level": 3}, rms=4.0) == {"level": 3.0, "half": 1.5}
    assert resolve((level, half), {"level": None, "half": 7}, rms=4.0) == {"level": 0.4, "half": 7.0}


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(UsageError, match=r"no parameter 'stepz' here; it takes norm, steps\.$"):
        resolve((COUNT, NORM), {"stepz": 3})
    with pytest.raises(UsageError, match=r"it takes none\.$"):
        resolve((), {"steps": 3})


def test_a_value_must_be_had_from_somewhere():
    with pytest.raises(UsageError, match="needs a value"):
        resolve((SIZE,), {})
    assert resolve((Parameter("a", "", optional=True),), {}) == {"a": None}


# -- What the program declares -----------------------------------------------------------------------------------------

DECLARED = [(found.name, parameter) for found in (*list_attacks(), *list_detectors()) for parameter in found.parameters]


@pytest.mark.parametrize(("owner", "parameter"), DECLARED, ids=[f"{owner}-{p.name}" for owner, p in DECLARED])
def test_every_declaration_is_complete(owner, parameter):
    """A sentence of help, a range for whatever a slider shows, a scale that the range allows, a title to show."""
    assert parameter.help.endswith(".")
    assert parameter.title
    assert parameter.kind in (float, int, bool, str)
    names_something = parameter.name in ("perturbation", "seeds", "start", "layer")  # a file, or a layer of any model
    assert (parameter.kind is str) == (bool(parameter.choices) or names_something)
    if parameter.kind in (float, int):
        assert parameter.minimum < parameter.maximum
        assert parameter.scale in ("linear", "log")
        assert parameter.scale == "linear" or parameter.minimum > 0
    if not callable(parameter.default) and parameter.default is not None:
        assert parameter.check(parameter.default) == parameter.default


@pytest.mark.parametrize("attack", list_attacks(), ids=lambda attack: attack.name)
@given(data=st.data())
def test_whatever_is_given_in_range_the_defaults_are_in_range_too(attack, data):
    """No combination of level, ε and steps leads to a refusal of a value that nobody has given."""
    given_values = {}
    for parameter in attack.parameters:
        if parameter.kind in (float, int) and data.draw(st.booleans()):
            numbers = st.integers if parameter.kind is int else st.floats
            given_values[parameter.name] = data.draw(numbers(parameter.minimum, parameter.maximum))
    values = resolve(attack.parameters, given_values, rms=data.draw(st.sampled_from([0.0, 1e-7, 1e-3, 0.2, 1.0])))
    assert set(values) == {parameter.name for parameter in attack.parameters}
