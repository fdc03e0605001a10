# SPDX-License-Identifier: Apache-2.0
"""Replays many bags on many processes or machines, and compares two such fleets."""
