# SPDX-License-Identifier: Apache-2.0
"""`hrnet_pose doctor` as its users meet it: the installed command in good and bad surroundings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hrnet_pose_ros.doctor.findings import Severity
from hrnet_pose_ros.doctor.probes import PROBES, run_probe
from hrnet_pose_ros.version import VERSION

SECTIONS = list(dict.fromkeys(probe.section for probe in PROBES))


def doctor(*options: str, **environment: str | None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the installed command; None takes a variable away."""
    given = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | environment  # the same on every machine
    env = {name: value for name, value in given.items() if value is not None}
    command = shutil.which("hrnet_pose")
    assert command is not None
    done = subprocess.run(
        [sys.executable, command, "doctor", *options],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def report(**environment: str | None) -> tuple[int, dict[str, Any]]:
    code, text, complaints = doctor("--json", **environment)
    assert complaints == ""
    return code, json.loads(text)


def found(told: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    return next(one for one in told["sections"][section] if one["name"] == name)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, Any]]:
    """The report on this machine, with a plan in the cache that is none."""
    cache = tmp_path_factory.mktemp("cache")
    folder = cache / "hrnet_pose" / "plans"
    folder.mkdir(parents=True)
    (folder / "stale.plan").write_bytes(b"no plan")
    return report(XDG_CACHE_HOME=str(cache))


def test_a_machine_on_which_the_tests_run_can_run_a_node(here: Any) -> None:
    code, told = here
    assert code == 0 and told["can_run"] and told["errors"] == []
    assert list(told["sections"]) == SECTIONS
    assert found(told, "software", "python")["details"]["executable"] == sys.executable
    for section, name in (("ros", "rclpy"), ("ros", "interfaces"), ("middleware", "node")):
        assert found(told, section, name)["level"] == "ok"
    assert "openvino" in found(told, "engine", "auto")["details"]["engine"]


def test_the_json_report_keeps_to_its_schema(here: Any) -> None:
    """docs/vehicle.md describes it; programs rely on it."""
    told = here[1]
    assert list(told) == ["schema", "version", "can_run", "errors", "warnings", "sections"]
    assert (told["schema"], told["version"]) == (1, VERSION)
    for findings in told["sections"].values():
        for one in findings:
            assert list(one) == ["name", "value", "level", "advice", "details"]
            assert one["level"] in ("ok", "note", "warning", "error")
            assert one["name"] and one["value"] and isinstance(one["details"], dict)
    warned = [
        f"{section}.{one['name']}"
        for section, findings in told["sections"].items()
        for one in findings
        if one["level"] == "warning"
    ]
    assert told["warnings"] == warned


def test_model_files_with_checksums_and_what_they_say(here: Any, root: Path) -> None:
    import hashlib

    onnx = found(here[1], "models", "hrnetv2_w24_small.onnx")["details"]
    content = (root / "models" / "hrnetv2_w24_small.onnx").read_bytes()
    assert onnx["sha256"] == hashlib.sha256(content).hexdigest()
    assert (onnx["model"], onnx["graph"]) == ("hrnetv2_w24_small", "heatmaps graph")
    assert onnx["input"] == "256x192 (HxW)" and onnx["bytes"] == len(content)
    names = [one["name"] for one in here[1]["sections"]["models"]]
    assert names.count("hrnetv2_w24_small.onnx") == 1  # though the source and the install have it
    assert "checkpoint" in found(here[1], "models", "hrnetv2_w24_small.pth")["value"]


def test_the_text_is_readable_and_strict_fails_on_a_warning() -> None:
    code, text, _ = doctor("--strict", ROS_DISTRO="humble")
    assert code == 1
    assert (
        "warning  distribution  humble" in text and "only jazzy and lyrical are supported" in text
    )
    lines = text.splitlines()
    assert [line for line in lines if line in SECTIONS] == SECTIONS
    assert "\033" not in text  # no colour where no terminal is
    assert lines[-1].startswith("A node can run here with the default parameters.")


