# SPDX-License-Identifier: Apache-2.0
"""Other skeletons go the whole way: export, engines, node, bag, comparison, drawing, evaluation."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from bag_maker import clip_rows, write_bag
from other_models import INPUT_SIZE, OtherModel
from pretended_device import pretend
from ros_robot import RELIABLE
from tensorrt_fixtures import Heard, key_of, library_or_skip

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines.build_watch import BuildWatch
from hrnet_pose_ros.engines.heatmap_engine import mirrored_back
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt.engine import TensorRtEngine
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_build import build_plan
from hrnet_pose_ros.engines.torch_engine import TorchEngine
from hrnet_pose_ros.model_files.metadata import ModelError
from hrnet_pose_ros.model_files.model_file import ModelFile
from hrnet_pose_ros.network.checkpoints import (
    CheckpointError,
    checkpoint_skeleton,
    load_pose_network,
)
from hrnet_pose_ros.network.onnx_running import graph_inputs, onnx_session
from hrnet_pose_ros.network.pose_networks import joints_of
from hrnet_pose_ros.pipeline.skeleton_messages import poses_of, skeleton_of
from hrnet_pose_ros.pose.boxes import crop_to_image
from hrnet_pose_ros.pose.drawing import draw_poses
from hrnet_pose_ros.replay.answers import read_answers
from hrnet_pose_ros.replay.bags import BagReader
from hrnet_pose_ros.skeleton import COCO17, SkeletonDefinition, read_skeleton

BOXES = [[300.0, 200.0, 60.0, 150.0], [500.0, 180.0, 50.0, 130.0]]
FEW = ("--max-batch", "2")  # sizes of batches to warm up
PATIENT = {"max_age_ms": 10000.0, "max_wait_ms": 2000.0}


def test_files_hold_the_definition(other_model: OtherModel) -> None:
    assert ModelFile.read(other_model.onnx).heatmaps().skeleton == other_model.skeleton
    assert ModelFile.read(other_model.end2end).end2end().model.skeleton == other_model.skeleton


def test_a_file_without_a_definition_is_not_taken_for_coco(other_model: OtherModel) -> None:
    metadata = ModelFile.read(other_model.onnx).heatmaps()
    properties = metadata.to_properties()
    del properties["hrnet_pose.skeleton_definition"]
    with pytest.raises(ModelError, match="without its definition: export it again"):
        type(metadata).from_properties(properties)


def test_a_checkpoint_alone_names_the_way_out(
    other_model: OtherModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.pth"
    alone.write_bytes(other_model.checkpoint.read_bytes())
    with pytest.raises(CheckpointError, match=f"--skeleton {other_model.skeleton.name} or"):
        make_engine(alone)
    output = ["-o", str(tmp_path / "a.onnx")]
    assert main(["export", str(alone), *output, "--skeleton", "halpe26"]) == 2
    assert "but the skeleton 'halpe26' has 26" in capsys.readouterr().err


def test_engines_give_the_same_poses(other_model: OtherModel, frame: np.ndarray) -> None:
    """OpenVINO, PyTorch and the end-to-end graph in ONNX Runtime, with flip test and DARK."""
    boxes = np.array(BOXES)
    openvino = make_engine(
        other_model.onnx, "openvino", "float32", decoding="dark", flip_test=True, max_batch=2
    )
    reference = TorchEngine(
        ModelFile.read(other_model.checkpoint),
        input_size=INPUT_SIZE,
        decoding="dark",
        flip_test=True,
    )
    crops, _ = reference.crops(frame, boxes)
    heatmaps = reference.heatmaps(crops)
    np.testing.assert_allclose(openvino.heatmaps(crops), heatmaps, atol=1e-4)
    poses = openvino.estimate(frame, boxes)
    assert poses.skeleton == openvino.info.skeleton == other_model.skeleton
    assert poses.keypoints.shape == (2, other_model.skeleton.joints, 2)
    assert len(openvino.estimate(frame, np.zeros((0, 4)))) == 0

    transforms = crop_to_image(boxes, INPUT_SIZE).astype(np.float32)
    keypoints, scores, _ = onnx_session(str(other_model.end2end)).run(
        None, graph_inputs(frame, transforms)
    )
    near = np.abs(keypoints - poses.keypoints).max(axis=2) < 0.25 * 4 * transforms[:, :1, 0]
    assert near[poses.valid].mean() > 0.95  # maps of random weights have many equal peaks
    np.testing.assert_allclose(scores, poses.scores, atol=1e-3)

    plain = TorchEngine(ModelFile.read(other_model.checkpoint), input_size=INPUT_SIZE)
    turned = mirrored_back(plain.heatmaps(crops[:, :, ::-1]), True, other_model.skeleton.mirrored)
    np.testing.assert_allclose(heatmaps, (plain.heatmaps(crops) + turned) / 2, atol=1e-5)
    for engine in (openvino, reference, plain):
        engine.close()


def test_tensorrt_builds_it(other_model: OtherModel) -> None:
    if other_model.skeleton.joints < 100:
        pytest.skip("one build is enough: the larger one")
    library = library_or_skip()
    onnx = other_model.end2end.read_bytes()
    plan = build_plan(library, onnx, key_of(onnx, library), here=None, watch=Heard())
    assert len(plan.plan) > 1e6


def test_tensorrt_checks_and_runs_it(
    other_model: OtherModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frame: np.ndarray
) -> None:
    """From the plan's check against the processor to the poses, on the pretended device."""
    pretend(monkeypatch, other_model.end2end)
    options = TensorRtOptions(
        image_size=(768, 576), max_persons=2, typical_persons=2, plan_cache=str(tmp_path)
    )
    file = ModelFile.read(other_model.end2end)
    engine = TensorRtEngine(file, options=options, watch=BuildWatch())
    poses = engine.estimate(frame, np.array(BOXES))
    assert poses.skeleton == engine.info.skeleton == other_model.skeleton
    assert poses.keypoints.shape == (2, other_model.skeleton.joints, 2)
    engine.close()


