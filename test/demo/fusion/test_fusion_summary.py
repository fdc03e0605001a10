# SPDX-License-Identifier: Apache-2.0
"""What the fusion demo reads from diagnostics, and when it fails."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from demo.fusion.answers import PEOPLE, PEOPLE_OUTPUTS, Account, FusionAnswers, answers_of
from demo.fusion.figures import problem_of
from demo.fusion.summary import summary_text, table
from demo.play import Recording
from hrnet_pose_ros.msg import Person, PersonArray

OFFSET = 5_000_000_000


def diagnostics(seconds: int, refused: int) -> DiagnosticArray:
    cues = {
        "received.lidar": 10 + refused,
        "used.lidar": 10,
        "refused.lidar.disagrees": refused,
        "refused.depth.no_return": 3,
    }
    inputs = {
        "received.depth/camera_info": 7,
        "used.depth/camera_info": 7,
        "received.points": 9,
        "used.points": 5,
        "waiting.points": 1,
        "refused.points.not_needed": 3,
        "lost.points": 2,
    }
    parts = {"input": inputs, "output": {"latency_ms.p50": 4.5}, "cues": cues}
    return DiagnosticArray(
        header=Header(stamp=Time(sec=seconds)),
        status=[
            DiagnosticStatus(name="/other: input", values=[KeyValue(key="used.points", value="1")]),
            *(
                DiagnosticStatus(
                    name=f"/person_fusion: {part}",
                    values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
                )
                for part, values in parts.items()
            ),
        ],
    )


def people(seconds: int, status: int, reasons: tuple[str, ...] = ()) -> PersonArray:
    persons = [] if status == PersonArray.ERROR else [Person(id="3", posture=Person.POSTURE_LYING)]
    stamp = Header(stamp=Time(sec=seconds))
    return PersonArray(header=stamp, status=status, reasons=list(reasons), people=persons)


def answers(*messages: Any) -> FusionAnswers:
    recording = Recording(PEOPLE_OUTPUTS.types, offset=OFFSET)
    for number, message in enumerate(messages):
        topic = PEOPLE if isinstance(message, PersonArray) else "/diagnostics"
        recording.messages.append((topic, number, serialize_message(message)))
    return answers_of(recording)


def test_counts_of_the_diagnostics() -> None:
    report = answers(diagnostics(6, refused=4)).reports[0]
    assert report.stamp == 1_000_000_000
    assert report.latency == {"p50": 4.5}
    assert report.inputs["points"] == Account(9, 5, 1, 2, Counter(not_needed=3))
    assert report.inputs["points"].balanced
    assert report.inputs["depth/camera_info"] == Account(7, 7)
    assert report.cues["lidar"].refused == Counter(disagrees=4)


def test_refusals_of_the_last_second_only() -> None:
    got = answers(diagnostics(6, 4), diagnostics(7, 4), diagnostics(8, 9))
    assert not got.refused_before(1_500_000_000)
    assert not got.refused_before(2_000_000_000)
    assert got.refused_before(3_900_000_000) == Counter({("lidar", "disagrees"): 5})


def test_people_are_those_of_images() -> None:
    got = answers(
        people(5, PersonArray.ERROR, ("skeletons_silent",)),
        people(6, PersonArray.DEGRADED, ("lidar_silent",)),
        people(7, PersonArray.OK),
    )
    assert got.errors == 1 and sorted(got.people) == [1_000_000_000, 2_000_000_000]
    first = got.people[1_000_000_000]
    assert first.status.name == "DEGRADED" and first.people[0].posture.name == "LYING"
    assert got.arrivals[1_000_000_000] == 1


GOOD = {"received": 2, "used": 1, "waiting": 0, "lost": 0, "refused": {"late": 1}, "balanced": True}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"images_answered": 0, "people": 0}, r"only 0 of 150 images .*late 1"),
        ({"images_answered": 14}, "only 14 of 150"),
        ({"images_answered": 15}, ""),
        ({"people": 0}, "140 of 150 images were answered, but none of them with a person"),
        ({"messages": {"points": GOOD | {"balanced": False}}}, "counts of points are not"),
        ({"cues": {"scan": GOOD | {"balanced": False}}}, "counts of scan are not"),
        ({"exit_codes": {"person_fusion_node": -11}}, r"person_fusion_node \(-11\)"),
    ],
)
def test_problems_of_a_run(changed: dict[str, Any], words: str) -> None:
    summary: dict[str, Any] = {
        "images_played": 150,
        "images_answered": 140,
        "people": 900,
        "messages": {"skeletons": GOOD},
        "cues": {"scan": GOOD},
        "exit_codes": {"person_fusion_node": 0},
    }
    problem = problem_of(summary | changed)
    assert bool(problem) == bool(words)
    assert re.search(words, problem)


def test_the_text_of_a_run_without_people() -> None:
    text = summary_text(
        {
            "scenario": "nobody",
            "seconds": 1.0,
            "rate": 1.0,
            "images_played": 10,
            "images_answered": 0,
            "people_per_image": 0.0,
            "status": {"OK": 0},
            "reasons": {},
            "position": [],
            "consistency": {"nees": None},
            "tracks": {},
            "latency_ms": {},
            "messages": {},
            "cues": {},
        }
    )
    assert "0 of 10 images answered" in text and "Nobody was seen" in text


def test_a_table_is_aligned() -> None:
    lines = table(["name", "n"], [["a", "1"], ["longer", "12345"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2] == "| a      |     1 |"
