# SPDX-License-Identifier: Apache-2.0
"""The real node over real DDS: ages, overload, memory, start-up. The compact model, 5 persons.

The figures are the node's own (`StageTimes`), received by a listener that also plays the camera in
a process of its own on the same machine, as the camera driver and the detector would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench.camera import CameraClip
from demo.play import Recording, Stage, stage_of
from demo.processes import NodeProcess
from hrnet_pose_ros.pipeline.stamps import stamp_of

PERSONS = 5
READY_TIMEOUT = 60.0
# Answers that are left out: discovery goes on while the first images come.
FIRST = 10
OVERLOAD = 2.0
# Of the sustainable rate: with the higher one, too, every image can be answered.
CALM, STEADY = 0.5, 0.8
CALM_RATE = 10.0  # images a second at most
PROBE_RATE, PROBE_IMAGES = 2.0, 30
STARTING_RATE = 15.0
MEMORY_AFTER = 500
# Memory is compared as the median of so many images: the allocator swings.
MEMORY_WINDOW = 100


@dataclass(frozen=True)
class StageDurations:
    """``StageTimes`` of all answers of a run, milliseconds, each ``[N]``; ``heard`` is the age
    when the listener had them."""

    arrival: np.ndarray
    pairing: np.ndarray
    queue: np.ndarray
    conversion: np.ndarray
    inference: np.ndarray
    age: np.ndarray
    heard: np.ndarray

    @classmethod
    def of(cls, recording: Recording) -> StageDurations:
        """Those that were published after the first `FIRST` images."""
        messages = recording.of("/skeletons")[FIRST:]
        if not messages:
            raise RuntimeError(f"the node answered no image but the first {FIRST}; see its log")
        arrivals = [at for topic, at, _ in recording.messages if topic == "/skeletons"][FIRST:]
        names = ("arrival", "pairing", "queue", "conversion", "inference", "age")
        times = [1e3 * np.array([getattr(m.times, name) for m in messages]) for name in names]
        stamps = [stamp_of(message) for message in messages]
        times.append((np.array(arrivals) - np.array(stamps)) / 1e6)
        return cls(*times)

    @property
    def own(self) -> np.ndarray:
        """What is neither engine nor transport."""
        return self.age - self.arrival - self.inference

    @property
    def publication(self) -> np.ndarray:
        """Making the message, which comes after the age is taken, and its way to the listener."""
        return self.heard - self.age


@dataclass(frozen=True)
class Traffic:
    """One run at one rate.

    Attributes
    ----------
    rate
        Images a second.
    sent, answered
        Images.
    stages
        Of the answers.
    """

    rate: float
    sent: int
    answered: int
    stages: StageDurations

    @property
    def sustainable_rate(self) -> float:
        """Images a second that the engine thread could do at this cost."""
        return 1e3 / float(np.median(self.stages.conversion + self.stages.inference))

    def ages_in_inferences(self) -> np.ndarray:
        """Each age without its transport, in medians of the inference time."""
        age = self.stages.age - self.stages.arrival
        return age / np.median(self.stages.inference)


@dataclass(frozen=True)
class Memory:
    """Resident MB early and late, and the images sent and answered in all."""

    sent: int
    answered: int
    early: float
    late: float

    @property
    def growth(self) -> float:
        """Share of the early memory."""
        return self.late / self.early - 1


@dataclass(frozen=True)
class Starts:
    """Seconds from the start of the process, each ``[N]`` over the starts."""

    engine: np.ndarray
    skeleton: np.ndarray


@dataclass(frozen=True)
class NodeResults:
    """Everything that was measured of the node."""

    calm: Traffic
    overload: Traffic
    memory: Memory
    starts: Starts


def measure_node(model: str, *, images: int, memory_images: int, starts: int) -> NodeResults:
    """All measurements, one life of the node for each.

    Parameters
    ----------
    model
        Name or path, as the node's parameter ``model``.
    images
        Of the calm run and of the overload.
    memory_images
        Of the memory run, more than `MEMORY_AFTER` + 2 `MEMORY_WINDOW`.
    starts
        How often the node is started for the time to the first skeleton.

    Raises
    ------
    NotReadyError, RuntimeError
        The node did not come up, or did not answer.
    """
    probe = _traffic(model, PROBE_RATE, PROBE_IMAGES)
    calm = _traffic(model, min(CALM * probe.sustainable_rate, CALM_RATE), images)
    sustainable = calm.sustainable_rate
    overload = _traffic(model, OVERLOAD * sustainable, images)
    memory = _memory(model, STEADY * sustainable, memory_images)
    return NodeResults(calm, overload, memory, _starts(model, starts))


def _traffic(model: str, rate: float, images: int) -> Traffic:
    clip = CameraClip(PERSONS, rate, images)
    with stage_of(clip) as stage, _node(model):
        stage.wait_until_ready(READY_TIMEOUT)
        stage.play()
        stage.settle(quiet=1.0, timeout=20.0)
        answered = stage.count("/skeletons")
        return Traffic(rate, images, answered, StageDurations.of(stage.recording))


def _memory(model: str, rate: float, images: int) -> Memory:
    resident: list[int] = []

    def note(number: int) -> bool:
        resident.append(node.memory())
        return True

    clip = CameraClip(PERSONS, rate, images, note)
    with stage_of(clip) as stage, _node(model) as node:
        stage.wait_until_ready(READY_TIMEOUT)
        stage.play()
        stage.settle(quiet=1.0, timeout=20.0)
        answered = stage.count("/skeletons")
    sizes = np.array(resident) / 1e6
    early = np.median(sizes[MEMORY_AFTER : MEMORY_AFTER + MEMORY_WINDOW])
    return Memory(images, answered, float(early), float(np.median(sizes[-MEMORY_WINDOW:])))


def _starts(model: str, count: int) -> Starts:
    engines, skeletons = [], []
    for _ in range(count):
        heard: list[Stage] = []
        limit = round(READY_TIMEOUT * STARTING_RATE)
        clip = CameraClip(PERSONS, STARTING_RATE, limit, _until_answered(heard))
        with stage_of(clip) as stage:
            heard.append(stage)
            with _node(model) as node:
                stage.play()
                stage.settle(quiet=0.2, timeout=5.0)
        engines.append(_first(stage.recording, "/skeleton_info", node.began))
        skeletons.append(_first(stage.recording, "/skeletons", node.began))
    return Starts(np.array(engines), np.array(skeletons))


def _until_answered(heard: list[Stage]) -> Callable[[int], bool]:
    return lambda number: not heard[0].count("/skeletons")


def _first(recording: Recording, topic: str, began: int) -> float:
    """Seconds from ``began`` (wall clock, ns) to the first message."""
    arrivals = [arrival for name, arrival, _ in recording.messages if name == topic]
    if not arrivals:
        raise RuntimeError(f"nothing came on {topic} in {READY_TIMEOUT:.0f} s; see the node's log")
    return (arrivals[0] - began) / 1e9


def _node(model: str) -> NodeProcess:
    arguments = ["-r", f"image:={CameraClip.image_topic}", "-p", f"model:={model}"]
    arguments += ["-p", "engine:=openvino"]
    # No age is hidden by a drop: the largest that the parameter takes.
    arguments += ["-p", "max_age_ms:=10000.0"]
    return NodeProcess("hrnet_pose_node", arguments)
