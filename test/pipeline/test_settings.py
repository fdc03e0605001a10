# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import doctest
from typing import Any

import pytest

from hrnet_pose_ros.pipeline import parameter as parameter_module
from hrnet_pose_ros.pipeline.parameter import Parameter, ParameterError
from hrnet_pose_ros.pipeline.settings import BY_NAME, PARAMETERS, Settings

DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}


def test_what_is_left_out_has_its_default() -> None:
    assert dataclasses.asdict(Settings.of({})) == DEFAULTS
    assert Settings.of({}) == Settings.of(DEFAULTS)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("max_age_ms", 500, 500.0),  # an integer where a double is meant
        ("max_batch", 4, 4),
        ("autostart", False, False),
        ("class_ids", ["0", "PERSON"], ["0", "PERSON"]),
        ("detector_size", (640, 480), [640, 480]),
    ],
)
def test_values_that_are_taken(name: str, value: Any, kept: Any) -> None:
    taken = getattr(Settings.of(DEFAULTS | {name: value}), name)
    assert taken == kept and type(taken) is type(kept)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("max_age_ms", "fast", "double"),
        ("max_age_ms", float("nan"), "finite"),
        ("max_age_ms", True, "double"),
        ("max_age_ms", 0.0, "1 to 10000"),
        ("max_batch", 2.0, "integer"),
        ("max_batch", True, "integer"),
        ("max_batch", 0, "1 to 128"),
        ("autostart", 1, "bool"),
        ("model", 7, "string"),
        ("precision", "float8", "auto, float32, bfloat16, float16, int8"),
        ("class_ids", "person", "a list of string"),
        ("class_ids", [1], "string"),
        ("class_ids", None, "a list of string, with at least one"),  # [] in a parameter file
        ("class_ids", [], "a list of string, with at least one"),
        ("detector_size", [640], "2 values"),
        ("detector_size", [640, -1], "0 to 32766"),
        ("detector_size", [0, 640], "two numbers above 0"),
        ("image_size", [1280, 0], "16 to 16384"),
        ("image_size", [1280], "2 values"),
        ("typical_persons", 0, "1 to 500"),
        ("optimization_level", 6, "0 to 5"),
        ("workspace_mib", -1, "0 to 262144"),
        ("fallback", "gpu", "cpu, none"),
    ],
)
def test_values_that_are_refused_by_name(name: str, value: Any, allowed: str) -> None:
    with pytest.raises(ParameterError) as error:
        Settings.of(DEFAULTS | {name: value})
    assert f"parameter {name} is" in str(error.value) and allowed in str(error.value)


def test_a_name_that_no_parameter_has() -> None:
    with pytest.raises(ParameterError, match="no parameter max_age; the nearest is max_age_ms"):
        Settings.of({"max_age": 500.0})


def test_defaults_are_not_shared() -> None:
    Settings.of({}).class_ids.append("dog")
    assert Settings.of({}).class_ids == BY_NAME["class_ids"].default == DEFAULTS["class_ids"]
    assert "dog" not in DEFAULTS["class_ids"]


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda one: one.name)
def test_every_parameter_is_described_and_takes_its_default(parameter: Parameter) -> None:
    assert parameter.description.endswith(".")
    assert parameter.checked(parameter.default) == parameter.default


def test_the_example_in_the_docstring() -> None:
    done = doctest.testmod(parameter_module)
    assert (done.attempted, done.failed) == (3, 0)
