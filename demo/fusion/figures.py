# SPDX-License-Identifier: Apache-2.0
"""The summary of the demo: errors against the truth, latency, and what became of every message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from demo.fusion.answers import Account, FusionAnswers
from demo.fusion.drive import RANGES, SKELETONS, Drive
from demo.outputs import MIN_ANSWERED, failed_nodes, percentiles_ms
from demo.play import Recording
from hrnet_pose_ros.fusion.person import PeopleStatus, StatusReason
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.fusion_report.runs import compare_with_truth
from hrnet_pose_ros.fusion_report.tables import (
    consistency,
    position,
    run_consistencies,
    tracks,
)
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input

# A warning is printed if a larger fraction of all messages came too late to be used.
MANY_LATE = 0.02
# The topics of an input, where they do not have its name.
_TOPICS_OF = {Input.RANGE.value: RANGES}


def figures(drive: Drive, recording: Recording, answers: FusionAnswers) -> dict[str, Any]:
    """The summary of a run: plain values; times in milliseconds, lengths in metres."""
    compared = [
        (answers.people[stamp], truth)
        for stamp, truth in drive.truths.items()
        if stamp in answers.people
    ]
    run = compare_with_truth(compared, drive.camera.at[:2])
    runs = {("drive", "node"): [run]}
    checked = run_consistencies(runs, "node")
    bounds = [
        {"bounds_95": (one.low, one.high), "independent": one.independent}
        for one in checked["drive"]
    ]
    statuses = Counter(people.status for people in answers.people.values())
    reasons = Counter(reason for people in answers.people.values() for reason in people.reasons)
    inputs = answers.reports[-1].inputs if answers.reports else {}
    cues = answers.reports[-1].cues if answers.reports else {}
    return {
        "scenario": drive.scenario.name,
        "seconds": drive.scenario.duration,
        "rate": recording.rate,
        "images_played": drive.images,
        "images_answered": len(answers.people),
        "people": sum(len(people.people) for people in answers.people.values()),
        "people_per_image": _mean([len(people.people) for people in answers.people.values()]),
        "status": {one.name: statuses[one] for one in PeopleStatus}
        | {PeopleStatus.ERROR.name: answers.errors},
        "reasons": {reason.value: reasons[reason] for reason in StatusReason if reasons[reason]},
        "position": [row for row in position(runs, "drive", "node") if row["count"]],
        "consistency": consistency(runs, "drive", "node", checked)
        | (bounds[0] if bounds else {"bounds_95": None, "independent": None}),
        "tracks": tracks(runs, "drive", "node"),
        "latency_ms": latency(drive, recording, answers),
        "messages": {
            name: {"played": _played(name, recording), **_plain(account)}
            for name, account in inputs.items()
        },
        "cues": {name: _plain(account) for name, account in cues.items()},
    }


def latency(
    drive: Drive, recording: Recording, answers: FusionAnswers
) -> dict[str, dict[str, float]]:
    """Percentiles of the times to people: from where, by a description."""
    stamps = [stamp for stamp in drive.truths if stamp in answers.arrivals]
    if not stamps:
        return {}
    sent = dict(zip(drive.truths, recording.played.get(SKELETONS, []), strict=False))
    times = {
        "skeletons published to people received": percentiles_ms(
            [(answers.arrivals[stamp] - sent[stamp]) / 1e9 for stamp in stamps]
        ),
    }
    if recording.rate == 1:
        times["image stamp to people received"] = percentiles_ms(
            [(recording.clip_time(answers.arrivals[stamp]) - stamp) / 1e9 for stamp in stamps]
        )
    if answers.reports and answers.reports[-1].latency:
        inside = "skeletons received to people published, in the node (last 10 s)"
        times[inside] = answers.reports[-1].latency
    return times


def problem_of(summary: Mapping[str, Any]) -> str:
    """Why the demo failed, in one sentence; empty if it succeeded."""
    answered, played = summary["images_answered"], summary["images_played"]
    if not answered or answered < MIN_ANSWERED * played:
        reasons = summary["messages"].get(Input.SKELETONS.value, {}).get("refused", {})
        counts = ", ".join(f"{name} {count}" for name, count in reasons.items())
        return (
            f"only {answered} of {played} images were answered with people. Refused skeletons: "
            f"{counts or 'none'}; see the node's log above. If the reason is too_old or overload, "
            "this machine is overloaded: stop other programs, or play the drive slower with "
            "make demo-fusion RATE=0.25"
        )
    if not summary["people"]:
        return (
            f"{answered} of {played} images were answered, but none of them with a person: check "
            "that the camera of the scenario sees somebody"
        )
    accounts = {**summary["messages"], **summary["cues"]}
    lost = [name for name, account in accounts.items() if not account["balanced"]]
    if lost:
        return f"the node's counts of {', '.join(lost)} are not received = used + refused + waiting"
    return failed_nodes(summary["exit_codes"])


def slowness_of(summary: Mapping[str, Any]) -> str:
    """A warning if this machine could not keep up with the drive; empty if it could."""
    late = (Refusal.OVERLOAD.value, Refusal.TOO_OLD.value)
    refused = {
        name: sum(account["refused"].get(reason, 0) for reason in late)
        for name, account in summary["messages"].items()
    }
    if sum(refused.values()) < MANY_LATE * sum(a["received"] for a in summary["messages"].values()):
        return ""
    counts = ", ".join(f"{name} {count}" for name, count in refused.items() if count)
    return (
        "this machine was too slow or too busy for the drive: the fusion node refused messages as "
        f"overload or too_old ({counts}), so the errors are larger than they need to be. Play the "
        "drive slower: make demo-fusion RATE=0.25"
    )


def _plain(account: Account) -> dict[str, Any]:
    return asdict(account) | {
        "refused": dict(account.refused.most_common()),
        "balanced": account.balanced,
    }


def _played(name: str, recording: Recording) -> int:
    topics: Sequence[str] = _TOPICS_OF.get(name, (f"/{name}",))
    return sum(len(recording.played.get(topic, [])) for topic in topics)


def _mean(values: list[int]) -> float:
    return round(sum(values) / len(values), 1) if values else 0.0
