# SPDX-License-Identifier: Apache-2.0
"""``hrnet_pose compile``: plans built ahead of time, and where the node will look for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tensorrt_fixtures import COMPACT, library_or_skip

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import device_count
from hrnet_pose_ros.engines.tensorrt.graph_file import End2EndGraphFile
from hrnet_pose_ros.engines.tensorrt.library import GpuTarget, TensorRt
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions
from hrnet_pose_ros.engines.tensorrt.plan_cache import list_plans
from hrnet_pose_ros.model_files.model_file import ModelFile

SMALL = ["--image-size", "240x320", "--max-persons", "4", "--typical-persons", "2"]

without_gpu = pytest.mark.skipif(device_count()[0] > 0, reason="there is a CUDA device")


@pytest.fixture(scope="module")
def library() -> TensorRt:
    return library_or_skip()


def compile_to(folder: Path, *arguments: str, model: str = "hrnetv2_w24_small") -> int:
    return main(["compile", model, *SMALL, "-o", str(folder), *arguments])


def test_ahead_of_time(library: TensorRt, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "plans"
    assert compile_to(folder, "--compute-capability", "8.9,8.6") == 0
    out, err = capsys.readouterr()
    (plan,) = list_plans(folder)
    assert out.startswith(f"{plan.path}: built in ")
    assert "building the plan 'hrnetv2_w24_small_float16_320x240_p4_" in err
    assert compile_to(folder, "--compute-capability", "8.6,8.9") == 0
    assert f"{plan.path}: there already" in capsys.readouterr().out

    # What the engine asks for on a vehicle with such a GPU is served by this plan.
    options = TensorRtOptions(image_size=(320, 240), typical_persons=2, max_persons=4)
    vehicle = End2EndGraphFile(ModelFile.read(COMPACT), library).key(
        GpuTarget(("8.9",), "NVIDIA RTX 4090"), options
    )
    assert plan.key is not None
    assert vehicle.against(plan.key) == ""
    assert "persons is" in replace(vehicle, persons=(1, 5, 20)).against(plan.key)
    other = replace(vehicle, target=GpuTarget(("12.0",), "NVIDIA RTX 5090"))
    assert "it is for any GPU with compute capability 8.6, 8.9" in other.against(plan.key)


@without_gpu
def test_says_what_to_name_without_a_gpu(library: TensorRt, tmp_path: Path, capsys) -> None:
    assert compile_to(tmp_path) == 2
    err = capsys.readouterr().err
    assert "no CUDA device: " in err
    assert "name the vehicle's GPU with --compute-capability (of 7.5, 8.6, 8.9" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--compute-capability", "8.7"], "for a GPU of compute capability 8.7"),
        (["--compute-capability", "8.9,9.0"], "cannot build for compute capability 9.0"),
        (["--precision", "int8"], "hrnet_pose quantize"),
        (["--decoding", "dark", "--flip-test"], "hrnet_pose export --graph end2end"),
    ],
)
def test_user_errors(
    arguments: list[str], words: str, library: TensorRt, tmp_path: Path, capsys
) -> None:
    if "--compute-capability" not in arguments:
        arguments = [*arguments, "--compute-capability", "8.9"]
    assert compile_to(tmp_path, *arguments) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("*.plan"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--compute-capability", "sm89"], "must be like 8.9"),
        (["--image-size", "720p"], "must be HEIGHTxWIDTH"),
        (["--precision", "bfloat16"], "invalid choice: 'bfloat16'"),
        (["--max-persons", "0"], "parameter max_persons is 0; allowed: 1 to 500"),
        (["--optimization-level", "9"], "parameter optimization_level is 9; allowed: 0 to 5"),
    ],
)
def test_unreadable_arguments(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        compile_to(tmp_path, *arguments)
    assert words in capsys.readouterr().err


def test_unknown_model(library: TensorRt, tmp_path: Path, capsys) -> None:
    assert compile_to(tmp_path, "--compute-capability", "8.9", model="hrnet_w99") == 2
    assert "no end-to-end graph of 'hrnet_w99'" in capsys.readouterr().err


def test_folder_that_is_none(library: TensorRt, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert compile_to(tmp_path / "file", "--compute-capability", "8.9") == 2
    assert "the plan cache cannot be used" in capsys.readouterr().err
