# SPDX-License-Identifier: Apache-2.0
"""Compares the results of two fleets: by bag, by tag, and by person."""
