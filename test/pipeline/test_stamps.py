# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrnet_pose_ros.pipeline.stamps import nanoseconds, seconds_text, stamp_of, time_fields

# What builtin_interfaces/Time can hold: int32 seconds, uint32 nanoseconds below 1e9.
STAMPS = st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1)


@given(STAMPS)
def test_there_and_back(stamp: int) -> None:
    fields = time_fields(stamp)
    assert 0 <= fields["nanosec"] < 10**9
    assert nanoseconds(SimpleNamespace(**fields)) == stamp


def test_numbers_of_a_bag_become_integers() -> None:
    stamp = SimpleNamespace(sec=np.int32(1_750_000_000), nanosec=np.uint32(7))
    header = SimpleNamespace(header=SimpleNamespace(stamp=stamp))
    assert stamp_of(header) == 1_750_000_000_000_000_007
    assert type(stamp_of(header)) is int


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        (0, "0.000000000"),
        (1_500_000_001, "1.500000001"),
        (1_750_000_000_100_000_000, "1750000000.100000000"),
    ],
)
def test_text(stamp: int, text: str) -> None:
    assert seconds_text(stamp) == text
