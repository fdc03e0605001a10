# SPDX-License-Identifier: Apache-2.0
"""Benchmark of the real node over DDS: ages, overload, memory and start-up with 5 persons.

Times are the node's own (`StageTimes`). A separate process on the same machine receives them and
plays the roles of the camera driver and the detector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.camera import CameraClip
from demo.play import POSE_OUTPUTS, DemoHarness, Recording, running_harness
from demo.processes import NodeProcess
from hrnet_pose_ros.pipeline.stamps import stamp_of

PERSONS = 5
READY_TIMEOUT = 60.0
# Skeleton arrays ignored at the start, while DDS discovery is still going on.
WARM_UP_ARRAYS = 10
OVERLOAD = 2.0
# Fractions of the sustainable rate; with both, every image can be processed.
NOMINAL_LOAD, MEMORY_LOAD = 0.5, 0.8
MAX_NOMINAL_RATE = 10.0  # images a second at most
PROBE_RATE, PROBE_IMAGES = 2.0, 30
STARTING_RATE = 15.0
MEMORY_AFTER = 500
# Memory is compared as the median over this many images, because the allocator fluctuates.
MEMORY_WINDOW = 100


@dataclass(frozen=True)
class StageDurations:
    """``StageTimes`` of all skeleton arrays of a run, milliseconds, each ``[N]``; ``received`` is
    the age on reception by the subscriber."""

    arrival: np.ndarray
    pairing: np.ndarray
    queue: np.ndarray
    conversion: np.ndarray
    inference: np.ndarray
    age: np.ndarray
    received: np.ndarray

    @classmethod
    def of(cls, recording: Recording) -> StageDurations:
        """The durations without the first `WARM_UP_ARRAYS` skeleton arrays."""
        messages = recording.of("/skeletons")[WARM_UP_ARRAYS:]
        if not messages:
            raise RuntimeError(
                f"the node published at most {WARM_UP_ARRAYS} skeleton arrays; see its log"
            )
        arrivals = [at for topic, at, _ in recording.messages if topic == "/skeletons"][
            WARM_UP_ARRAYS:
        ]
        names = ("arrival", "pairing", "queue", "conversion", "inference", "age")
        times = [1e3 * np.array([getattr(m.times, name) for m in messages]) for name in names]
        stamps = [stamp_of(message) for message in messages]
        times.append((np.array(arrivals) - np.array(stamps)) / 1e6)
        return cls(*times)

    @property
    def own(self) -> np.ndarray:
        """Time in the node outside of engine and transport."""
        return self.age - self.arrival - self.inference

    @property
    def publication(self) -> np.ndarray:
        """Creating the message after the age was measured, and sending it to the subscriber."""
        return self.received - self.age


@dataclass(frozen=True)
class LoadRun:
    """One run at a constant rate.

    Attributes
    ----------
    rate
        Images per second.
    sent, answered
        Images.
    stages
        Durations of the answered images.
    """

    rate: float
    sent: int
    answered: int
    stages: StageDurations

    @property
    def sustainable_rate(self) -> float:
        """Images per second that the engine thread could process at this cost."""
        return 1e3 / float(np.median(self.stages.conversion + self.stages.inference))

    def ages_in_inferences(self) -> np.ndarray:
        """Each age without transport, in multiples of the median inference time."""
        age = self.stages.age - self.stages.arrival
        return age / np.median(self.stages.inference)


@dataclass(frozen=True)
class MemoryGrowth:
    """Resident memory in MB early and late in a run, and the number of images sent and answered."""

    sent: int
    answered: int
    early: float
    late: float

    @property
    def growth(self) -> float:
        """Growth relative to the early memory."""
        return self.late / self.early - 1


@dataclass(frozen=True)
class StartupTimes:
    """Seconds from process start to readiness, each ``[N]`` over the starts."""

    engine: np.ndarray
    skeleton: np.ndarray


@dataclass(frozen=True)
class NodeResults:
    """All measurements of the node."""

    nominal: LoadRun
    overload: LoadRun
    memory: MemoryGrowth
    starts: StartupTimes


def measure_node(model: str, *, images: int, memory_images: int, starts: int) -> NodeResults:
    """Run all measurements, each with a new node process.

    Parameters
    ----------
    model
        Name or path, as in the node parameter ``model``.
    images
        Number of images of the nominal and of the overload run.
    memory_images
        Number of images of the memory run, more than `MEMORY_AFTER` + 2 `MEMORY_WINDOW`.
    starts
        Number of starts to measure the time to the first skeleton.

    Raises
    ------
    NotReadyError, RuntimeError
        The node was not ready in time or did not process images.
    """
    probe = _traffic(model, PROBE_RATE, PROBE_IMAGES)
    nominal = _traffic(model, min(NOMINAL_LOAD * probe.sustainable_rate, MAX_NOMINAL_RATE), images)
    sustainable = nominal.sustainable_rate
    overload = _traffic(model, OVERLOAD * sustainable, images)
    memory = _memory(model, MEMORY_LOAD * sustainable, memory_images)
    return NodeResults(nominal, overload, memory, _starts(model, starts))


def _traffic(model: str, rate: float, images: int) -> LoadRun:
    clip = CameraClip(PERSONS, rate, images)
    with running_harness(clip, POSE_OUTPUTS) as harness, _node(model):
        harness.wait_until_ready(READY_TIMEOUT)
        harness.play()
        harness.settle(quiet=1.0, timeout=20.0)
        answered = harness.count("/skeletons")
        return LoadRun(rate, images, answered, StageDurations.of(harness.recording))


def _memory(model: str, rate: float, images: int) -> MemoryGrowth:
    resident: list[int] = []

    def record_memory(number: int) -> bool:
        resident.append(node.memory())
        return True

    clip = CameraClip(PERSONS, rate, images, record_memory)
    with running_harness(clip, POSE_OUTPUTS) as harness, _node(model) as node:
        harness.wait_until_ready(READY_TIMEOUT)
        harness.play()
        harness.settle(quiet=1.0, timeout=20.0)
        answered = harness.count("/skeletons")
    sizes = np.array(resident) / 1e6
    early = np.median(sizes[MEMORY_AFTER : MEMORY_AFTER + MEMORY_WINDOW])
    return MemoryGrowth(images, answered, float(early), float(np.median(sizes[-MEMORY_WINDOW:])))


def _starts(model: str, count: int) -> StartupTimes:
    engines, skeletons = [], []
    for _ in range(count):
        running: list[DemoHarness] = []
        limit = round(READY_TIMEOUT * STARTING_RATE)
        clip = CameraClip(PERSONS, STARTING_RATE, limit, _until_first_skeleton(running))
        with running_harness(clip, POSE_OUTPUTS) as harness:
            running.append(harness)
            with _node(model) as node:
                harness.play()
                harness.settle(quiet=0.2, timeout=5.0)
        engines.append(_first(harness.recording, "/skeleton_info", node.began))
        skeletons.append(_first(harness.recording, "/skeletons", node.began))
    return StartupTimes(np.array(engines), np.array(skeletons))


def _until_first_skeleton(running: list[DemoHarness]) -> Callable[[int], bool]:
    return lambda number: not running[0].count("/skeletons")


def _first(recording: Recording, topic: str, began: int) -> float:
    """Seconds from ``began`` (wall clock, ns) to the first message."""
    arrivals = [arrival for name, arrival, _ in recording.messages if name == topic]
    if not arrivals:
        raise RuntimeError(
            f"no message arrived on {topic} within {READY_TIMEOUT:.0f} s; see the node's log"
        )
    return (arrivals[0] - began) / 1e9


def _node(model: str) -> NodeProcess:
    arguments = ["-r", f"image:={CameraClip.image_topic}", "-p", f"model:={model}"]
    arguments += ["-p", "engine:=openvino"]
    # The largest value of the parameter, so that drops do not hide high ages.
    arguments += ["-p", "max_age_ms:=10000.0"]
    return NodeProcess("hrnet_pose_node", arguments)
