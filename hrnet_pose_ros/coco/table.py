# SPDX-License-Identifier: Apache-2.0
"""Tables 1 and 2 of the HRNet paper with a measured row added, in Markdown.

Sun, Xiao, Liu, Wang, "Deep High-Resolution Representation Learning for Human Pose Estimation"
(CVPR 2019). The paper's rows use the detector boxes of SimpleBaseline (person AP 56.4 on
val2017) and flip test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class MethodRow(NamedTuple):
    """One method; values are text as in the paper, empty if not given.

    ``scores``: AP, AP50, AP75, APM, APL, AR in percent.
    """

    method: str
    backbone: str
    pretrained: str
    input_size: str
    parameters: str
    gflops: str
    scores: str


VAL2017 = (
    MethodRow("8-stage Hourglass", "8-stage Hourglass", "no", "256x192", "25.1 M", "14.3", "66.9"),
    MethodRow("CPN", "ResNet-50", "yes", "256x192", "27.0 M", "6.20", "68.6"),
    MethodRow("CPN + OHKM", "ResNet-50", "yes", "256x192", "27.0 M", "6.20", "69.4"),
    MethodRow(
        *("SimpleBaseline", "ResNet-50", "yes", "256x192", "34.0 M", "8.90"),
        "70.4 88.6 78.3 67.1 77.2 76.3",
    ),
    MethodRow(
        *("SimpleBaseline", "ResNet-101", "yes", "256x192", "53.0 M", "12.4"),
        "71.4 89.3 79.3 68.1 78.1 77.1",
    ),
    MethodRow(
        *("SimpleBaseline", "ResNet-152", "yes", "256x192", "68.6 M", "15.7"),
        "72.0 89.3 79.8 68.7 78.9 77.8",
    ),
    MethodRow(
        *("HRNet-W32", "HRNet-W32", "no", "256x192", "28.5 M", "7.10"),
        "73.4 89.5 80.7 70.2 80.1 78.9",
    ),
    MethodRow(
        *("HRNet-W32", "HRNet-W32", "yes", "256x192", "28.5 M", "7.10"),
        "74.4 90.5 81.9 70.8 81.0 79.8",
    ),
    MethodRow(
        *("HRNet-W48", "HRNet-W48", "yes", "256x192", "63.6 M", "14.6"),
        "75.1 90.6 82.2 71.5 81.8 80.4",
    ),
    MethodRow(
        *("SimpleBaseline", "ResNet-152", "yes", "384x288", "68.6 M", "35.6"),
        "74.3 89.6 81.1 70.5 79.7 79.7",
    ),
    MethodRow(
        *("HRNet-W32", "HRNet-W32", "yes", "384x288", "28.5 M", "16.0"),
        "75.8 90.6 82.7 71.9 82.8 81.0",
    ),
    MethodRow(
        *("HRNet-W48", "HRNet-W48", "yes", "384x288", "63.6 M", "32.9"),
        "76.3 90.8 82.9 72.3 83.4 81.2",
    ),
)

TEST_DEV = (
    MethodRow("OpenPose (bottom-up)", "", "", "", "", "", "61.8 84.9 67.5 57.1 68.2 66.5"),
    MethodRow(
        "Associative Embedding (bottom-up)", "", "", "", "", "", "65.5 86.8 72.3 60.6 72.6 70.2"
    ),
    MethodRow("PersonLab (bottom-up)", "", "", "", "", "", "68.7 89.0 75.4 64.1 75.5 75.4"),
    MethodRow("MultiPoseNet (bottom-up)", "", "", "", "", "", "69.6 86.3 76.6 65.0 76.3 73.5"),
    MethodRow("Mask-RCNN", "ResNet-50-FPN", "", "", "", "", "63.1 87.3 68.7 57.8 71.4"),
    MethodRow(
        *("G-RMI", "ResNet-101", "", "353x257", "42.6 M", "57.0"),
        "64.9 85.5 71.3 62.3 70.0 69.7",
    ),
    MethodRow(
        *("Integral Pose Regression", "ResNet-101", "", "256x256", "45.0 M", "11.0"),
        "67.8 88.2 74.8 63.9 74.0",
    ),
    MethodRow(
        *("G-RMI + extra data", "ResNet-101", "", "353x257", "42.6 M", "57.0"),
        "68.5 87.1 75.5 65.8 73.3 73.3",
    ),
    MethodRow("CPN", "ResNet-Inception", "", "384x288", "", "", "72.1 91.4 80.0 68.7 77.2 78.5"),
    MethodRow("RMPE", "PyraNet", "", "320x256", "28.1 M", "26.7", "72.3 89.2 79.1 68.0 78.6"),
    MethodRow("CFN", "", "", "", "", "", "72.6 86.1 69.7 78.3 64.1"),
    MethodRow(
        *("CPN (ensemble)", "ResNet-Inception", "", "384x288", "", ""),
        "73.0 91.7 80.9 69.5 78.1 79.0",
    ),
    MethodRow(
        *("SimpleBaseline", "ResNet-152", "", "384x288", "68.6 M", "35.6"),
        "73.7 91.9 81.1 70.3 80.0 79.0",
    ),
    MethodRow(
        *("HRNet-W32", "HRNet-W32", "", "384x288", "28.5 M", "16.0"),
        "74.9 92.5 82.8 71.3 80.9 80.1",
    ),
    MethodRow(
        *("HRNet-W48", "HRNet-W48", "", "384x288", "63.6 M", "32.9"),
        "75.5 92.5 83.3 71.9 81.5 80.5",
    ),
    MethodRow(
        *("HRNet-W48 + extra data", "HRNet-W48", "", "384x288", "63.6 M", "32.9"),
        "77.0 92.7 84.5 73.4 83.1 82.0",
    ),
)

COLUMNS = ("AP", "AP50", "AP75", "APM", "APL", "AR")


def measured_row(name: str, input_size: str, values: Mapping[str, float]) -> MethodRow:
    """The row of a measurement: values in [0, 1] become percent with two decimals."""
    scores = " ".join(f"{100 * values[c]:.2f}" if values[c] >= 0 else "–" for c in COLUMNS)
    return MethodRow(f"**{name}**", "measured here", "", input_size, "", "", scores)


def markdown_tables(measured: list[MethodRow], data: str) -> str:
    """Both tables of the paper, with the measured rows first.

    Parameters
    ----------
    measured
        Rows from `measured_row`.
    data
        Name of the data set that was used.
    """
    return "\n\n".join(
        f"{title}\n\n{_table([*measured, *rows])}"
        for title, rows in (
            (f"Measured on {data}; followed by the paper's Table 1 (COCO val2017):", VAL2017),
            (f"Measured on {data}; followed by the paper's Table 2 (COCO test-dev):", TEST_DEV),
        )
    )


def _table(rows: list[MethodRow]) -> str:
    head = ("method", "backbone", "pretrained", "input HxW", "parameters", "GFLOPs", *COLUMNS)
    lines = [head, ("---",) * len(head)]
    for row in rows:
        scores = row.scores.split()
        lines.append((*row[:6], *scores, *[""] * (len(COLUMNS) - len(scores))))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
