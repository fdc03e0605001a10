# SPDX-License-Identifier: Apache-2.0
"""The node's supervisor and frame processor: a real engine but for its faults, no DDS."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from ros_robot import header
from sensor_msgs.msg import CompressedImage, Image

from hrnet_pose_ros.engines.choose_engine import EngineSelection
from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.person_detector_node import detection_array
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import Health, NodeStatus
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor, RetryPolicy
from hrnet_pose_ros.nodes.pose.frame_processor import FrameProcessor
from hrnet_pose_ros.nodes.pose.optional_outputs import OptionalOutputs
from hrnet_pose_ros.nodes.pose.publishers import PosePublishers
from hrnet_pose_ros.pipeline.engine_arguments import selected_engine
from hrnet_pose_ros.pipeline.gate import FrameGate, PairedFrame
from hrnet_pose_ros.pipeline.image_transport import RAW, ImageTransport
from hrnet_pose_ros.pipeline.pairing import Pair, PendingMessage
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings
from hrnet_pose_ros.pose.poses import Poses
from hrnet_pose_ros.ros.image_input import ImageInput
from hrnet_pose_ros.ros.log import ThrottledWarnings


@functools.cache
def bundled_engine() -> PoseEngine:
    """One for all benches: making it takes longer than most of their tests."""
    return make_engine("hrnetv2_w24_small", precision="float32", max_batch=1)


class FailingEngine(PoseEngine):
    """The bundled engine; `fault` is called before each estimate, `closing_fault` before it
    closes; both may raise.

    ``kind`` is what it says of itself: ``tensorrt`` makes it the engine of a GPU.
    """

    def __init__(self, kind: str = "openvino") -> None:
        self._engine = bundled_engine()
        self._kind = kind
        self.fault: Callable[[], Any] = lambda: None
        self.closing_fault: Callable[[], Any] = lambda: None
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, engine=self._kind)

    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        self.fault()
        return self._engine.raw_poses(frame, boxes)

    def close(self) -> None:
        self.closing_fault()
        self.closed = True


class FakePublisher:
    """A publisher with a subscriber that keeps what it hears; `fault` may raise."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.subscribers = 1
        self.fault: Callable[[], Any] = lambda: None

    def get_subscription_count(self) -> int:
        return self.subscribers

    def publish(self, message: Any) -> None:
        self.fault()
        self.heard.append(message)


class WallClock:
    """The clock of stamps is the computer's; see `GateClock`."""

    def now(self) -> int:
        return time.time_ns()

    def steady(self) -> float:
        return time.monotonic()


class Bench:
    """A processor whose outputs are kept, and the engines that it made.

    Parameters
    ----------
    frame
        uint8 ``[H, W, 3]``: the pixels of every image.
    retry
        Of the supervisor; the first delay is 0.05 s where there is none.
    transport
        How the processor takes images to come.
    """

    def __init__(
        self,
        frame: np.ndarray,
        retry: RetryPolicy | None = None,
        transport: ImageTransport = RAW,
    ) -> None:
        self.settings = Settings.of({p.name: p.default for p in PARAMETERS} | {"max_age_ms": 1e4})
        self.engines: list[FailingEngine] = []
        self.asked: list[dict[str, Any]] = []  # the arguments of every call of make_engine
        self.infos: list[tuple[EngineInfo, bool]] = []  # that were announced
        self.ended: list[str] = []  # why the process was to end
        self.warnings: list[str] = []
        self.gpu = False  # whether the machine has one for TensorRT
        self.before: Callable[[dict[str, Any]], Any] = lambda arguments: None  # may raise
        self.now = 1000.0  # of the diagnostics' steady clock, which the test moves
        self.stopping = threading.Event()
        self.health = Health("vehicle7", lambda: self.now)
        self.watch = BuildProgress(self.health, self.stopping, lambda: self.now)
        self._pixels = frame
        throttled = ThrottledWarnings(self)
        self.gate = FrameGate(self.settings, WallClock(), transport, self.health.drops.add)
        self.gate.open()
        self.supervisor = EngineSupervisor(
            lambda: self.settings,
            self.health,
            throttled,
            self.watch,
            lambda info, fallback: self.infos.append((info, fallback)),
            self.ended.append,
            make=self._make,
            select=self._select,
            retry=retry or RetryPolicy(first_delay=0.05),
        )
        self.publishers = PosePublishers(*(FakePublisher() for _ in fields(PosePublishers)))
        for optional in ("overlay", "markers", "annotations"):
            getattr(self.publishers, optional).subscribers = 0
        self.optional_outputs = OptionalOutputs(self.publishers, throttled)
        self.processor = FrameProcessor(
            lambda: self.settings,
            ImageInput("/image", transport),
            self.gate,
            self.supervisor,
            self.publishers.skeletons,
            self.optional_outputs,
            self.health,
            throttled,
        )

    @property
    def published(self) -> list[Any]:
        """The SkeletonArrays."""
        return self.publishers.skeletons.heard

    def warning(self, text: str) -> None:
        """As a node's logger."""
        self.warnings.append(text)

    def _select(self, arguments: Mapping[str, Any]) -> EngineSelection:
        why = "" if self.gpu else "no CUDA device"
        return selected_engine(arguments, why_no_tensorrt=lambda device: why)

    def _make(self, **arguments: Any) -> FailingEngine:
        self.asked.append(arguments)
        self.before(arguments)
        self.engines.append(FailingEngine(arguments["selection"].engine))
        return self.engines[-1]

    def set(self, **values: Any) -> None:
        """Change parameters."""
        self.settings = replace(self.settings, **values)
        self.gate.apply(self.settings)

    def process(self, count: int = 1) -> None:
        """Send new images through."""
        for _ in range(count):
            self.processor.process(self.frame())

    def engine_status(self, active: bool = True) -> Any:
        """The status `engine` as diagnostics would have it now."""
        situation = NodeStatus(
            active=active, incompatible_qos=[], transition_problem="", warn_age=0.3
        )
        return self.health.statuses("/node", situation)[0]

    def frame(
        self, age: float = 0.0, persons: int = 1, compressed: bytes | None = None
    ) -> PairedFrame:
        """A frame as the gate lets it through; ``compressed``: a file in place of the pixels."""
        stamp = time.time_ns() - round(age * 1e9)
        height, width = self._pixels.shape[:2]
        image = Image(header=header(stamp), height=height, width=width, step=3 * width)
        image.encoding, image.data = "rgb8", self._pixels.tobytes()
        boxes, ids = [[300.0, 200.0, 60.0, 150.0]] * persons, ["a"] * persons
        detections = detection_array(header(stamp), boxes, [0.9] * persons, ids)
        now = time.monotonic()
        if compressed is not None:
            image = CompressedImage(header=header(stamp), format="png", data=compressed)
        pair = Pair(PendingMessage(stamp, image, now), PendingMessage(stamp, detections, now), 0)
        return PairedFrame(pair, 0.0, now)

    def drops(self) -> dict[str, int]:
        return self.health.drops.counts()


def fail() -> None:
    raise RuntimeError("out of memory")
