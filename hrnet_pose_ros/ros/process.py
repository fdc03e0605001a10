# SPDX-License-Identifier: Apache-2.0
"""One node as a process: start, spin, and a clean end on SIGINT and SIGTERM at any moment."""

from __future__ import annotations

import signal
from typing import Any

ENDING = {signal.SIGINT, signal.SIGTERM}


def run(module: str) -> None:
    """Run the node that ``module.make_node()`` returns until a signal; does not return.

    The node has a method ``stop() -> bool``, and a reentrant callback group ``slow_callbacks``
    where some of its callbacks take long. The exit code is 0 after a signal, 1 when the node cannot
    be made or its executor fails.
    """
    # From here on the signals wait until asked for: none can break an import or a C++ call, and
    # threads that start later inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    import gc
    import importlib
    import os
    import sys
    import threading

    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import Executor, ExternalShutdownException
    from rclpy.signals import SignalHandlerOptions

    from hrnet_pose_ros.ros.executors import MessageExecutor, SlowExecutor

    def finish(code: int) -> None:
        # Without the interpreter's own end: threads of the middleware or of the engine that are
        # still in C++ code must not meet a half-dismantled Python.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    make_node = importlib.import_module(module).make_node
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node: Any = None
    try:
        node = make_node()
    except (ValueError, RuntimeError, ParameterException) as error:
        print(f"error: {error}", file=sys.stderr)
    if node is None:
        gc.collect()  # what a half-made node holds: its shared memory would stay
        finish(1)
    slow = getattr(node, "slow_callbacks", None)
    executors: list[Executor] = [MessageExecutor(node, slow)]
    if slow is not None:
        executors.append(SlowExecutor(node, slow))
    failed, ending = threading.Event(), threading.Event()

    def spin(executor: Executor) -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:
            if not ending.is_set():  # at the end it may still reach for what is already destroyed
                node.get_logger().fatal(f"executor failed: {type(error).__name__}: {error}")
                failed.set()

    threads = [
        threading.Thread(target=spin, args=(executor,), name="executor", daemon=True)
        for executor in executors
    ]
    for thread in threads:
        thread.start()
    while not failed.is_set() and signal.sigtimedwait(ENDING, 0.2) is None:
        pass
    ending.set()
    stopped = node.stop()
    for executor in executors:
        executor.shutdown(timeout_sec=2.0)
    for thread in threads:
        # One that still waits holds the node's handle, and the node's shared memory would stay.
        thread.join(2.0)
    if stopped and not failed.is_set():
        # A thread that still runs may use what this destroys.
        node.destroy_node()
        rclpy.try_shutdown()
    finish(1 if failed.is_set() else 0)
