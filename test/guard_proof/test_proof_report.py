# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose guard-proof`` from the command line to its files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.guard.settings import GuardSettings
from hrnet_pose_ros.guard_proof.closed_loop import DriveOutcome, DriveSample
from hrnet_pose_ros.guard_proof.proof import RideResult, rides_of, run_rides
from hrnet_pose_ros.guard_proof.proof_report import write_proof
from hrnet_pose_ros.guard_proof.ride_times import RideTimes
from hrnet_pose_ros.guard_proof.rides import draw_ride
from hrnet_pose_ros.guard_proof.summary import Summary
from hrnet_pose_ros.guard_proof.world import Contact


def result(number: int, outcome: str, **changes: object) -> RideResult:
    values: dict[str, object] = dict(
        number=number,
        kind="crossing",
        dropout="none",
        source="model, camera+imu+odometry",
        guard=0.0,
        ideal=float("nan"),
        late=float("nan"),
        beside=float("nan"),
        outcome=outcome,
        stopped=True,
        times=RideTimes((0.2,), (0.3,), 9, 10, 0, 100),
        wall_ms=(1.0, 2.0),
        cpu_ms=(1.0, 2.0),
        errors=((0.0, 5.0, 0.1, 0.01, 0.1, 0.01, 0.2, 0.5, 1.0),),
    )
    return RideResult(**(values | changes))  # type: ignore[arg-type]


def held(summary: Summary) -> list[bool | None]:
    return [one.holds for one in summary.criteria]


def test_the_criteria() -> None:
    free = result(1, "no contact", kind="free", stopped=False)
    assert held(Summary((result(0, "no contact"), free))) == [True] * 7
    assert Summary((free,)).holds
    assert not Summary((free, result(2, "failed", guard=0.9, ideal=0.0))).holds
    assert Summary((free, result(2, "unavoidable", guard=0.9, ideal=0.5))).holds
    assert not Summary((free, result(3, "no contact", kind="free"))).holds
    # What a free ride with a dropout does is no false stop.
    assert Summary((free, result(3, "no contact", kind="free", dropout="people_stop"))).holds
    late = RideTimes((0.2, 0.9), (), 0, 10, 20, 100)
    assert held(Summary((free, result(4, "no contact", times=late))))[2:6] == [
        False,
        False,
        True,
        False,
    ]
    assert held(Summary(()))[1:] == [None] * 6


def test_errors_of_velocities_that_nobody_knows_are_left_out() -> None:
    [known] = result(0, "no contact").errors
    unknown = (*known[:6], float("nan"), float("nan"), known[8])
    [row] = Summary((result(0, "no contact", errors=(known, unknown)),)).errors()
    assert row[6] == "0.20, 0.20"
    assert row[7] == "0.50"
    assert Summary(
        (result(0, "no contact", errors=(known[:6] + (float("nan"), 0.5, 1.0),)),)
    ).errors()


def test_the_files(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    moment = DriveSample(0.0, 1.0, 0.5, 0.4, 1.0, "approach", "separation", 1.0)
    drive = DriveOutcome(Contact(0.0, "person_0", 0.9), (moment, moment), np.zeros((3, 3)))
    summary = Summary((result(0, "no contact"), result(1, "failed", guard=0.9, drive=drive)))
    write_proof(tmp_path, summary, seed=1, command="the command")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["holds"] is False
    assert content["seed"] == 1
    assert content["rides"][1]["guard_contact_speed"] == 0.9
    assert content["rides"][0]["ideal_contact_speed"] is None
    assert "1 failed" in (tmp_path / "report.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert "Ride 1, crossing" in page
    assert page.count("<img class='plot'") == 3
    assert "separation (approach)" in page


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["guard-proof", "-o", str(tmp_path / "new"), "--rides", "2", "--fused-every", "0"]
    code = main([*words, "--free-rides", "0", "--seed", "1"])
    content = json.loads((tmp_path / "new" / "report.json").read_text())
    assert code == (0 if content["holds"] else 1)
    assert [one["kind"] for one in content["rides"]] == ["turning_on_the_spot", "crossing"]
    assert "false stops, of free rides" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        *(["--rides", "0"], ["--free-rides", "-1"], ["--jobs", "0"], ["--seed", "-1"]),
        ["--fused-every", "-1"],
    ],
)
def test_numbers_out_of_range(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["guard-proof", "-o", str(tmp_path), *words]) == 2
    assert words[0] in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_told_before_the_rides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hrnet_pose_ros.guard_proof.proof.run_rides", lambda *_: pytest.fail())
    (tmp_path / "file").touch()
    assert main(["guard-proof", "-o", str(tmp_path / "file"), "--rides", "1"]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_more_free_rides_come_after_the_others() -> None:
    numbers = rides_of(4, 10, 3)
    assert numbers[:10] == list(range(10))
    drawn = {number: draw_ride(4, number) for number in range(10, numbers[-1] + 1)}
    free = [n for n, one in drawn.items() if (one.kind, one.dropout.kind) == ("free", "none")]
    assert numbers[10:] == free


def test_jobs_do_not_change_the_rides() -> None:
    """Times of the computation apart."""
    runs = [list(run_rides(range(2), 4, jobs, 0, GuardSettings())) for jobs in (1, 2)]
    assert [one.line() for one in runs[0]] == [one.line() for one in runs[1]]
