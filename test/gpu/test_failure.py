# SPDX-License-Identifier: Apache-2.0
"""A GPU that fails: a real illegal address, in a process of its own, and the CPU that goes on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def output_of(program: str, plan_cache: Path) -> str:
    """What a program prints in a process of its own, whose context may die."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(plan_cache)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=280,
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The network reads the image from an address that is nobody's: an error after which every call of
# the process's CUDA context fails.
BREAK = """
import os, sys, numpy as np
from hrnet_pose_ros.engines.tensorrt.cuda_runtime import DeviceLost, context_is_dead
from hrnet_pose_ros.engines.choose_engine import choose_engine
from hrnet_pose_ros.engines.engine import EngineError
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.engines.tensorrt.options import TensorRtOptions

# Without CUDA graphs: a captured one keeps the addresses that it was captured with.
options = TensorRtOptions(image_size=(320, 240), plan_cache=sys.argv[1], cuda_graphs=False)
arguments = dict(model="hrnetv2_w24_small", engine="tensorrt", tensorrt=options)
frame = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
boxes = np.array([[80, 20, 80, 200]], np.float32)
cpu_arguments = dict(model="hrnetv2_w24_small", engine="openvino", precision="float32")
cpu = make_engine(**cpu_arguments)
expected = cpu.estimate(frame, boxes)
cpu.close()

def same(poses, others):
    return np.allclose(poses.scores, others.scores, atol=0.02) and len(poses) == 1

engine = make_engine(**arguments)
before = engine.estimate(frame, boxes)
assert len(before) == 1
for bucket in engine.runner._buckets:
    bucket.context.set_tensor_address("image", 256)
try:
    engine.estimate(frame, boxes)
except DeviceLost as error:
    print("failed:", error)
print("dead:", context_is_dead())
engine.close()
engine.close()
try:
    make_engine(**arguments)
except EngineError as error:
    print("not made again:", error)
print("auto:", choose_engine("hrnetv2_w24_small").engine)
for _ in range(20):  # the processor goes on in this process
    assert same(make_engine(**cpu_arguments).estimate(frame, boxes), expected)
print("cpu: True", flush=True)
os._exit(0)  # as the node ends
"""


def test_cuda_error_names_itself_and_leaves_the_cpu_alone(tmp_path: Path) -> None:
    output = output_of(BREAK, tmp_path)
    assert "failed: cudaStreamSynchronize failed: cudaError" in output
    assert "only a new process can use it again" in output
    assert "dead: True" in output
    assert re.search(r"^not made again: .*cuda\w+ failed: cudaError", output, re.MULTILINE)
    assert "auto: openvino" in output
    assert output.endswith("cpu: True\n")


NODE = """
import sys, threading, numpy as np
from hrnet_pose_ros.engines.make_engine import make_engine
from hrnet_pose_ros.nodes.pose.build_progress import BuildProgress
from hrnet_pose_ros.nodes.pose.engine_supervisor import EngineSupervisor
from hrnet_pose_ros.nodes.pose.diagnostics import Health
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings
from hrnet_pose_ros.ros.log import ThrottledWarnings

settings = Settings.of(
    {p.name: p.default for p in PARAMETERS}
    | {"engine": "tensorrt", "image_size": [320, 240], "plan_cache": sys.argv[1]}
    | {"cuda_graphs": False}
)

class Logger:
    def warning(self, text):
        print("warning:", text)

engines = []

def make(**arguments):
    engines.append(make_engine(**arguments))
    return engines[-1]

health = Health()
supervisor = EngineSupervisor(
    lambda: settings,
    health,
    ThrottledWarnings(Logger()),
    BuildProgress(health, threading.Event()),
    lambda info, fallback: print("engine:", info.engine, fallback),
    make=make,
)
frame, boxes = np.zeros((240, 320, 3), np.uint8), np.array([[80, 20, 80, 200]], np.float32)
supervisor.prepare()
assert len(supervisor.estimate(frame, boxes)) == 1
for bucket in engines[-1].runner._buckets:
    bucket.context.set_tensor_address("image", 256)
print("failed:", supervisor.estimate(frame, boxes))  # lost: the GPU is not tried again
assert [engine.info.engine for engine in engines[1:]] == ["openvino"]
print("answers:", len(supervisor.estimate(frame, boxes)), flush=True)
supervisor.release()
import os
os._exit(0)
"""


def test_node_goes_on_with_the_cpu(tmp_path: Path) -> None:
    output = output_of(NODE, tmp_path)
    lines = output.splitlines()
    assert lines[0] == "engine: tensorrt False"
    assert "failed: None" in lines
    assert "engine: openvino True" in lines
    assert lines[-1] == "answers: 1"
