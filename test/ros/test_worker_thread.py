# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from concurrent.futures import CancelledError

import pytest

from hrnet_pose_ros.ros.worker_thread import WorkerThread


def blocked(worker: WorkerThread) -> threading.Event:
    """Make the worker wait until the event is set."""
    begun, release = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        release.wait(10)

    worker.submit("block", wait, 1)
    assert begun.wait(10)
    return release


def test_in_order_and_the_oldest_of_a_kind_makes_room() -> None:
    worker = WorkerThread("test")
    release, done = blocked(worker), []
    replaced = [
        worker.submit(kind, lambda kind=kind, n=n: done.append(f"{kind}{n}"), most=2)
        for kind, n in (("cloud", 1), ("imu", 1), ("cloud", 2), ("cloud", 3), ("imu", 2))
    ]
    assert replaced == [0, 0, 0, 1, 0]
    last = worker.call(lambda: done.append("call"))
    release.set()
    last.result(10)
    assert done == ["imu1", "cloud2", "cloud3", "imu2", "call"]
    assert worker.stop(10)


def test_a_call_raises_for_its_caller_only() -> None:
    worker = WorkerThread("test")
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0).result(10)
    assert worker.call(lambda: 3).result(10) == 3
    assert worker.stop(10)


def test_what_waits_at_the_end_is_cancelled() -> None:
    worker = WorkerThread("test")
    release = blocked(worker)
    waiting = worker.call(lambda: 1)
    stopper = threading.Thread(target=worker.stop, args=(10,))
    stopper.start()
    while not worker._stopping:
        pass
    release.set()
    stopper.join(10)
    with pytest.raises(CancelledError):
        waiting.result(10)
    assert worker.call(lambda: 2).cancelled()
