# SPDX-License-Identifier: Apache-2.0
"""The engine of a vehicle with an NVIDIA GPU: from camera image to key points in one plan."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.engine import EngineError, EngineInfo, PoseEngine, check_frame_and_boxes
from hrnet_pose_ros.engines.heatmap_engine import calibration_of
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import (
    CudaError,
    DeviceLost,
    context_is_dead,
    find_device,
    use_device,
    why_no_device,
)
from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
from hrnet_pose_ros.engines.tensorrt.library import find_library
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_cache import PlanCache, plan_folder
from hrnet_pose_ros.engines.tensorrt.plan_loading import load_plan
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRunner
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.skeleton import SkeletonDefinition

_log = logging.getLogger(__name__)


class TensorRtEngine(PoseEngine):
    """Runs an end-to-end graph (``hrnet_pose export --graph end2end``) on a CUDA device.

    The frame goes up once, whatever the number of persons; key points, scores and covariances
    come down in one copy. Everything of CUDA happens on the thread that makes, uses and closes
    the engine.

    After a CudaError the engine is of no use: close it and make another one, which finds its plan
    in the cache. Where the error is a DeviceLost, only a new process can use the device again:
    nothing on it is freed or reset here, because TensorRT's objects and OpenVINO live on in this
    process.
    """

    def __init__(self, graph: ModelFile, *, options: TensorRtOptions, watch: BuildWatch) -> None:
        """Load a plan from the cache, or build it.

        Parameters
        ----------
        graph
            The file of an end-to-end graph.
        options
            Device, image size, numbers of persons, and the builder's options.
        watch
            Hears about a build, here and in `estimate`, and may end it.

        Raises
        ------
        ModelError
            The file is not an end-to-end graph, or is for images of another size.
        EngineError
            There is no device or no TensorRT, the build failed, or the plan gives other key points
            than the processor; CudaError and BuildCancelled are such errors.
        """
        self._runner: PlanRunner | None = None
        self._lost = False
        self._options, self._watch = options, watch
        self._device = find_device(options.device)
        library = find_library(self._device.compute_capability)
        use_device(options.device)
        self._graph = End2EndGraphFile(graph, library)
        facts = self._graph.metadata
        self.metadata = facts.model
        self.calibration = calibration_of(facts.model, facts.decoding, facts.flip_test)
        self._plans = PlanCache(plan_folder(options.plan_cache))
        try:
            self._load(options)
        except CudaError as error:
            raise self._known(error) from error

    @property
    def info(self) -> EngineInfo:
        facts = self._graph.metadata
        return EngineInfo(
            model=self.metadata.name,
            engine="tensorrt",
            device=self._device.name,
            precision=facts.precision,
            decoding=facts.decoding,
            checksum=self._graph.checksum,
            input_width=self.metadata.input_width,
            input_height=self.metadata.input_height,
            flip_test=facts.flip_test,
            calibrated=self.calibration is not None,
            skeleton=self.metadata.skeleton,
            crop=self.metadata.crop,
        )

    @property
    def runner(self) -> PlanRunner:
        """What runs the plan, for measurements; EngineError where the engine is closed."""
        if self._runner is None:
            raise EngineError(f"the engine of '{self.metadata.name}' is closed or has failed")
        return self._runner

    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        check_frame_and_boxes(frame, boxes)
        runner = self.runner  # also where nobody is to be seen: a closed engine says so
        if len(boxes) == 0:
            return Poses.empty(self.metadata.skeleton)
        transforms = crop_to_image(boxes, self.metadata.input_size, self.metadata.crop)
        size = (frame.shape[1], frame.shape[0])
        try:
            if size != self._options.image_size:
                self._change_image_size(size)
                runner = self.runner
            skeleton = self.metadata.skeleton
            parts = [poses_of(**part, skeleton=skeleton) for part in runner.run(frame, transforms)]
            return Poses.concatenate(parts)
        except CudaError as error:
            raise self._known(error) from error

    def _known(self, error: CudaError) -> CudaError:
        """The error, as a DeviceLost where nothing works any more."""
        if isinstance(error, DeviceLost) or context_is_dead():
            self._lost = True
            if not isinstance(error, DeviceLost):
                return DeviceLost(
                    f"{error}; after it no call reaches {self._device.name} from this process, "
                    "and only a new process can use it again"
                )
        return error

    def frame_buffer(self, height: int, width: int) -> np.ndarray | None:
        if self._runner is None or (width, height) != self._options.image_size:
            return None
        return self._runner.frame_buffer

    def warm_up(self) -> None:
        """Run once from frame to poses; every number of persons was run when the plan was loaded.

        That is there for a change of the image's size as well.
        """
        width, height = self._options.image_size
        frame = np.zeros((height, width, 3), np.uint8)
        self.raw_poses(frame, np.array([[0, 0, width, height]], np.float32))

    def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is None:
            return
        if self._lost:
            runner.abandon()
        else:
            runner.close()

    def _change_image_size(self, size: tuple[int, int]) -> None:
        before = self._options.image_size
        _log.warning(
            "the image has %dx%d px, the plan is for %dx%d: taking another plan. Set the "
            "parameter image_size to the camera's size (width, height)",
            *size,
            *before,
        )
        self._load(replace(self._options, image_size=size))

    def _load(self, options: TensorRtOptions) -> None:
        """Get a plan and load it.

        What ran before stays until the plan is there: a build that is cancelled changes nothing.
        """

        def make_room() -> None:
            if self._runner is not None:
                self._runner.close()
                self._runner = None
            self._options = options

        loaded = load_plan(
            self._graph,
            self._plans,
            self._device,
            options,
            self._watch,
            before_loading=make_room,
        )
        self._runner = loaded.runner


def poses_of(
    keypoints: np.ndarray,
    scores: np.ndarray,
    covariances: np.ndarray,
    skeleton: SkeletonDefinition,
) -> Poses:
    """The graph's outputs as poses: a joint is valid where its score is above 0.

    Parameters
    ----------
    keypoints
        float32 ``[N, J, 2]``.
    scores
        float32 ``[N, J]``.
    covariances
        float32 ``[N, J, 3]``: var_x, cov_xy, var_y.
    skeleton
        The definition of the J joints.
    """
    valid = scores > 0
    matrices = covariances[..., [0, 1, 1, 2]].reshape(*scores.shape, 2, 2)
    return Poses(
        keypoints=np.where(valid[..., None], keypoints, np.nan).astype(np.float32),
        scores=np.where(valid, scores, 0).astype(np.float32),
        covariances=np.where(valid[..., None, None], matrices, np.nan).astype(np.float32),
        valid=valid,
        skeleton=skeleton,
    )


def why_no_tensorrt(device: int = 0) -> str:
    """Why the engine cannot run on this machine; empty where device and library are found.

    Does not raise.
    """
    if missing := why_no_device(device):
        return missing
    try:
        find_library(find_device(device).compute_capability)
    except EngineError as error:
        return str(error)
    return ""
