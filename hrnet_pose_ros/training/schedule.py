# SPDX-License-Identifier: Apache-2.0
"""The learning rate over the steps of a stage."""

from __future__ import annotations

import math

from hrnet_pose_ros.training.config import StageConfig


def rate_factor(step: int, steps: int, steps_per_epoch: int, stage: StageConfig) -> float:
    """The factor on the learning rate of the stage in step ``step`` (from 0) of ``steps``.

    It increases linearly over the warm-up. Then it drops to a tenth at each of ``drop_epochs``. If
    there are none, it is constant for the fraction ``hold`` of the steps and decays by half a
    cosine to nearly 0 in the last step. A stage can still be extended before its decay starts.
    """
    rising = min(1.0, (step + 1) / stage.warm_up_steps) if stage.warm_up_steps else 1.0
    if stage.drop_epochs:
        return rising * 0.1 ** sum(step >= epoch * steps_per_epoch for epoch in stage.drop_epochs)
    falling = max(step / steps - stage.hold, 0.0) / (1 - stage.hold)
    return rising * (1 + math.cos(math.pi * falling)) / 2
