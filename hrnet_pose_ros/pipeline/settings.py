# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, all of them, described once; and the README's table.

``python -m hrnet_pose_ros.pipeline.settings`` prints the table in Markdown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH
from hrnet_pose_ros.engines.tensorrt.options import (
    LARGEST_SIDE,
    OPTIMIZATION_LEVELS,
    TensorRtOptions,
)
from hrnet_pose_ros.pipeline.parameter import Change, Parameter, ParameterError

# What takes over from a GPU that fails.
FALLBACKS = ("cpu", "none")
_PLAN = TensorRtOptions()

PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "autostart",
        True,
        "Configure and activate without waiting for a lifecycle manager.",
        Change.START,
    ),
    Parameter(
        "image_transport",
        "raw",
        "`raw` takes sensor_msgs/Image on `image`; `compressed` takes CompressedImage on "
        "`image/compressed` (after remapping `image`).",
        Change.START,
        choices=("raw", "compressed"),
    ),
    Parameter(
        "model",
        "hrnet_w16_small",
        "A model by name (`hrnet_pose models`), or the path of a model file.",
        Change.UNCONFIGURED,
    ),
    Parameter(
        "engine",
        "auto",
        "What runs the network. `auto`: `tensorrt` where a CUDA device and a TensorRT library are "
        "found, else `openvino`; `torch` is the slow reference.",
        Change.UNCONFIGURED,
        choices=ENGINES,
    ),
    Parameter(
        "precision",
        "auto",
        "`auto`: with `tensorrt` float16, or float32 where only that graph is found; with "
        "`openvino` bfloat16 where the processor has it and a check at start-up shows the same "
        "skeletons as float32. `float16` is for `tensorrt`, `bfloat16` for `openvino`; `int8` "
        "needs the file that `hrnet_pose quantize` writes for either.",
        Change.UNCONFIGURED,
        choices=PRECISIONS,
    ),
    Parameter(
        "decoding",
        "quarter",
        "Heatmap to key point: the reference's `quarter` offset or `dark` (sub-cell Taylor step).",
        Change.UNCONFIGURED,
        choices=DECODINGS,
    ),
    Parameter(
        "flip_test",
        False,
        "Run every crop mirrored as well and take the mean of both, as published accuracies do: "
        "twice the work for the network.",
        Change.UNCONFIGURED,
    ),
    Parameter(
        "max_batch",
        DEFAULT_MAX_BATCH,
        "Persons in one call of the network; more are split. `tensorrt` takes `max_persons`.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=128,
    ),
    Parameter(
        "threads",
        0,
        "Processor threads of the engine; 0: all cores.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=256,
    ),
    Parameter(
        "max_persons",
        20,
        "Skeletons of one image at most: the largest boxes first; the rest counts in `omitted`.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    ),
    Parameter(
        "fallback",
        FALLBACKS[0],
        "When the GPU's engine cannot be made, or fails twice: `cpu` goes on with `openvino` and "
        "says so, `none` publishes nothing.",
        Change.UNCONFIGURED,
        choices=FALLBACKS,
    ),
    Parameter(
        "device_index",
        _PLAN.device,
        "`tensorrt`: which CUDA device.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=63,
    ),
    Parameter(
        "image_size",
        list(_PLAN.image_size),
        "`tensorrt`: width and height of the camera's images, for which the plan is made at start; "
        "images of another size have it made again, which may take minutes.",
        Change.UNCONFIGURED,
        minimum=16,
        maximum=LARGEST_SIDE,
        length=2,
    ),
    Parameter(
        "typical_persons",
        _PLAN.typical_persons,
        "`tensorrt`: the number of persons that the plan is made fastest for.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    ),
    Parameter(
        "plan_cache",
        _PLAN.plan_cache,
        "`tensorrt`: folder of the compiled plans; empty: `~/.cache/hrnet_pose/plans`.",
        Change.UNCONFIGURED,
    ),
    Parameter(
        "workspace_mib",
        _PLAN.workspace_mib,
        "`tensorrt`: most device memory for intermediate results, MiB; 0: the library's default.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=262144,
    ),
    Parameter(
        "optimization_level",
        _PLAN.optimization_level,
        "`tensorrt`: how long the build searches; 0 is the shortest.",
        Change.UNCONFIGURED,
        minimum=OPTIMIZATION_LEVELS[0],
        maximum=OPTIMIZATION_LEVELS[1],
    ),
    Parameter(
        "class_ids",
        ["person", "pedestrian", "0"],
        "Detection classes that are persons, whatever their case; `*` takes every class. Quote "
        "numbers in YAML.",
    ),
    Parameter(
        "min_detection_score",
        0.0,
        "Detections with a lower score are not used.",
        minimum=0.0,
        maximum=1.0,
    ),
    Parameter(
        "detector_size",
        [0, 0],
        "Width and height of the image that the boxes refer to, where the detector gives them in "
        "pixels of its own input; `[0, 0]`: pixels of the camera image.",
        minimum=0,
        maximum=32766,
        length=2,
    ),
    Parameter(
        "detector_letterbox",
        False,
        "The detector keeps the aspect ratio and pads (used with `detector_size`).",
    ),
    Parameter(
        "sync_tolerance_ms",
        0.0,
        "How far the stamps of an image and its detections may differ; 0: equal stamps only.",
        minimum=0.0,
        maximum=1000.0,
    ),
    Parameter(
        "max_wait_ms",
        300.0,
        "How long an image waits for its detections, and detections for their image.",
        minimum=1.0,
        maximum=10000.0,
    ),
    Parameter(
        "max_age_ms",
        500.0,
        "Images older than this are dropped when paired and again before publication.",
        minimum=1.0,
        maximum=10000.0,
    ),
    Parameter(
        "warn_age_ms",
        300.0,
        "Diagnostics warn when the age at publication exceeds this at the 95th percentile.",
        minimum=1.0,
        maximum=10000.0,
    ),
    Parameter(
        "clock_tolerance_ms",
        30.0,
        "How far a stamp may lie in the future of the node's clock before it counts as an error; "
        "the `/clock` of a bag that plays ticks every 25 ms.",
        minimum=0.0,
        maximum=1000.0,
    ),
    Parameter(
        "whole_image_as_person",
        False,
        "Images without detections are processed as one person that fills the image.",
    ),
    Parameter(
        "image_rectified",
        False,
        "The images are rectified: projections use the camera's P instead of K and D.",
    ),
    Parameter(
        "person_height_m",
        1.7,
        "Height of a person that places the markers in 3D.",
        minimum=0.5,
        maximum=2.5,
    ),
    Parameter(
        "smoothing",
        False,
        "Also publish `skeletons_smoothed`: a Kalman filter for each id and joint, while somebody "
        "subscribes. `skeletons` stay as they are.",
    ),
    Parameter(
        "draw_min_score",
        0.2,
        "Overlay and markers show joints of at least this score.",
        minimum=0.0,
        maximum=1.0,
    ),
)

BY_NAME: Mapping[str, Parameter] = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """The values of all parameters at one time; fields as in PARAMETERS."""

    autostart: bool
    image_transport: str
    model: str
    engine: str
    precision: str
    decoding: str
    flip_test: bool
    max_batch: int
    threads: int
    max_persons: int
    fallback: str
    device_index: int
    image_size: list[int]
    typical_persons: int
    plan_cache: str
    workspace_mib: int
    optimization_level: int
    class_ids: list[str]
    min_detection_score: float
    detector_size: list[int]
    detector_letterbox: bool
    sync_tolerance_ms: float
    max_wait_ms: float
    max_age_ms: float
    warn_age_ms: float
    clock_tolerance_ms: float
    whole_image_as_person: bool
    image_rectified: bool
    person_height_m: float
    smoothing: bool
    draw_min_score: float

    def __post_init__(self) -> None:
        if (self.detector_size[0] == 0) != (self.detector_size[1] == 0):
            raise ParameterError(
                f"parameter detector_size is {self.detector_size}; allowed: two sizes above 0, "
                "or [0, 0] for pixels of the camera image"
            )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Check ``{name: value}`` of all parameters and return them, or raise ParameterError."""
        return cls(**{name: parameter.checked(values[name]) for name, parameter in BY_NAME.items()})


def markdown_table() -> str:
    """The table of the README."""
    lines = [
        "| parameter | type | default | allowed | changed | what it does |",
        "|---|---|---|---|---|---|",
    ]
    for p in PARAMETERS:
        default = str(p.default).lower() if isinstance(p.default, bool) else str(p.default)
        default = default.replace("'", '"') if isinstance(p.default, list) else default or '""'
        lines.append(
            f"| `{p.name}` | {p.type_name} | `{default}` | {p.range_text} | {p.change.value} "
            f"| {p.description} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table())
