# SPDX-License-Identifier: Apache-2.0
"""rclpy's lifecycle where it falls short: impossible requests, and an end while it configures."""

from __future__ import annotations

import time
from typing import Any

from lifecycle_msgs.msg import State, Transition
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin

# How long a shutdown waits for the configuration that it ends.
END_TIMEOUT = 10.0

_SHUTDOWN = "shutdown"  # the label stands for the right transition of whatever state
_SHUTDOWNS = {
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
    Transition.TRANSITION_INACTIVE_SHUTDOWN,
    Transition.TRANSITION_ACTIVE_SHUTDOWN,
}


class ForgivingLifecycle(LifecycleNodeMixin):
    """A base in place of LifecycleNodeMixin, for a node whose services run on several threads."""

    def __init__(self, callback_group: ReentrantCallbackGroup) -> None:
        LifecycleNodeMixin.__init__(self, callback_group=callback_group)

    def cancel_configuration(self) -> None:
        """Have `on_configure` return soon. Called from another thread, maybe several times."""
        raise NotImplementedError

    def state_id(self) -> int:
        """The lifecycle state, as numbered in lifecycle_msgs/State."""
        return self._state_machine.current_state[0]

    def _LifecycleNodeMixin__on_change_state(self, request: Any, response: Any) -> Any:
        """Answer a request for a transition that the state does not have with a refusal.

        rclpy lets its error out of the service's callback, which would end the executor. A
        shutdown while the node configures ends that first: making an engine can take minutes.
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
            node.get_logger().warning(f"transition {wanted.label or wanted.id} refused: {error}")
            response.success = False
            return response

    def _end_configuration(self) -> bool:
        """Cancel the configuration that is at work, if one is; True when it is over."""
        if self.state_id() != State.TRANSITION_STATE_CONFIGURING:
            return False
        deadline = time.monotonic() + END_TIMEOUT
        while time.monotonic() < deadline:
            if self.state_id() in (State.PRIMARY_STATE_UNCONFIGURED, State.PRIMARY_STATE_INACTIVE):
                return True
            self.cancel_configuration()
            time.sleep(0.02)
        return False
