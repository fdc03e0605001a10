# SPDX-License-Identifier: Apache-2.0
"""All parameters of the node `hrnet_pose`: allowed values, defaults and descriptions.

The parameter file and the table in the documentation are generated from it (`parameter_documents`).
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

# What replaces a GPU engine that fails.
FALLBACKS = ("cpu", "none")
# Whose ids the skeletons have (pipeline/person_ids.py).
IDS_WHEN_MISSING, IDS_NEVER = "when_missing", "never"
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
        "hrnetv2_w24_small",
        "The name of a model (`hrnet_pose models` lists them), or the path of a model file.",
        Change.UNCONFIGURED,
    )
    engine: str = parameter(
        "auto",
        "What runs the network. `auto` selects `tensorrt` if a CUDA device and a TensorRT library "
        "are found, otherwise `openvino`; `torch` is the slow reference.",
        Change.UNCONFIGURED,
        choices=ENGINES,
    )
    precision: str = parameter(
        "auto",
        "`auto` selects, for `tensorrt`, float16, or float32 if only that graph is found; for "
        "`openvino`, bfloat16 if the processor supports it and a check at start-up finds the same "
        "skeletons as with float32. `float16` is for `tensorrt`, `bfloat16` for `openvino`; `int8` "
        "needs the file that `hrnet_pose quantize` writes for either.",
        Change.UNCONFIGURED,
        choices=PRECISIONS,
    )
    decoding: str = parameter(
        "quarter",
        "How key points are decoded from heatmaps: with the `quarter` offset of the HRNet "
        "reference, or with `dark` (sub-cell Taylor step).",
        Change.UNCONFIGURED,
        choices=DECODINGS,
    )
    flip_test: bool = parameter(
        False,
        "Also run every crop mirrored and average both heatmaps, as published accuracies do. This "
        "doubles the work of the network.",
        Change.UNCONFIGURED,
    )
    max_batch: int = parameter(
        DEFAULT_MAX_BATCH,
        "Maximum number of persons per call of the network; larger groups are split. Several "
        "`streams` share it. More need more memory. `tensorrt` uses `max_persons` instead.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=128,
    )
    threads: int = parameter(
        0,
        "CPU threads of the engine; 0 uses all cores.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=256,
    )
    streams: int = parameter(
        0,
        "For `openvino`: batches of persons that run beside one another, each with its part of the "
        "threads. 0 measures at start-up which number is fastest (with `max_batch` 1 it is one); "
        "several need memory for a second copy of the network.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=64,
    )
    max_persons: int = parameter(
        20,
        "Maximum number of skeletons per image. The largest boxes are kept; the others are counted "
        "in `omitted`.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    )
    fallback: str = parameter(
        FALLBACKS[0],
        "What to do when the GPU engine cannot be made or fails twice: `cpu` continues with "
        "`openvino` and announces it, `none` publishes nothing, and ends the node with exit code "
        "75 if only a new process can use the GPU.",
        Change.UNCONFIGURED,
        choices=FALLBACKS,
    )
    device_index: int = parameter(
        _PLAN.device,
        "For `tensorrt`: index of the CUDA device.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=63,
    )
    image_size: list[int] = parameter(
        list(_PLAN.image_size),
        "For `tensorrt`: width and height of the camera images, for which the plan is built when "
        "the node is configured. Images of another size trigger a new build, which may take "
        "minutes.",
        Change.UNCONFIGURED,
        minimum=16,
        maximum=LARGEST_SIDE,
        length=2,
    )
    typical_persons: int = parameter(
        _PLAN.typical_persons,
        "For `tensorrt`: the number of persons for which the plan is optimized.",
        Change.UNCONFIGURED,
        minimum=1,
        maximum=500,
    )
    person_buckets: list[int] = parameter(
        [0],
        "For `tensorrt`: numbers of persons that are kept ready to run, each with its own context; "
        "a group runs in the next larger one. `[0]`: 1, 2, 4, 8 and so on, and `max_persons`.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=500,
    )
    cuda_graphs: bool = parameter(
        _PLAN.cuda_graphs,
        "For `tensorrt`: capture the work of each of `person_buckets` as a CUDA graph, which is "
        "one launch instead of hundreds.",
        Change.UNCONFIGURED,
    )
    plan_cache: str = parameter(
        _PLAN.plan_cache,
        "For `tensorrt`: folder of the compiled plans; if empty, `~/.cache/hrnet_pose/plans`.",
        Change.UNCONFIGURED,
    )
    workspace_mib: int = parameter(
        _PLAN.workspace_mib,
        "For `tensorrt`: maximum device memory for intermediate results, MiB; 0 keeps the default "
        "of the library.",
        Change.UNCONFIGURED,
        minimum=0,
        maximum=262144,
    )
    optimization_level: int = parameter(
        _PLAN.optimization_level,
        "For `tensorrt`: how long the builder searches for fast kernels; 0 is the shortest.",
        Change.UNCONFIGURED,
        minimum=OPTIMIZATION_LEVELS[0],
        maximum=OPTIMIZATION_LEVELS[1],
    )
    class_ids: list[str] = parameter(
        ["person", "pedestrian", "0"],
        "Detection classes that count as persons, case-insensitive; `*` accepts every class. Quote "
        "numbers in YAML.",
    )
    min_detection_score: float = parameter(
        0.0,
        "Minimum score of a detection; others are not used.",
        minimum=0.0,
        maximum=1.0,
    )
    detector_size: list[int] = parameter(
        [0, 0],
        "Width and height of the detector's input, if the detector reports boxes in pixels of that "
        "input; `[0, 0]` if it reports them in pixels of the camera image.",
        minimum=0,
        maximum=32766,
        length=2,
    )
    detector_letterbox: bool = parameter(
        False,
        "Whether the detector keeps the aspect ratio and pads its input (used with "
        "`detector_size`).",
    )
    sync_tolerance_ms: float = parameter(
        0.0,
        "Maximum difference between the stamps of an image and its detections; 0 requires equal "
        "stamps.",
        minimum=0.0,
        maximum=1000.0,
    )
    max_wait_ms: float = parameter(
        300.0,
        "Maximum time that an image waits for its detections, and detections for their image.",
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
        "Diagnostics warn when the 95th percentile of the age at publication exceeds this.",
        minimum=1.0,
        maximum=10000.0,
    )
    clock_tolerance_ms: float = parameter(
        30.0,
        "How far a stamp may be ahead of the node's clock before it counts as an error; when a bag "
        "is played, `/clock` ticks every 25 ms.",
        minimum=0.0,
        maximum=1000.0,
    )
    whole_image_as_person: bool = parameter(
        False,
        "Process images without detections as one person that fills the image.",
    )
    assign_ids: str = parameter(
        IDS_WHEN_MISSING,
        "`when_missing` follows persons over time and assigns ids (`hrnet_1`, `hrnet_2` and so on) "
        "to those for whom the detector gives none; `never` leaves their ids empty. Ids of the "
        "detector are kept.",
        choices=(IDS_WHEN_MISSING, IDS_NEVER),
    )
    image_rectified: bool = parameter(
        False,
        "Whether the images are rectified; projections then use the camera's P instead of K and D.",
    )
    person_height_m: float = parameter(
        1.7,
        "Assumed height of a person, which places the markers in 3D.",
        minimum=0.5,
        maximum=2.5,
    )
    smoothing: bool = parameter(
        False,
        "Also publish `skeletons_smoothed`, filtered with a Kalman filter per id and joint, while "
        "there is a subscriber. `skeletons` are not affected.",
    )
    draw_min_score: float = parameter(
        0.2,
        "Minimum score of the joints that overlay and markers show.",
        minimum=0.0,
        maximum=1.0,
    )

    def __post_init__(self) -> None:
        if (self.detector_size[0] == 0) != (self.detector_size[1] == 0):
            raise ParameterError(
                f"parameter detector_size is {self.detector_size}; allowed: two numbers above 0, "
                "or [0, 0] for pixels of the camera image"
            )
        if not self.person_buckets or (0 in self.person_buckets and self.person_buckets != [0]):
            raise ParameterError(
                f"parameter person_buckets is {self.person_buckets}; allowed: numbers of persons "
                "from 1 on, or [0] for 1, 2, 4, 8 and so on"
            )


BY_NAME: Mapping[str, Parameter] = Settings.parameters()
PARAMETERS: tuple[Parameter, ...] = tuple(BY_NAME.values())
