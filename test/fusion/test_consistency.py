# SPDX-License-Identifier: Apache-2.0
"""The covariances of people are as large as their errors, where errors are drawn as assumed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fusion_scene import EXTRINSICS, START, Walkers, cloud, depth_image, skeletons

from hrnet_pose_ros.fusion.body import ANKLE_HEIGHT_STD, LEVEL_STD
from hrnet_pose_ros.fusion.joint_roles import JointRoles
from hrnet_pose_ros.fusion.people_fusion import PeopleFusion
from hrnet_pose_ros.fusion.person import People, Person
from hrnet_pose_ros.fusion.settings import FusionSettings
from hrnet_pose_ros.skeleton import COCO17

FRAME = 100_000_000


def fusion(**values: Any) -> PeopleFusion:
    return PeopleFusion(FusionSettings(fixed_base=True, **values), EXTRINSICS)


def fuse(core: PeopleFusion, figures: list[np.ndarray], stamp: int, **how: Any) -> list[Person]:
    result = core.fuse(skeletons(figures, stamp, **how), stamp)
    assert isinstance(result, People), result
    return list(result.people)


def keypoint_errors(rng: np.random.Generator, count: int) -> np.ndarray:
    """Errors ``[N, 17, 2]`` of variance 1; the vertical ones are correlated within pairs."""
    errors = rng.normal(0, 1, (count, 17, 2))
    for left, right, alike in JointRoles.of(COCO17).pairs:
        own = np.sqrt(1 - alike**2) * errors[:, right, 1]
        errors[:, right, 1] = alike * errors[:, left, 1] + own
    return errors


def run(seed: int, sensor: str) -> np.ndarray:
    """NEES of the position of each person in the images of one run, ``[images, persons]``.

    Errors are drawn as the fusion assumes them: a lasting error of the pitch and its jitter, of
    stature and of the body's radius, of proportions, of the feet's and the camera's height, and key
    points whose errors are correlated over images and between the joints of a pair.
    """
    rng = np.random.default_rng(seed)
    # The scene has no errors of heading.
    exact = float(np.deg2rad(0.05))
    core = fusion(yaw_std=exact, sensor_mount_std=exact)
    walkers = Walkers(rng)
    pitch, radius = (
        rng.normal(0, np.deg2rad(0.5)),
        float(np.clip(rng.normal(0.12, 0.04), 0.02, 0.3)),
    )
    std, c = 3.0, 0.7
    noise = std * keypoint_errors(rng, walkers.count)
    higher = rng.normal(0, LEVEL_STD * 1.7, (walkers.count, 17))
    higher[:, 15:] = rng.normal(0, ANKLE_HEIGHT_STD, (walkers.count, 1))
    higher += rng.normal(0, core.settings.base_height_std)
    heights = higher[..., None] * np.array([0.0, 0.0, 1.0])
    hidden = (5, 6) if sensor == "ground" else ()
    result = []
    for k in range(12):
        stamp = START + k * FRAME
        walkers.step(0.1)
        noise = c * noise + np.sqrt(1 - c * c) * std * keypoint_errors(rng, walkers.count)
        if sensor == "lidar":
            core.receive(cloud(walkers.place, stamp, rng, radius=radius), stamp)
        if sensor == "depth":
            core.receive(depth_image(walkers.place, stamp, rng, radius=radius), stamp)
        people = fuse(
            core,
            [body + up for body, up in zip(walkers.figures(), heights, strict=True)],
            stamp,
            noise=noise,
            std=std,
            pitch=pitch + rng.normal(0, np.deg2rad(0.2)),
            hidden=hidden,
        )
        error = np.array([p.position[:2] for p in people[: walkers.count]]) - walkers.place
        spread = np.array([p.covariance[:2, :2] for p in people[: walkers.count]])
        result.append((error * np.linalg.solve(spread, error[..., None])[..., 0]).sum(axis=1))
    return np.array(result)


@pytest.mark.parametrize("sensor", ["ground", "camera", "depth", "lidar"])
def test_errors_are_as_large_as_the_covariance_says(sensor: str) -> None:
    """NEES of the position: 2 in the mean, and not far beyond chi-square in its tail."""
    runs = 12
    nees = np.array([run(seed, sensor) for seed in range(runs)])  # [runs, images, persons]
    # The pitch is the same for all persons of a run, and lasts: a run is nearly one draw of it, so
    # the mean over runs of a chi-square with 2 degrees of freedom has the deviation 2 / sqrt(runs).
    mean = float(nees.mean())
    limit = 2.6 * 2 / np.sqrt(runs)
    assert 0.8 < mean < 2 + limit, f"NEES {mean:.2f}"
    within = float((nees < 9.21).mean())  # 99 % of chi-square with 2 degrees of freedom
    assert within > 0.93, f"{within:.3f} within the 99 % ellipse"
