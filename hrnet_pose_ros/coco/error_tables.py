# SPDX-License-Identifier: Apache-2.0
"""Error types by joint and left-right confusion by pair, as Markdown tables and for JSON.

With two measurements a cell shows both: ``first → second``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hrnet_pose_ros.coco.error_diagnosis import ERROR_TYPES, MATCH_OKS, error_fractions
from hrnet_pose_ros.coco.left_right import OUTCOMES, pair_names
from hrnet_pose_ros.coco.measurement import Measurement
from hrnet_pose_ros.skeleton import SkeletonDefinition

ALL = "all"
_NOTHING = "–"  # no labelled joint or no evaluated pair


def error_tables(measured: Sequence[Measurement]) -> str:
    """Both tables for one measurement or for two side by side, in percent."""
    labelled = [_labelled(one) for one in measured]
    kinds = [_with_all(error_fractions(one.matches), one) for one in measured]
    names = [name.replace("_", " ") for name in _skeleton(measured[0]).joint_names]
    lost = " → ".join(str(one.matches.unmatched_persons) for one in measured)
    return "\n\n".join(
        (
            _of(measured, "Labelled joints of matched persons, percent by error type:"),
            _table(("joint", "labelled", *ERROR_TYPES), [*names, ALL], labelled, kinds),
            f"Labelled persons without a matched result (OKS of at least {MATCH_OKS}): {lost}",
            _of(
                measured,
                "Left and right, percent of the persons whose two joints are far enough apart:",
            ),
            _table(
                ("pair", "evaluated", *OUTCOMES),
                pair_names(_skeleton(measured[0])),
                [one.left_right.evaluated for one in measured],
                [one.left_right.fractions for one in measured],
            ),
        )
    )


def errors_for_json(measured: Measurement) -> dict[str, Any]:
    """``errors``, ``labelled_joints`` by joint and ``left_right`` by pair, for JSON."""
    fractions, evaluated = measured.left_right.fractions, measured.left_right.evaluated
    skeleton = _skeleton(measured)
    return {
        "errors": {
            joint: dict(zip(ERROR_TYPES, kinds.tolist(), strict=True))
            for joint, kinds in zip(
                skeleton.joint_names, error_fractions(measured.matches), strict=True
            )
        },
        "labelled_joints": dict(
            zip((*skeleton.joint_names, ALL), _labelled(measured).tolist(), strict=True)
        ),
        "left_right": {
            pair: {"evaluated": int(evaluated[place])}
            | {
                outcome.replace(" ", "_"): None if np.isnan(fraction) else float(fraction)
                for outcome, fraction in zip(OUTCOMES, fractions[place], strict=True)
            }
            for place, pair in enumerate(pair_names(skeleton))
        },
        "persons_without_result": measured.matches.unmatched_persons,
    }


def _skeleton(measured: Measurement) -> SkeletonDefinition:
    return measured.data.poses.skeleton


def _labelled(measured: Measurement) -> np.ndarray:
    """int64 ``[J + 1]``: number of labelled joints of matched persons, by joint and in total."""
    counts = (measured.matches.errors >= 0).sum(axis=0)
    return np.append(counts, counts.sum())


def _with_all(fractions: np.ndarray, measured: Measurement) -> np.ndarray:
    """float64 ``[J + 1, 5]``: the fractions over all joints appended; NaN if none is labelled."""
    labelled = _labelled(measured)
    total = (fractions * labelled[:-1, None]).sum(axis=0) / max(int(labelled[-1]), 1)
    return np.where(labelled[:, None], np.vstack([fractions, total]), np.nan)


def _of(measured: Sequence[Measurement], words: str) -> str:
    return words[:-1] + " (" + " → ".join(one.title for one in measured) + "):"


def _table(
    head: Sequence[str],
    names: Iterable[str],
    counts: Sequence[np.ndarray],
    fractions: Sequence[np.ndarray],
) -> str:
    lines = [list(head), ["---"] * len(head)]
    for row, name in enumerate(names):
        numbers = [str(count[row]) for count in counts]
        number = numbers[0] if len(set(numbers)) == 1 else " → ".join(numbers)
        cells = [
            " → ".join(_percent(fraction[row, column]) for fraction in fractions)
            for column in range(fractions[0].shape[1])
        ]
        lines.append([name, number, *cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _percent(fraction: float) -> str:
    return _NOTHING if np.isnan(fraction) else f"{100 * fraction:.1f}"
