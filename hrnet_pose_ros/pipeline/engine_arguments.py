# SPDX-License-Identifier: Apache-2.0
"""What the parameters ask of `make_engine`; for the node and for the replay."""

from __future__ import annotations

from typing import Any

from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_engine import import_openvino
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.model_files.find import ONNX, find_model
from hrnet_pose_ros.model_files.metadata import ModelMetadata
from hrnet_pose_ros.model_files.onnx_properties import read_properties
from hrnet_pose_ros.pipeline.settings import Settings

GPU_PRECISIONS = ("float16", "int8")  # for OpenVINO there is none, or it needs a file of its own


def engine_arguments(settings: Settings) -> dict[str, Any]:
    """The keyword arguments of `make_engine`, all but ``watch``."""
    return {
        "model": settings.model,
        "engine": settings.engine,
        "precision": settings.precision,
        "decoding": settings.decoding,
        "flip_test": settings.flip_test,
        "max_batch": settings.max_batch,
        "threads": settings.threads,
        "tensorrt": TensorRtOptions(
            device=settings.device_index,
            image_size=(settings.image_size[0], settings.image_size[1]),
            typical_persons=min(settings.typical_persons, settings.max_persons),
            max_persons=settings.max_persons,
            workspace_mib=settings.workspace_mib,
            optimization_level=settings.optimization_level,
            plan_cache=settings.plan_cache,
        ),
    }


def cpu_arguments(settings: Settings) -> dict[str, Any]:
    """The same for OpenVINO in place of a GPU's engine; a precision of the GPU becomes ``auto``."""
    precision = "auto" if settings.precision in GPU_PRECISIONS else settings.precision
    return engine_arguments(settings) | {"engine": "openvino", "precision": precision}


def why_no_cpu(settings: Settings) -> str:
    """Why OpenVINO could not stand in for a GPU's engine; empty where library and model are there.

    Asked while the GPU works: later is too late to find out.
    """
    try:
        import_openvino()
        ModelMetadata.from_properties(read_properties(find_model(settings.model, ONNX)))
    except (EngineError, ValueError) as error:  # a ModelError is a ValueError
        return str(error)
    return ""
