# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time

import pytest

from hrnet_pose_ros.ros.engine_thread import EngineThread
from hrnet_pose_ros.ros.mailbox import Mailbox


def test_the_mailbox_keeps_the_newest() -> None:
    box: Mailbox[int] = Mailbox()
    assert box.put(1) is None
    assert box.put(2) == 1
    assert box.take(0) == 2
    assert box.take(0.01) is None
    box.put(3)
    assert box.empty() == 3
    assert box.empty() is None


def test_waking_the_reader_loses_nothing() -> None:
    box: Mailbox[int] = Mailbox()
    box.wake()
    assert box.take(5) is None
    box.put(1)
    box.wake()
    assert box.take(5) == 1


def test_frames_and_calls_run_on_one_thread() -> None:
    seen: list[tuple[object, int]] = []
    done = threading.Event()

    def process(frame: int) -> None:
        seen.append((frame, threading.get_ident()))
        done.set()

    thread = EngineThread(process)
    assert thread.put(7) is None
    assert done.wait(30)
    ident = thread.call(threading.get_ident).result(30)
    assert seen == [(7, ident)] and ident != threading.get_ident()
    assert thread.stop(30)


def test_what_a_call_raises_comes_to_the_caller() -> None:
    thread: EngineThread[int] = EngineThread(lambda frame: None)
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 // 0).result(30)
    assert thread.call(lambda: 5).result(30) == 5
    thread.stop(30)


def test_frames_that_come_while_it_works_overwrite_each_other() -> None:
    begun, go_on = threading.Event(), threading.Event()
    processed = []

    def process(frame: int) -> None:
        processed.append(frame)
        begun.set()
        assert go_on.wait(30)

    thread = EngineThread(process)
    thread.put(1)
    assert begun.wait(30)
    assert thread.put(2) is None
    assert thread.put(3) == 2
    go_on.set()
    thread.call(lambda: None).result(30)
    deadline = time.monotonic() + 30
    while len(processed) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processed == [1, 3]
    thread.stop(30)


def test_stop_cancels_what_has_not_begun() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(30)

    thread: EngineThread[int] = EngineThread(lambda frame: None)
    thread.call(wait)
    assert begun.wait(30)
    waiting = thread.call(lambda: 1)
    assert not thread.stop(0.05)  # still busy
    go_on.set()
    assert thread.stop(30)
    assert waiting.cancelled()
    assert thread.call(lambda: 1).cancelled()
