# SPDX-License-Identifier: Apache-2.0
"""Stands before a torch that may be installed: the demo shows that the node does not need it."""

raise ImportError("torch is kept out of the demo")
