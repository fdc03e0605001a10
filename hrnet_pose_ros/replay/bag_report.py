# SPDX-License-Identifier: Apache-2.0
"""The report of `bag_info`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hrnet_pose_ros.replay.fusion_check import SensorReport


@dataclass
class TopicReport:
    """One topic. Times are log times; stamps are checked only if the node uses the topic.

    Attributes
    ----------
    count
        Messages that were read.
    rate_hz
        Messages per second, from the median period; None with fewer than two messages. If the
        messages were recorded in bursts, the periods of their stamps, or the mean period, count.
    gaps, longest_gap_s
        Number of pauses longer than three periods, and the longest pause.
    missing
        For images: how many are missing at a constant rate, from the pauses between stamps.
    stamps_out_of_order
        Stamps that repeat or go back.
    delay_ms
        Median of log time minus stamp, milliseconds.
    formats
        ``{"bgr8 768x576": 125}``; compressed images with their format in place of the encoding.
    is_depth
        Whether the images are depth images, which are for the fusion.
    """

    name: str
    type: str
    count: int
    rate_hz: float | None = None
    gaps: int = 0
    longest_gap_s: float = 0.0
    missing: int = 0
    unreadable: int = 0
    stamps_out_of_order: int = 0
    delay_ms: float | None = None
    formats: dict[str, int] = field(default_factory=dict)
    is_depth: bool = False
    frame_ids: dict[str, int] = field(default_factory=dict)


@dataclass
class PairingReport:
    """How images and detections pair up, and what the node would drop.

    Attributes
    ----------
    exact, within_tolerance
        Fraction of the images with detections of the same stamp, and within ``sync_tolerance_ms``.
    nearest_ms
        Median distance of an image stamp to the nearest detection stamp, milliseconds.
    processed
        Images that the node would process if it were fast enough.
    drops
        Drops as the node counts them, without those caused by a slow engine.
    class_ids
        ``{class: detections}``.
    """

    image: str
    detections: str | None
    exact: float
    within_tolerance: float
    nearest_ms: float | None
    processed: int
    drops: dict[str, int]
    class_ids: dict[str, int]


@dataclass
class BagReport:
    """The complete report; ``advice`` says how to fix each problem, one sentence per entry.

    ``other_versions`` are the topics with messages of another version of this package, and why
    they are not read. ``sensors`` are the inputs of the fusion, if the bag has skeletons.
    """

    path: str
    duration_s: float
    loss: str
    topics: list[TopicReport]
    pairing: PairingReport | None
    advice: list[str]
    other_versions: dict[str, str] = field(default_factory=dict)
    sensors: list[SensorReport] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return asdict(self)