@pytest.fixture(scope="module")
def clip_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("clip") / "bag", clip_rows(6))


SCENARIO = "name: same\noks: {at_least: 0.99, fraction: 1.0}\n"


def test_bag_comparison_and_overlay(
    other_model: OtherModel, clip_bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = ["--engine", "openvino", "--precision", "float32", *FEW]
    answers = tmp_path / "answers"
    arguments = [str(clip_bag), "-o", str(answers), "--model", str(other_model.onnx), *engine]
    assert main(["replay", *arguments]) == 0
    with BagReader(answers) as bag:
        (info,) = [one.message for one in bag.messages(["/skeleton_info"])]
    # Only training uses the lower body; it is not in messages.
    expected = dataclasses.replace(other_model.skeleton, lower_body=())
    assert skeleton_of(info) == expected
    read = read_answers(answers)
    poses = next(iter(read.frames.values())).poses
    assert len(poses) and poses.skeleton == read.skeleton == expected

    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(SCENARIO)
    out = ["--scenario", str(scenario), "-o", str(tmp_path / "out"), "--images", str(clip_bag)]
    assert main(["compare", str(answers), str(answers), *out]) == 0

    coco = tmp_path / "coco"
    assert main(["replay", str(clip_bag), "-o", str(coco), *engine]) == 0
    capsys.readouterr()
    assert main(["compare", str(answers), str(coco), *out]) == 2
    error = capsys.readouterr().err
    assert f"has the skeleton '{expected.name}'" in error and "'coco17'" in error

    drawn = np.zeros((576, 768, 3), np.uint8)
    draw_poses(drawn, poses, read.frames[min(read.frames)].boxes, min_score=0)
    assert drawn.any()


def test_node_publishes_and_draws_it(
    other_model: OtherModel, robot: Any, start: Callable[..., Any], frame: np.ndarray
) -> None:
    from sensor_msgs.msg import Image

    robot.listen(Image, "overlay", RELIABLE)
    node = start(model=str(other_model.onnx), engine="openvino", precision="float32", **PATIENT)
    robot.wait_until_active(node)
    info = robot.heard["skeleton_info"][-1]
    assert skeleton_of(info).joint_names == other_model.skeleton.joint_names
    answer = robot.answered_pair(frame, BOXES)
    poses, boxes = poses_of(answer, skeleton_of(info))
    assert poses.keypoints.shape == (2, other_model.skeleton.joints, 2)
    np.testing.assert_allclose(boxes, BOXES, atol=1e-4)
    robot.wait_for("overlay")
    assert "Traceback" not in node.log


OWN = """
name: own21
joints:
{joints}
mirror_pairs: [{pairs}]
limbs: [[p0, p1], [p1, p2], [p19, p20]]
roles: {{nose: p20}}
"""


def own_skeleton(path: Path) -> SkeletonDefinition:
    """A user's own 21 key points."""
    joints = "\n".join(f"  - {{name: p{n}, sigma: {0.02 + n / 400}}}" for n in range(21))
    pairs = ", ".join(f"[p{n}, p{n + 1}]" for n in range(0, 18, 2))
    path.write_text(OWN.format(joints=joints, pairs=pairs))
    return read_skeleton(path)


def data_set(folder: Path, skeleton: SkeletonDefinition, frame: np.ndarray) -> Path:
    """A COCO data set of one picture with two persons; the category has another order of joints."""
    folder.mkdir()
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "1.png"), frame[:, :, ::-1])
    rng = np.random.default_rng(0)
    persons = []
    for number, (x, y, width, height) in enumerate(BOXES, 1):
        points = rng.uniform((x, y), (x + width, y + height), (skeleton.joints, 2))
        labels = np.column_stack([points, np.full(skeleton.joints, 2)])[::-1]
        persons.append(
            {
                "id": number,
                "image_id": 1,
                "category_id": 1,
                "bbox": [x, y, width, height],
                "area": width * height / 2,
                "iscrowd": 0,
                "keypoints": labels.ravel().tolist(),
            }
        )
    category = {"id": 1, "name": "person", "keypoints": list(skeleton.joint_names[::-1])}
    path = folder / "person_keypoints.json"
    image = {"id": 1, "file_name": "1.png", "width": 768, "height": 576}
    path.write_text(
        json.dumps({"images": [image], "annotations": persons, "categories": [category]})
    )
    return path


