# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, all of them: what each may be, its default, and what it does.

The parameter file and the documents' table are made from it (`parameter_documents`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hrnet_pose_ros.engines.choose_engine import DECODINGS, ENGINES, PRECISIONS
from hrnet_pose_ros.engines.heatmap_engine import DEFAULT_MAX_BATCH
from hrnet_pose_ros.engines.tensorrt.options import (
    LARGEST_SIDE,
    OPTIMIZATION_LEVELS,
    TensorRtOptions,
)
from hrnet_pose_ros.pipeline.parameter import (
    Change,
    Parameter,
    ParameterError,
    ParameterSet,
    parameter,
)

# What takes over from a GPU that fails.
FALLBACKS = ("cpu", "none")
_PLAN = TensorRtOptions()


@dataclass(frozen=True)
class Settings(ParameterSet):
    """The values of all parameters of the node `hrnet_pose` at one time."""

    autostart: bool = parameter(
        True,
        "Configure and activate without waiting for a lifecycle manager.",
        Change.START,
    )
    image_transport: str = parameter(
        "raw",
        "`raw` takes sensor_msgs/Image on `image`; `compressed` takes CompressedImage on "
        "`image/compressed` (after remapping `image`).",
        Change.START,
        choices=("raw", "compressed"),
    )
    model: str = parameter(
        "hrnet_w16_small",
        "A model by name (`hrnet_pose models`), or the path of a model file.",
        Change.UNCONFIGURED,
    )
    engine: str = parameter(
        "auto",
        "What runs the network. `auto`: `tensorrt` where a CUDA device and a TensorRT library are "
        "found, else `openvino`; `torch` is the slow reference.",
        Change.UNCONFIGURED,
        choices=ENGINES,
    )
    precision: str = parameter(
        "auto",
        "`auto`: with `tensorrt` float16, or float32 where only that graph is found; with "
        "`openvino` bfloat16 where the processor has it and a check at start-up shows the same "
        "skeletons as float32. `float16` is for `tensorrt`, `bfloat16` for `openvino`; `int8` "
        "needs the file that `hrnet_pose quantize` writes for either.",
        Change.UNCONFIGURED,
        choices=PRECISIONS,
    )
    decoding: str = parameter(
        "quarter",
        "Heatmap to key point: the reference's `quarter` offset or `dark` (sub-cell Taylor step).",
        Change.UNCONFIGURED,
        choices=DECODINGS,
    )
    flip_test: bool = parameter(
        False,
        "Run every crop mirrored as well and take the mean of both, as published accuracies do: "
        "twice the work for the network.",
        Change.UNCONFIGURED,
    )
    max_batch: int = parameter(
        DEFAULT_MAX_BATCH,
        "Persons in one call of the network; more are split. `tensorrt` takes `max_persons`.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=128,
    )
    threads: int = parameter(
        0,
        "Processor threads of the engine; 0: all cores.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=256,
    )
    max_persons: int = parameter(
        20,
        "Skeletons of one image at most: the largest boxes first; the rest counts in `omitted`.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    )
    fallback: str = parameter(
        FALLBACKS[0],
        "When the GPU's engine cannot be made, or fails twice: `cpu` goes on with `openvino` and "
        "says so, `none` publishes nothing.",
        Change.UNCONFIGURED,
        choices=FALLBACKS,
    )
    device_index: int = parameter(
        _PLAN.device,
        "`tensorrt`: which CUDA device.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=63,
    )
    image_size: list[int] = parameter(
        list(_PLAN.image_size),
        "`tensorrt`: width and height of the camera's images, for which the plan is made at start; "
        "images of another size have it made again, which may take minutes.",
        Change.UNCONFIGURED,
        minimum=16,
        maximum=LARGEST_SIDE,
        length=2,
    )
    typical_persons: int = parameter(
        _PLAN.typical_persons,
        "`tensorrt`: the number of persons that the plan is made fastest for.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    )
    plan_cache: str = parameter(
        _PLAN.plan_cache,
        "`tensorrt`: folder of the compiled plans; empty: `~/.cache/hrnet_pose/plans`.",
        Change.UNCONFIGURED,
    )
    workspace_mib: int = parameter(
        _PLAN.workspace_mib,
        "`tensorrt`: most device memory for intermediate results, MiB; 0: the library's default.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=262144,
    )
    optimization_level: int = parameter(
        _PLAN.optimization_level,
        "`tensorrt`: how long the build searches; 0 is the shortest.",
        Change.UNCONFIGURED,
        minimum=OPTIMIZATION_LEVELS[0],
        maximum=OPTIMIZATION_LEVELS[1],
    )
    class_ids: list[str] = parameter(
        ["person", "pedestrian", "0"],
        "Detection classes that are persons, whatever their case; `*` takes every class. Quote "
        "numbers in YAML.",
    )
    min_detection_score: float = parameter(
        0.0,
        "Detections with a lower score are not used.",
        minimum=0.0,
        maximum=1.0,
    )
    detector_size: list[int] = parameter(
        [0, 0],
        "Width and height of the image that the boxes refer to, where the detector gives them in "
        "pixels of its own input; `[0, 0]`: pixels of the camera image.",
        minimum=0,
        maximum=32766,
        length=2,
    )
    detector_letterbox: bool = parameter(
        False,
        "The detector keeps the aspect ratio and pads (used with `detector_size`).",
    )
    sync_tolerance_ms: float = parameter(
        0.0,
        "How far the stamps of an image and its detections may differ; 0: equal stamps only.",
        minimum=0.0,
        maximum=1000.0,
    )
    max_wait_ms: float = parameter(
        300.0,
        "How long an image waits for its detections, and detections for their image.",
        minimum=1.0,
        maximum=10000.0,
    )
    max_age_ms: float = parameter(
        500.0,
        "Images older than this are dropped when paired and again before publication.",
        minimum=1.0,
        maximum=10000.0,
    )
    warn_age_ms: float = parameter(
        300.0,
        "Diagnostics warn when the age at publication exceeds this at the 95th percentile.",
        minimum=1.0,
        maximum=10000.0,
    )
    clock_tolerance_ms: float = parameter(
        30.0,
        "How far a stamp may lie in the future of the node's clock before it counts as an error; "
        "the `/clock` of a bag that plays ticks every 25 ms.",
        minimum=0.0,
        maximum=1000.0,
    )
    whole_image_as_person: bool = parameter(
        False,
        "Images without detections are processed as one person that fills the image.",
    )
    image_rectified: bool = parameter(
        False,
        "The images are rectified: projections use the camera's P instead of K and D.",
    )
    person_height_m: float = parameter(
        1.7,
        "Height of a person that places the markers in 3D.",
        minimum=0.5,
        maximum=2.5,
    )
    smoothing: bool = parameter(
        False,
        "Also publish `skeletons_smoothed`: a Kalman filter for each id and joint, while somebody "
        "subscribes. `skeletons` stay as they are.",
    )
    draw_min_score: float = parameter(
        0.2,
        "Overlay and markers show joints of at least this score.",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        if (self.detector_size[0] == 0) != (self.detector_size[1] == 0):
            raise ParameterError(
                f"parameter detector_size is {self.detector_size}; allowed: two sizes above 0, "
                "or [0, 0] for pixels of the camera image"
            )


BY_NAME: Mapping[str, Parameter] = Settings.parameters()
PARAMETERS: tuple[Parameter, ...] = tuple(BY_NAME.values())
