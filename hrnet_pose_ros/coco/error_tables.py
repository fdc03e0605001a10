# SPDX-License-Identifier: Apache-2.0
"""Kinds of errors by joint, and left against right by pair, as Markdown tables and for JSON.

With two measurements a cell holds both: ``first → second``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.error_diagnosis import ERROR_TYPES, MATCH_OKS, error_shares
from hrnet_pose_ros.coco.left_right import OUTCOMES, PAIR_NAMES
from hrnet_pose_ros.coco.measurement import Measurement
from hrnet_pose_ros.skeleton import JOINT_NAMES

ALL = "all"
_NOTHING = "–"  # no joint is labelled, no pair is judged


def error_tables(measured: Sequence[Measurement]) -> str:
    """Both tables of one measurement, or of two side by side, in percent."""
    labelled = [_labelled(one) for one in measured]
    kinds = [_with_all(error_shares(one.matches), one) for one in measured]
    names = [name.replace("_", " ") for name in JOINT_NAMES]
    lost = " → ".join(str(one.matches.unmatched_persons) for one in measured)
    return "\n\n".join(
        (
            _of(measured, "Labelled joints of matched persons, percent by kind of error:"),
            _table(("joint", "labelled", *ERROR_TYPES), [*names, ALL], labelled, kinds),
            f"Labelled persons without a result (none of OKS {MATCH_OKS} or more): {lost}",
            _of(
                measured,
                "Left and right, percent of the persons whose two joints lie far enough apart:",
            ),
            _table(
                ("pair", "judged", *OUTCOMES),
                PAIR_NAMES,
                [one.left_right.judged for one in measured],
                [one.left_right.shares for one in measured],
            ),
        )
    )


def errors_for_json(measured: Measurement) -> dict[str, Any]:
    """``errors`` and ``labelled_joints`` by joint, ``left_right`` by pair, in shares and counts."""
    shares, judged = measured.left_right.shares, measured.left_right.judged
    return {
        "errors": {
            joint: dict(zip(ERROR_TYPES, kinds.tolist(), strict=True))
            for joint, kinds in zip(JOINT_NAMES, error_shares(measured.matches), strict=True)
        },
        "labelled_joints": dict(
            zip((*JOINT_NAMES, ALL), _labelled(measured).tolist(), strict=True)
        ),
        "left_right": {
            pair: {"judged": int(judged[place])}
            | {
                outcome.replace(" ", "_"): None if np.isnan(share) else float(share)
                for outcome, share in zip(OUTCOMES, shares[place], strict=True)
            }
            for place, pair in enumerate(PAIR_NAMES)
        },
        "persons_without_result": measured.matches.unmatched_persons,
    }


def _labelled(measured: Measurement) -> np.ndarray:
    """int64 ``[18]``: labelled joints of matched persons, by joint and of all."""
    counts = (measured.matches.errors >= 0).sum(axis=0)
    return np.append(counts, counts.sum())


def _with_all(shares: np.ndarray, measured: Measurement) -> np.ndarray:
    """float64 ``[18, 5]``: with the shares of all joints together; NaN where none is labelled."""
    labelled = _labelled(measured)
    total = (shares * labelled[:-1, None]).sum(axis=0) / max(int(labelled[-1]), 1)
    return np.where(labelled[:, None], np.vstack([shares, total]), np.nan)


def _of(measured: Sequence[Measurement], words: str) -> str:
    return words[:-1] + " (" + " → ".join(one.title for one in measured) + "):"


def _table(
    head: Sequence[str],
    names: Iterable[str],
    counts: Sequence[np.ndarray],
    shares: Sequence[np.ndarray],
) -> str:
    lines = [list(head), ["---"] * len(head)]
    for row, name in enumerate(names):
        numbers = [str(count[row]) for count in counts]
        number = numbers[0] if len(set(numbers)) == 1 else " → ".join(numbers)
        cells = [
            " → ".join(_percent(share[row, column]) for share in shares)
            for column in range(shares[0].shape[1])
        ]
        lines.append([name, number, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(share: float) -> str:
    return _NOTHING if np.isnan(share) else f"{100 * share:.1f}"