def test_evaluation(other_model: OtherModel, frame: np.ndarray, tmp_path: Path) -> None:
    path = data_set(tmp_path / "data", other_model.skeleton, frame)
    arguments = [str(other_model.onnx), *FEW, "--engine", "openvino", "--precision", "float32"]
    arguments += ["--annotations", str(path), "--images", str(path.parent / "images")]
    report = tmp_path / "report.json"
    plots = ["--plots", str(tmp_path / "plots")]
    assert main(["evaluate", *arguments, "--json", str(report), *plots]) == 0
    content = json.loads(report.read_text())
    assert content["engine"]["skeleton"] == other_model.skeleton.name
    assert list(content["errors"]) == list(other_model.skeleton.joint_names)
    assert 0 <= content["scores"]["AP"] <= 1
    assert len(content["left_right"]) == len(other_model.skeleton.mirror_pairs)


def test_evaluation_on_other_joints_names_them(
    other_model: OtherModel, frame: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = data_set(tmp_path / "data", COCO17, frame)
    arguments = [str(other_model.onnx), *FEW, "--engine", "openvino", "--precision", "float32"]
    arguments += ["--annotations", str(path), "--images", str(path.parent / "images")]
    assert main(["evaluate", *arguments]) == 2
    assert (
        f"no category with the joints of '{other_model.skeleton.name}'" in capsys.readouterr().err
    )


def test_perfect_results_have_ap_1(other_model: OtherModel, tmp_path: Path) -> None:
    """The evaluator takes labels by name, and the sigmas of the skeleton."""
    from hrnet_pose_ros.coco.annotations import read_annotations
    from hrnet_pose_ros.coco.evaluation import evaluate_results

    skeleton = other_model.skeleton
    path = data_set(tmp_path / "data", skeleton, np.zeros((576, 768, 3), np.uint8))
    annotations = read_annotations(path, skeleton)
    results = [
        {
            "image_id": 1,
            "category_id": 1,
            "score": 0.9,
            "keypoints": np.column_stack([points, np.ones(skeleton.joints)]).ravel().tolist(),
        }
        for points in annotations.keypoints
    ]
    assert evaluate_results(annotations, results).values["AP"] == pytest.approx(1)


CONFIG = """
network: hrnetv2_w24_small
skeleton: {skeleton}
narrow_head: true  # 48 channels, as published models of WholeBody's 133 joints have
stages:
  - {{name: only, input_size: 64x64, epochs: 1, batch: 2, learning_rate: 0.001, sigma: 2,
      joint_weights: {{{joint}: 2.0}}}}
train: {{own: {{annotations: {data}, images: {images}}}}}
validation: {{annotations: {data}, images: {images}}}
workers: 0
precision: "32"
"""


def training_config(folder: Path, skeleton: str, joint: str, data: Path) -> Path:
    """A training of one step."""
    path = folder / "training.yaml"
    images = data.parent / "images"
    path.write_text(CONFIG.format(skeleton=skeleton, joint=joint, data=data, images=images))
    return path


def test_a_training_step(other_model: OtherModel, frame: np.ndarray, tmp_path: Path) -> None:
    skeleton = other_model.skeleton
    data = data_set(tmp_path / "data", skeleton, frame)
    config = training_config(tmp_path, skeleton.name, skeleton.joint_names[-1], data)
    assert main(["train", str(config), "-o", str(tmp_path / "run")]) == 0
    best = tmp_path / "run" / "only" / "best.pth"
    network = load_pose_network(best)
    assert checkpoint_skeleton(best, joints_of(network)) == skeleton


def test_own_joints_from_training_to_poses(frame: np.ndarray, tmp_path: Path) -> None:
    """21 key points of a user's own, by a YAML file alone: train, export, run, draw."""
    skeleton = own_skeleton(tmp_path / "own21.yaml")
    data = data_set(tmp_path / "data", skeleton, frame)
    config = training_config(tmp_path, "own21.yaml", "p20", data)
    assert main(["train", str(config), "-o", str(tmp_path / "run")]) == 0
    best = tmp_path / "run" / "only" / "best.pth"
    onnx = tmp_path / "own.onnx"
    assert main(["export", str(best), "-o", str(onnx), "--input-size", "64x64"]) == 0
    assert ModelFile.read(onnx).heatmaps().skeleton == skeleton
    engine = make_engine(onnx, "openvino", "float32", max_batch=2)
    poses = engine.estimate(frame, np.array(BOXES))
    engine.close()
    assert poses.skeleton == skeleton and poses.keypoints.shape == (2, 21, 2)


def test_coco_weights_begin_a_training_of_other_joints(
    root: Path, frame: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from hrnet_pose_ros.training.config import read_config
    from hrnet_pose_ros.training.run import _fresh_network

    own_skeleton(tmp_path / "own21.yaml")
    data = data_set(tmp_path / "data", read_skeleton(tmp_path / "own21.yaml"), frame)
    path = training_config(tmp_path, "own21.yaml", "p20", data)
    start = root / "models" / "hrnetv2_w24_small.pth"
    network = _fresh_network(dataclasses.replace(read_config(path), start=str(start)))
    assert joints_of(network) == 21 and "last layer starts anew" in caplog.text
    kept = torch.load(start, weights_only=True)["conv1.weight"]
    torch.testing.assert_close(network.conv1.weight.detach(), kept)
