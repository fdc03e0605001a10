# SPDX-License-Identifier: Apache-2.0
"""Hides an installed torch, so that the demo shows that the node does not need it."""

raise ImportError("torch is hidden in the demo")
