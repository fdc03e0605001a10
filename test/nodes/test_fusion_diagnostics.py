# SPDX-License-Identifier: Apache-2.0
"""The fusion node's diagnostics without a node: what is a condition, and until when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_messages import STAMP, quaternion, transforms

from hrnet_pose_ros.fusion.person import PeopleStatus, StatusReason
from hrnet_pose_ros.nodes.people import diagnostics
from hrnet_pose_ros.nodes.people.diagnostics import FusionHealth, FusionState
from hrnet_pose_ros.pipeline.people.fusion_inputs import Input
from hrnet_pose_ros.pipeline.people.fusion_run import FusionRun
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings


def state(run: FusionRun, now: int = STAMP) -> FusionState:
    status, reasons = run.status(now)
    return FusionState(
        active=True,
        status=status,
        reasons=reasons,
        account=run.account(),
        cues=run.cues(),
        problems=run.current_problems(),
        transforms_refused=run.transforms_refused,
        transform_problems=run.transform_problems(),
    )


@pytest.mark.parametrize("what", [Input.TF, Input.TF_STATIC])
def test_a_transform_warns_until_it_is_usable(what: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.0]
    monkeypatch.setattr(diagnostics.time, "monotonic", lambda: seconds[0])
    health, run = FusionHealth(), FusionRun(PersonFusionSettings())
    run.open(STAMP)

    def said(w: float) -> tuple[bytes, str]:
        place = ("base_link", "camera", STAMP, (0.0, 0.0, 1.0), quaternion(w=w))
        run.take(what, transforms(place), STAMP)
        report = health.statuses("node", state(run))[0]
        assert {one.key: one.value for one in report.values}["refused.transforms"] == "1"
        return report.level, report.message

    level, message = said(0.0)
    assert level == DiagnosticStatus.WARN and "from 'camera' to 'base_link'" in message
    seconds[0] += 10.0
    assert said(1.0)[0] == DiagnosticStatus.OK


def test_skeletons_of_another_run_are_explained() -> None:
    """A SkeletonInfo has come, but it is not that of the skeletons."""
    run = FusionRun(PersonFusionSettings())
    run.open(STAMP)
    problem = "a person has 13 key points, but the skeleton 'coco17' has 17 joints"
    missing = replace(
        state(run),
        status=PeopleStatus.ERROR,
        reasons=(StatusReason.SKELETON_INFO_MISSING,),
        problems={Input.SKELETONS: problem},
    )
    assert f"skeleton_info_missing ({problem})" in FusionHealth().statuses("n", missing)[0].message
