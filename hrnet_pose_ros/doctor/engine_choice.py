# SPDX-License-Identifier: Apache-2.0
"""Which engine a node with the default parameters would run, and whether it can."""

from __future__ import annotations

import time

from hrnet_pose_ros.doctor.findings import Finding, Severity


def engine() -> list[Finding]:
    """What ``engine: auto`` takes and why; OpenVINO is tried on an empty picture.

    TensorRT is not: its plan may take minutes to build.
    """
    from hrnet_pose_ros.engines.choose_engine import choose_engine
    from hrnet_pose_ros.model_files.metadata import ModelError
    from hrnet_pose_ros.pipeline.settings import BY_NAME

    default = {name: parameter.default for name, parameter in BY_NAME.items()}
    model = default["model"]
    try:
        selection = choose_engine(
            model,
            default["engine"],
            default["precision"],
            default["decoding"],
            default["flip_test"],
            default["device_index"],
        )
    except ModelError as error:  # its message has the way out
        return [Finding("auto", str(error), Severity.ERROR)]
    details = {"engine": selection.engine, "model": model}
    found = f"{selection.engine}: {selection.why}"
    if selection.engine == "tensorrt":
        advice = f"build its plan before the first start: hrnet_pose compile {model}"
        return [Finding("auto", found, Severity.NOTE, advice, details)]
    return [Finding("auto", found, details=details), _trial(model)]


def _trial(model: str) -> Finding:
    import numpy as np

    from hrnet_pose_ros.engines.engine import EngineError
    from hrnet_pose_ros.engines.make_engine import make_engine

    begin = time.monotonic()
    try:
        engine = make_engine(model, engine="openvino", precision="float32", max_batch=1)
        engine.estimate(np.zeros((256, 192, 3), np.uint8), np.array([[0.0, 0.0, 192.0, 256.0]]))
        engine.close()
    except (ValueError, EngineError) as error:  # its message has the way out
        return Finding("trial", str(error), Severity.ERROR)
    seconds = time.monotonic() - begin
    return Finding("trial", f"'{model}' made and run once by openvino in {seconds:.1f} s")
