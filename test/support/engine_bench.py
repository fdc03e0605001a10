# SPDX-License-Identifier: Apache-2.0
"""The node's supervisor and frame processor: a real engine but for its faults, no DDS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ros_robot import header
from sensor_msgs.msg import Image

from hrnet_pose_ros.engines.choose_engine import EngineSelection
from hrnet_pose_ros.engines.engine import EngineInfo, PoseEngine
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.person_detector_node import detection_array
from hrnet_pose_ros.nodes.pose import engine_supervisor
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.diagnostics import Health, Situation
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.frame_processor import Frame, FrameProcessor
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.pipeline.engine_arguments import selected_engine
from hrnet_pose_ros.pipeline.pairing import Pair, Waiting
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings
from hrnet_pose_ros.pose.poses import Poses


class FailingEngine(PoseEngine):
    """The bundled engine; `fault` is called before each estimate and may raise.

    ``kind`` is what it says of itself: ``tensorrt`` makes it the engine of a GPU.
    """

    def __init__(self, kind: str = "openvino") -> None:
        self._engine = make_engine("hrnet_w16_small", precision="float32", max_batch=1)
        self._kind = kind
        self.fault: Callable[[], Any] = lambda: None
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        return replace(self._engine.info, engine=self._kind)

    def raw_poses(self, frame: np.ndarray, boxes: np.ndarray) -> Poses:
        self.fault()
        return self._engine.raw_poses(frame, boxes)

    def close(self) -> None:
        self.closed = True
        self._engine.close()


class Desk:
    """Outputs that keep what they are given."""

    def __init__(self) -> None:
        self.settings = Settings.of({p.name: p.default for p in PARAMETERS} | {"max_age_ms": 1e4})
        self.camera_info = None
        self.image_topic = "/image"
        self.published: list[Any] = []
        self.smoothed: list[Any] = []
        self.infos: list[tuple[EngineInfo, bool]] = []
        self.complaints: list[str] = []
        self.reason: Reason | None = None

    def age(self, stamp: int) -> float:
        return max(time.time_ns() - stamp, 0) / 1e9

    def obsolete(self, epoch: int) -> Reason | None:
        return self.reason

    def publish_skeletons(self, message: Any) -> None:
        self.published.append(message)

    def publish_smoothed(self, make: Callable[[], Any]) -> None:
        self.smoothed.append(make())

    def publish_overlay(self, make: Callable[[], Any]) -> None: ...

    def publish_markers(self, make: Callable[[], Any]) -> None: ...

    def engine_changed(self, info: EngineInfo, fallback: bool) -> None:
        self.infos.append((info, fallback))

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(text)


class Bench:
    """A processor with a desk, and the engines that it made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, frame: np.ndarray) -> None:
        self.desk, self.health = Desk(), Health()
        self.engines: list[FailingEngine] = []
        self.asked: list[dict[str, Any]] = []  # the arguments of every call of make_engine
        self.gpu = False  # whether the machine has one for TensorRT
        self.before: Callable[[dict[str, Any]], Any] = lambda arguments: None  # may raise
        self.stopping = threading.Event()
        self.watch = BuildProgress(self.health, self.stopping)
        self._pixels = frame

        def make(**arguments: Any) -> FailingEngine:
            self.asked.append(arguments)
            self.before(arguments)
            self.engines.append(FailingEngine(arguments["selection"].engine))
            return self.engines[-1]

        def select(arguments: Mapping[str, Any]) -> EngineSelection:
            why = "" if self.gpu else "no CUDA device"
            return selected_engine(arguments, why_no_tensorrt=lambda device: why)

        monkeypatch.setattr(engine_supervisor, "selected_engine", select)
        monkeypatch.setattr(engine_supervisor, "make_engine", make)
        monkeypatch.setattr(engine_supervisor, "FIRST_RETRY", 0.05)
        self.supervisor = EngineSupervisor(self.desk, self.health, self.watch)
        self.processor = FrameProcessor(self.desk, self.health, self.supervisor)

    def set(self, **values: Any) -> None:
        """Change parameters."""
        self.desk.settings = replace(self.desk.settings, **values)

    def process(self, count: int = 1) -> None:
        """Send new images through."""
        for _ in range(count):
            self.processor.process(self.frame())

    def engine_status(self, active: bool = True) -> Any:
        """The status `engine` as diagnostics would have it now."""
        situation = Situation(
            active=active, incompatible_qos=[], transition_problem="", warn_age=0.3
        )
        return self.health.statuses("/node", situation)[0]

    def frame(self, age: float = 0.0, persons: int = 1, **fields: Any) -> Frame:
        stamp = time.time_ns() - round(age * 1e9)
        height, width = self._pixels.shape[:2]
        image = Image(header=header(stamp), height=height, width=width, step=3 * width)
        image.encoding, image.data = "rgb8", self._pixels.tobytes()
        for name, value in fields.items():
            setattr(image, name, value)
        boxes, ids = [[300.0, 200.0, 60.0, 150.0]] * persons, ["a"] * persons
        detections = detection_array(header(stamp), boxes, [0.9] * persons, ids)
        now = time.monotonic()
        return Frame(Pair(Waiting(stamp, image, now), Waiting(stamp, detections, now), 0), 0.0, now)

    def drops(self) -> dict[str, int]:
        return self.health.drops.counts()


def fail() -> None:
    raise RuntimeError("out of memory")