def test_libraries_that_are_broken_end_only_their_own_part(tmp_path: Path) -> None:
    """One cannot be imported, one crashes, one exits, one prints where the report goes."""
    broken = {
        "cv2": "raise ImportError('libGL.so.1: cannot open shared object file')",
        "tensorrt": "import os; os.abort()",
        "openvino": "import sys; sys.exit(3)",
        "rclpy": "print('hello'); raise RuntimeError('half installed')",
    }
    for name, text in broken.items():
        (tmp_path / f"{name}.py").write_text(text)
    path = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    code, told = report(PYTHONPATH=path)
    assert code == 1 and not told["can_run"]
    assert list(told["sections"]) == SECTIONS
    assert found(told, "software", "numpy")["level"] == "ok"
    assert "libGL" in found(told, "software", "opencv")["value"]
    assert "SIGABRT" in found(told, "gpu", "tensorrt")["value"]
    assert found(told, "openvino", "openvino")["value"] == "broken: ended with code 3"
    assert "half installed" in found(told, "ros", "rclpy")["value"]
    assert "hello" not in json.dumps(told)
    assert {"software.opencv", "ros.rclpy", "engine.engine"} <= set(told["errors"])
    assert all(found(told, *place.split("."))["advice"] for place in told["errors"])


def test_without_numpy_there_is_still_a_report(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('Error importing numpy')")
    path = f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}"
    code, text, complaints = doctor(PYTHONPATH=path)
    assert code == 1 and complaints == ""
    assert "  ERROR    numpy    cannot be imported" in text
    assert "pip install 'numpy" in text
    assert text.splitlines()[-1].startswith("No node can run here with the default parameters: ")


def test_without_ros(root: Path) -> None:
    """As a pip installation has it: nothing is sourced, the package has no messages."""
    names = [name for name in os.environ if name.startswith(("AMENT", "ROS_", "RMW", "FAST"))]
    told = report(PYTHONPATH=str(root), **dict.fromkeys(names))
    assert told[0] == 1
    assert found(told[1], "ros", "interfaces")["level"] == "error"
    assert "install/setup.bash" in found(told[1], "ros", "interfaces")["advice"]
    assert found(told[1], "ros", "distribution")["value"] == "no ROS 2 is sourced"
    assert found(told[1], "engine", "trial")["level"] == "ok"  # that much works


def test_a_missing_model_is_named_with_the_way_out(root: Path, tmp_path: Path) -> None:
    """A copy of the package without its models folder."""
    package = tmp_path / "site" / "hrnet_pose_ros"
    shutil.copytree(root / "hrnet_pose_ros", package)
    code, told = report(
        PYTHONPATH=str(package.parent), AMENT_PREFIX_PATH="", XDG_DATA_HOME=str(tmp_path)
    )
    assert code == 1 and "engine.auto" in told["errors"]
    assert "hrnetv2_w24_small" in found(told, "engine", "auto")["value"]
    assert found(told, "models", "models")["level"] == "warning"


@pytest.mark.parametrize(
    ("variables", "probe", "level", "words"),
    [
        ({"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}, "rmw", Severity.ERROR, "apt install"),
        ({"ROS_DOMAIN_ID": "900"}, "node", Severity.ERROR, "ROS_DOMAIN_ID"),  # ends the process
        ({"ROS_DOMAIN_ID": "x"}, "node", Severity.ERROR, "ROS_DOMAIN_ID"),  # an exception
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "/none.xml"}, "profile", Severity.WARNING, "/none.xml"),
    ],
)
def test_a_wrong_environment_is_named(
    variables: dict[str, str], probe: str, level: Severity, words: str, monkeypatch: Any
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wanted = next(one for one in PROBES if one.function == f"middleware:{probe}")
    finding = run_probe(wanted)[0]
    assert finding.level is level
    assert words in finding.value + finding.advice


def test_wrong_usage() -> None:
    code, _, complaints = doctor("--loud")
    assert code == 2 and "usage: hrnet_pose" in complaints


def test_plans_that_cannot_be_used_say_why(here: Any) -> None:
    plan = found(here[1], "plans", "stale.plan")
    assert plan["level"] == "note" and plan["value"].startswith("not usable: ")
    assert plan["details"]["reason"] and not plan["details"]["usable"]
