# SPDX-License-Identifier: Apache-2.0
"""One node on two executors: messages on a single thread, slow callbacks on separate threads.

rclpy's MultiThreadedExecutor must not run the message callbacks: after a callback of a mutually
exclusive group it can miss that the group is free again, and images then wait until something else
wakes it (0.1 to 1 s were observed at 10 images per second, rclpy 7.1). A reentrant group always
stays in its wait set, so transitions may use it.
"""

from __future__ import annotations

from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node

# One for a running transition, and two for services that are called in the meantime.
SLOW_THREADS = 3


class MessageExecutor(SingleThreadedExecutor):
    """Runs all callbacks of a node except those of its slow group."""

    def __init__(self, node: Node, slow: ReentrantCallbackGroup | None) -> None:
        super().__init__()
        self._slow = slow
        self.add_node(node)

    def can_execute(self, entity: Any) -> bool:
        """See `rclpy.executors.Executor`."""
        return entity.callback_group is not self._slow and super().can_execute(entity)


class SlowExecutor(MultiThreadedExecutor):
    """Runs only the callbacks of a node's slow group.

    The node is not added, because rclpy allows one executor per node: its MessageExecutor.
    """

    def __init__(self, node: Node, slow: ReentrantCallbackGroup) -> None:
        super().__init__(num_threads=SLOW_THREADS)
        self._node = node
        self._slow = slow

    def get_nodes(self) -> list[Node]:
        """See `rclpy.executors.Executor`."""
        return [self._node]

    def can_execute(self, entity: Any) -> bool:
        """See `rclpy.executors.Executor`."""
        return entity.callback_group is self._slow and super().can_execute(entity)
