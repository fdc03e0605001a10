# SPDX-License-Identifier: Apache-2.0
"""Arguments of `make_engine` from the node's parameters, for the node and the offline replay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hrnet_pose_ros.engines.choose_engine import EngineSelection, choose_engine
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.openvino_network import import_openvino
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.pipeline.settings import Settings

GPU_PRECISIONS = ("float16", "int8")  # OpenVINO has no float16 here, and int8 needs its own file


def engine_arguments(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments of `make_engine`, except ``watch`` and ``selection``."""
    return {
        "model": settings.model,
        "engine": settings.engine,
        "precision": settings.precision,
        "decoding": settings.decoding,
        "flip_test": settings.flip_test,
        "max_batch": settings.max_batch,
        "threads": settings.threads,
        "streams": settings.streams,
        "tensorrt": TensorRtOptions(
            device=settings.device_index,
            image_size=(settings.image_size[0], settings.image_size[1]),
            typical_persons=min(settings.typical_persons, settings.max_persons),
            max_persons=settings.max_persons,
            person_buckets=tuple(n for n in settings.person_buckets if n),
            cuda_graphs=settings.cuda_graphs,
            workspace_mib=settings.workspace_mib,
            optimization_level=settings.optimization_level,
            plan_cache=settings.plan_cache,
        ),
    }


def selected_engine(arguments: Mapping[str, Any], **options: Any) -> EngineSelection:
    """What `choose_engine` takes for the arguments of an engine; options and errors as there."""
    asked = ("model", "engine", "precision", "decoding", "flip_test")
    device = arguments["tensorrt"].device
    return choose_engine(**{name: arguments[name] for name in asked}, device=device, **options)


def cpu_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments for OpenVINO as the fallback of a GPU engine.

    A precision that only the GPU engine supports becomes ``auto``.
    """
    precision = "auto" if settings.precision in GPU_PRECISIONS else settings.precision
    return engine_arguments(settings) | {"engine": "openvino", "precision": precision}


def why_no_cpu_fallback(settings: Settings) -> str:
    """Return why OpenVINO could not replace the GPU engine; empty if library and model are there.

    This is checked while the GPU still works: after a failure it would be too late to find out.
    """
    try:
        import_openvino()
        selected_engine(cpu_arguments(settings))
    except (EngineError, ValueError) as error:  # a ModelError is a ValueError
        return str(error)
    return ""
