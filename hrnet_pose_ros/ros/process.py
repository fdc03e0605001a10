# SPDX-License-Identifier: Apache-2.0
"""Runs a node as a process: start, spin, and a clean exit on a signal at any time."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

# A code (EX_TEMPFAIL of sysexits.h) with which a node ends itself because only a new process can go
# on: launch's respawn and systemd's Restart=on-failure then start one.
RESPAWN = 75

TERMINATION_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def run(module: str) -> None:
    """Run the node that ``module.make_node()`` returns until a signal; does not return.

    The node has a method ``stop() -> bool``, and a reentrant callback group ``slow_callbacks`` if
    some of its callbacks take long. It may set its attribute ``exit_code`` to end the process. The
    exit code is 0 after a signal, 1 if the node cannot be made or its executor fails, and the
    node's own if it set one.
    """
    # From here on the signals are blocked until sigtimedwait takes them, so that none interrupts an
    # import or a C++ call. Threads that start later inherit the mask.
    signals = _block_termination_signals()

    import gc
    import importlib
    import os
    import sys
    import threading

    import rclpy
    from rclpy.exceptions import ParameterException
    from rclpy.executors import Executor, ExternalShutdownException
    from rclpy.qos_overriding_options import InvalidQosOverridesError

    from hrnet_pose_ros.ros.executors import MessageExecutor, SlowExecutor
    from hrnet_pose_ros.ros.parameter_sources import (
        check_parameter_files,
        ignored_parameters,
        parameter_files,
    )
    from hrnet_pose_ros.ros.start import start_error, start_rclpy

    def finish(code: int) -> None:
        # Skips the interpreter's finalization: threads of the middleware or the engine that are
        # still in C++ code must not run while Python is being torn down.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # the terminal may be gone
                stream.flush()
        os._exit(code)

    make_node = importlib.import_module(module).make_node
    node: Any = None
    expected = (ValueError, RuntimeError, OSError, ParameterException, InvalidQosOverridesError)
    try:
        check_parameter_files(sys.argv)
        start_rclpy()
        node = make_node()
    except expected as error:
        print(f"error: {start_error(error)}", file=sys.stderr)
    if node is None:
        gc.collect()  # destroys a partly constructed node; its shared memory would remain
        finish(1)
    for text in ignored_parameters(node, parameter_files(sys.argv)):
        node.get_logger().warning(text)
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
            if not ending.is_set():  # during shutdown it may use objects that are already destroyed
                node.get_logger().fatal(f"executor failed: {type(error).__name__}: {error}")
                failed.set()

    threads = [
        threading.Thread(target=spin, args=(executor,), name="executor", daemon=True)
        for executor in executors
    ]
    for thread in threads:
        thread.start()
    while not failed.is_set() and getattr(node, "exit_code", None) is None:
        if _signal_came(signals, 0.2):
            break
    own_code = getattr(node, "exit_code", None)
    ending.set()
    stopped = node.stop()
    for executor in executors:
        executor.shutdown(timeout_sec=2.0)
    for thread in threads:
        # A waiting executor thread holds the node's handle, and its shared memory would remain.
        thread.join(2.0)
    if stopped and not failed.is_set():
        # Only then: a thread that still runs may use what this destroys.
        node.destroy_node()
        rclpy.try_shutdown()
    finish(1 if failed.is_set() else own_code or 0)


def _block_termination_signals() -> set[signal.Signals]:
    """Block the signals that end the node, and return them."""
    signals = set(TERMINATION_SIGNALS)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        # nohup: a blocked signal would be taken although it is ignored.
        signals.remove(signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    return signals


def _signal_came(signals: set[signal.Signals], seconds: float) -> bool:
    """Wait for one of the signals, at most so many seconds, and return whether it came."""
    # A process that is stopped and continued (SIGSTOP, SIGCONT) comes out of the system call
    # without a signal. Python then returns a siginfo that nobody has filled: its number is 0.
    info = signal.sigtimedwait(signals, seconds)
    return info is not None and info.si_signo in signals
