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
    context_is_dead,
    device_count,
    find_device,
    reset_device,
    use_device,
)
from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, find_library
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_cache import Plan, PlanCache, plan_folder
from hrnet_pose_ros.engines.tensorrt.plan_runner import PlanRejected, PlanRunner
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
    in the cache. Where the error left this process's context on the device dead, `close` destroys
    that context, with everything that other engines of this process have on the device: they
    were dead as well.
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
            There is no device or no TensorRT, or the build failed; CudaError and BuildCancelled
            are such errors.
        """
        self._runner: PlanRunner | None = None
        self._failed = False
        self._options, self._watch = options, watch
        self._library = find_library()
        self._device = find_device(options.device)
        use_device(options.device)
        self._graph = End2EndGraphFile(graph, self._library)
        facts = self._graph.metadata
        self.metadata = facts.model
        self.calibration = calibration_of(facts.model, facts.decoding, facts.flip_test)
        self._plans = PlanCache(plan_folder(options.plan_cache))
        try:
            self._load(options)
        except CudaError:
            self._failed = True
            self.close()
            raise

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
            return self._run(runner, frame, transforms)
        except CudaError:
            self._failed = True  # see close
            raise

    def warm_up(self) -> None:
        """Run every number of persons once, so that no live frame pays for a first time."""
        width, height = self._options.image_size
        frame = np.zeros((height, width, 3), np.uint8)
        box = np.array([[0, 0, width, height]], np.float32)
        for count in range(1, self._options.max_persons + 1):
            self.raw_poses(frame, np.repeat(box, count, axis=0))

    def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.close()
        if self._failed:
            self._failed = False
            if context_is_dead():
                _log.warning("the CUDA context of %s is dead: destroying it", self._device.name)
                reset_device()

    def _run(self, runner: PlanRunner, frame: np.ndarray, transforms: np.ndarray) -> Poses:
        runner.upload(frame)
        parts = []
        for start in range(0, len(transforms), self._options.max_persons):
            group = transforms[start : start + self._options.max_persons]
            runner.start(group)
            parts.append(poses_of(**runner.finish(len(group)), skeleton=self.metadata.skeleton))
        return Poses.concatenate(parts)

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
        """Get a plan and load it; built once more where TensorRT rejects a kept one.

        What ran before stays until the plan is there: a build that is cancelled changes nothing.
        """
        plan = self._obtain(options)
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        self._options = options
        try:
            self._runner = self._loaded(plan)
        except PlanRejected as error:
            if plan.built:
                raise
            _log.warning("plan '%s' is built anew: %s", plan.path, error)
            self._runner = self._loaded(self._obtain(options, rejected=plan.sha256))

    def _obtain(self, options: TensorRtOptions, rejected: str = "") -> Plan:
        here = self._device.compute_capability
        key = self._graph.key(GpuTarget((here,), self._device.name), options)
        return self._graph.obtain(self._plans, key, here, self._watch, rejected)

    def _loaded(self, plan: Plan) -> PlanRunner:
        return PlanRunner(
            self._library,
            plan.data,
            self._options.image_size,
            self._options.max_persons,
            self.metadata.skeleton.joints,
        )


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
    """Why the engine cannot run on this machine; empty where library and device are found."""
    count, reason = device_count()
    if device >= count:
        return reason or f"there is no CUDA device {device}: there are {count}"
    try:
        find_library()
    except EngineError as error:
        return str(error)
    return ""
