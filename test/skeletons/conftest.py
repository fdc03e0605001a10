# SPDX-License-Identifier: Apache-2.0
"""Models of other skeletons than COCO's: small HRNets with random weights from a seed."""

from __future__ import annotations

import numpy as np
import pytest
from node_fixtures import namespace, robot, ros, start  # noqa: F401
from other_models import INPUT_SIZE, OtherModel

from hrnet_pose_ros.skeleton import find_skeleton


@pytest.fixture(scope="session", params=["mpii16", "wholebody133"])
def other_model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> OtherModel:
    import torch

    from hrnet_pose_ros.engines.precision_check import load_check_crops
    from hrnet_pose_ros.network.export import export_onnx
    from hrnet_pose_ros.network.export_end2end import export_end2end_graph
    from hrnet_pose_ros.network.pose_networks import pose_network

    model = OtherModel(tmp_path_factory.mktemp(request.param), find_skeleton(request.param))
    torch.manual_seed(7)
    weights = pose_network("hrnetv2_w24_small", model.skeleton.joints).state_dict()
    weights["final_layer.weight"] *= 20  # peaks that count: fresh maps are nearly 0
    torch.save(weights, model.checkpoint)
    facts = {
        "crops": load_check_crops()[:2],
        "skeleton": model.skeleton,
        "input_size": INPUT_SIZE,
    }
    export_onnx(model.checkpoint, model.onnx, **facts)
    # The export runs the file in ONNX Runtime and compares each step.
    export_end2end_graph(
        model.checkpoint,
        model.end2end,
        precision="float32",
        decoding="dark",
        flip_test=True,
        **facts,
    )
    return model


@pytest.fixture(scope="session")
def frame() -> np.ndarray:
    """One RGB frame of the bundled clip, with persons at `BOXES`."""
    from street import clip_frames

    return next(iter(clip_frames({50})))[1]
