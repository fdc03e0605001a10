# SPDX-License-Identifier: Apache-2.0
"""Links that open a bag in Foxglove at a time.

Their form is that of Foxglove's shareable links (docs.foxglove.dev, "Shareable links"): ``ds`` says
what kind of source it is, ``ds.url`` where it lies, ``time`` is in RFC 3339. Lichtblick, the free
fork, takes the same under its own address.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from hrnet_pose_ros.fleet.comparison.persons import utc_text

VIEWER = "https://app.foxglove.dev/~/view"
BEFORE_NS = 1_000_000_000  # a link opens so long before the finding


def viewer_link(viewer: str, file_url: str, start_ns: int) -> str:
    """A link to an mcap file shortly before a stamp.

    Examples
    --------
    >>> viewer_link(VIEWER, "https://bags.example/a.mcap", 1_750_000_001_000_000_000)
    'https://app.foxglove.dev/~/view?ds=remote-file&ds.url=https%3A%2F%2Fbags.example%2Fa.mcap&time=2025-06-15T15%3A06%3A40.000000000Z'
    """
    values = {"ds": "remote-file", "ds.url": file_url, "time": utc_text(start_ns - BEFORE_NS)}
    mark = "&" if "?" in viewer else "?"
    return f"{viewer}{mark}{urlencode(values, quote_via=quote, safe='')}"
