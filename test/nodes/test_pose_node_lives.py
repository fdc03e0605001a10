# SPDX-License-Identifier: Apache-2.0
"""The lives of the node `hrnet_pose`: its transitions, its clock, its peers, and how it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from ros_robot import TIMEOUT, SimulatedClock, nanoseconds

BOXES = [[300.0, 200.0, 60.0, 150.0], [500.0, 180.0, 50.0, 130.0]]
# Slow machines and cold caches must not fail a test of something else.
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0}


@pytest.fixture
def ready(robot: Any, start: Callable[..., Any]) -> Callable[..., Any]:
    """Start the node with parameters and wait until it is active and connected."""

    def ready(*arguments: str, **parameters: Any) -> Any:
        node = start(*arguments, **(PATIENT | parameters))
        robot.wait_until_active(node)
        return node

    return ready


@pytest.fixture(scope="module")
def frame(street_frames: list[np.ndarray]) -> np.ndarray:
    return street_frames[2]


def test_a_bag_that_starts_again_under_sim_time(
    robot: Any, start: Callable[..., Any], frame: np.ndarray
) -> None:
    # /clock is best effort: the node may miss some of its times, or hear them after the images.
    node = start("-p", "use_sim_time:=true", clock_tolerance_ms=1000.0, **PATIENT)
    clock = SimulatedClock(robot)
    robot.wait_until_active(node)
    begin, period, count = 5 * 10**9, 100_000_000, 15
    clock.set(begin)

    def play() -> None:
        heard = robot.heard["skeletons"]
        before = len(heard)

        def answered(stamp: int) -> bool:
            return any(nanoseconds(message) == stamp for message in heard[before:])

        for number in range(count):
            stamp = begin + number * period
            clock.tick(stamp)
            robot.send_image(frame, stamp)
            robot.send_detections(BOXES[:1], stamp)
            # Images that come faster than they are answered overwrite each other.
            robot.wait(lambda stamp=stamp: answered(stamp), 2.0, fail=False)
        # The first ones may still belong to the former time, and images are best effort too.
        assert len(heard) >= before + count // 2

    play()
    play()  # back by 1.4 s
    stamps = [nanoseconds(m) for m in robot.heard["skeletons"]]
    assert set(stamps) <= {begin + n * period for n in range(count)}
    ages = [m.times.age for m in robot.heard["skeletons"]]
    assert all(0 <= age < 2 for age in ages)  # on the bag's clock, never negative
    assert not [key for key in robot.values() if "clock_differs" in key]


def services_answer_while_an_engine_is_prepared(robot: Any) -> None:
    """Configure the node and clean it up, until a service was seen to be answered in between."""
    client = robot.node.create_client(ChangeState, "hrnet_pose/change_state")
    assert client.wait_for_service(TIMEOUT)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))

    def seen() -> set[str]:
        """The states while a transition goes on; as many as it and this process have time for."""
        future, states = client.call_async(request), set()
        while not future.done():
            states.add(robot.state())
        assert future.result().success
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        return states

    robot.wait(lambda: "configuring" in seen())


def test_lifecycle_by_hand(robot: Any, start: Callable[..., Any], frame: np.ndarray) -> None:
    node = start(autostart=False, **PATIENT)
    assert robot.state() == "unconfigured"
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)  # not from here; and it lives
    services_answer_while_an_engine_is_prepared(robot)
    for _ in range(2):
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.state() == "inactive"
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        assert len(robot.answered_pair(frame, BOXES).skeletons) == 2
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        assert robot.state() == "unconfigured"
    before = len(robot.heard["skeletons"])

    def refused() -> bool:
        robot.send_pair(frame, BOXES)  # an image may be lost
        drops = "dropped.images.engine_not_ready"
        return robot.wait(lambda: int(robot.values().get(drops, 0)), 5.0, fail=False)

    robot.wait(refused)
    assert len(robot.heard["skeletons"]) == before
    assert robot.transition(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert "Traceback" not in node.log


def test_incompatible_qos_is_said_with_the_peers_name(
    robot: Any, start: Callable[..., Any]
) -> None:
    node = start("-p", f"qos_overrides.{robot.namespace}/image.subscription.reliability:=reliable")
    status = robot.wait(
        lambda: (s := robot.statuses().get("input")) and "robot publishes" in s.message and s
    )
    assert status.level == DiagnosticStatus.WARN
    assert f"{robot.namespace}/robot publishes {robot.namespace}/image" in status.message
    assert "reliab" in status.message.lower()
    assert "robot publishes" in node.log


def test_many_lives_do_not_grow(robot: Any, start: Callable[..., Any], frame: np.ndarray) -> None:
    node = start(autostart=False, precision="float32", **PATIENT)
    assert robot.state() == "unconfigured"
    sizes = []
    for life in range(9):
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        if life % 4 == 0:
            assert len(robot.answered_pair(frame, BOXES).skeletons) == 2
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        sizes.append(node.memory())
    # The allocator keeps 40 MB more or less from life to life: compare the least of three lives.
    # An engine that stayed would be as much in each of the six between them.
    assert min(sizes[-3:]) - min(sizes[:3]) < 40e6, [round(size / 1e6) for size in sizes]
    assert "Traceback" not in node.log


@pytest.mark.parametrize(
    ("after", "number"),
    [
        *((0.0, signal.SIGINT), (0.0, signal.SIGTERM), (0.2, signal.SIGINT)),
        *((0.5, signal.SIGTERM), (1.0, signal.SIGINT), (2.0, signal.SIGTERM)),
    ],
)
def test_a_signal_at_any_moment_ends_it_cleanly(
    start: Callable[..., Any], after: float, number: signal.Signals
) -> None:
    """From the first line of the node's own on; before it, Python itself is still starting."""
    node = start()
    deadline = time.monotonic() + TIMEOUT
    while not node.blocks(number) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(after)
    assert node.signal(number) == 0, node.log
    assert "Traceback" not in node.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_images_arrive_ends_it_cleanly(
    robot: Any, ready: Callable[..., Any], frame: np.ndarray, number: signal.Signals
) -> None:
    """It leaves no shared memory behind: 35 MB in /dev/shm for each start would fill a vehicle's
    memory in a few hundred starts."""
    before = {str(path) for path in Path("/dev/shm").iterdir()}
    node = ready()
    robot.answered_pair(frame, BOXES)
    own = node.shared_memory() - before
    assert own
    for _ in range(10):
        robot.send_pair(frame, BOXES)
        time.sleep(0.02)
    assert node.signal(number) == 0, node.log
    assert not {path for path in own if Path(path).exists()}
    assert "Traceback" not in node.log
