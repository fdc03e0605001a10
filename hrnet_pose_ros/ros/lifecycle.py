# SPDX-License-Identifier: Apache-2.0
"""Fixes for rclpy's lifecycle: impossible transition requests, shutdown while configuring, and work
of transitions on another thread.
"""

from __future__ import annotations

import threading
import time
from concurrent import futures
from typing import Any

from lifecycle_msgs.msg import State, Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, TransitionCallbackReturn

# How long a shutdown waits for the configuration that it cancels, seconds.
CANCEL_TIMEOUT = 10.0

_SHUTDOWN = "shutdown"  # this label selects the shutdown transition of the current state
_SHUTDOWNS = {
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class RobustLifecycleMixin(LifecycleNodeMixin):
    """Replaces LifecycleNodeMixin for a node whose services run on several threads.

    Attributes
    ----------
    transition_problem
        Why the last transition with work failed; empty if it did not.
    """

    def __init__(self, callback_group: ReentrantCallbackGroup) -> None:
        self.transition_problem = ""
        LifecycleNodeMixin.__init__(self, callback_group=callback_group)

    def wait_for_work(
        self,
        what: str,
        work: futures.Future[Any],
        stopping: threading.Event,
        cancelled: tuple[type[Exception], ...] = (),
    ) -> TransitionCallbackReturn:
        """Wait for a transition's work on another thread; log errors, which rclpy would swallow.

        ``cancelled`` are exceptions by which the work says that it was cancelled.
        """
        node: Any = self
        while not stopping.is_set():
            try:
                work.result(timeout=0.1)
            except futures.TimeoutError:
                continue
            except futures.CancelledError:
                break
            except cancelled as error:
                node.get_logger().info(f"{what} was cancelled: {error}")
                return TransitionCallbackReturn.FAILURE
            except Exception as error:
                self.transition_problem = f"cannot {what}: {error}"
                node.get_logger().error(self.transition_problem)
                return TransitionCallbackReturn.ERROR
            self.transition_problem = ""
            return TransitionCallbackReturn.SUCCESS
        return TransitionCallbackReturn.FAILURE

    def cancel_configuration(self) -> None:
        """Make `on_configure` return soon. Called from another thread, possibly several times."""
        raise NotImplementedError

    def state_id(self) -> int:
        """Return the lifecycle state, a constant of lifecycle_msgs/State."""
        return self._state_machine.current_state[0]

    def _LifecycleNodeMixin__on_change_state(self, request: Any, response: Any) -> Any:
        """Refuse a request for a transition that the current state does not have.

        rclpy raises an error from the service callback, which would end the executor. A shutdown
        while the node is configuring first cancels that: making an engine can take minutes.
        """
        wanted = request.transition
        shutdown = wanted.id in _SHUTDOWNS or wanted.label == _SHUTDOWN
        if shutdown and self._end_configuration():
            wanted.label = _SHUTDOWN
        try:
            mixin: Any = LifecycleNodeMixin
            return mixin._LifecycleNodeMixin__on_change_state(self, request, response)
        except Exception as error:
            node: Any = self
            name = wanted.label or wanted.id
            node.get_logger().warning(f"transition {name} was refused: {error}")
            response.success = False
            return response

    def _end_configuration(self) -> bool:
        """Cancel a running configuration; return True once it has ended, False if none runs."""
        if self.state_id() != State.TRANSITION_STATE_CONFIGURING:
            return False
        deadline = time.monotonic() + CANCEL_TIMEOUT
        while time.monotonic() < deadline:
            if self.state_id() in (State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE):
                return True
            self.cancel_configuration()
            time.sleep(0.02)
        return False
