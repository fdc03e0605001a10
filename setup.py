# SPDX-License-Identifier: Apache-2.0
"""Installs the parts without ROS with pip: ``pip install '.[openvino]'`` gives the command
hrnet_pose.

The ROS 2 package is built by colcon from package.xml and CMakeLists.txt, without this file.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """The version in hrnet_pose_ros/version.py, read without importing the package."""
    text = (ROOT / "hrnet_pose_ros" / "version.py").read_text()
    found = re.search(r'^VERSION = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('hrnet_pose_ros/version.py does not contain the line VERSION = "..."')
    return found[1]


TORCH = ["torch>=2.6", "onnx", "onnxruntime"]

setup(
    name="hrnet_pose_ros",
    version=version(),
    description="Human pose estimation with HRNet: the parts of the ROS 2 package without ROS",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    # hrnet_pose_ros has no __init__.py of its own: in a ROS workspace rosidl generates it.
    packages=[
        "hrnet_pose_ros",
        "hrnet_pose_ros.pose",
        "hrnet_pose_ros.model_files",
        "hrnet_pose_ros.network",
        "hrnet_pose_ros.engines",
        "hrnet_pose_ros.engines.tensorrt",
        "hrnet_pose_ros.detector",
        "hrnet_pose_ros.fusion",
        "hrnet_pose_ros.fusion.attributes",
        "hrnet_pose_ros.fusion.cues",
        "hrnet_pose_ros.fusion.tracking",
        "hrnet_pose_ros.guard",
        "hrnet_pose_ros.pipeline",
        "hrnet_pose_ros.pipeline.guard",
        "hrnet_pose_ros.pipeline.people",
        "hrnet_pose_ros.ros",  # `hrnet_pose doctor` checks whether it can be imported
        "hrnet_pose_ros.nodes",
        "hrnet_pose_ros.nodes.guard",
        "hrnet_pose_ros.nodes.people",
        "hrnet_pose_ros.nodes.pose",
        "hrnet_pose_ros.replay",
        "hrnet_pose_ros.fleet",
        "hrnet_pose_ros.fleet.comparison",
        "hrnet_pose_ros.coco",
        "hrnet_pose_ros.training",
        "hrnet_pose_ros.simulation",
        "hrnet_pose_ros.fusion_report",
        "hrnet_pose_ros.guard_proof",
        "hrnet_pose_ros.doctor",
        "hrnet_pose_ros.cli",
        "hrnet_pose_ros.models",
        "hrnet_pose_ros.recipes",
        "hrnet_pose_ros.simulation_data",
        # Message definitions for the bag library.
        "hrnet_pose_ros.msg",
        "hrnet_pose_ros.vision_msgs",
    ],
    package_dir={
        "hrnet_pose_ros.models": "models",
        "hrnet_pose_ros.recipes": "config/training",
        "hrnet_pose_ros.simulation_data": "config/simulation",
        "hrnet_pose_ros.msg": "msg",
        "hrnet_pose_ros.vision_msgs": "dev/vision_msgs/msg",
    },
    package_data={
        "": ["skeletons/*.yaml"],  # beside hrnet_pose_ros/skeleton.py
        "hrnet_pose_ros.models": ["*.onnx", "*.pth", "*.md", "*.png", "*.yaml"],
        "hrnet_pose_ros.recipes": ["*.yaml"],
        "hrnet_pose_ros.simulation_data": ["*.yaml", "*.npz"],
        "hrnet_pose_ros.msg": ["*.msg"],
        "hrnet_pose_ros.vision_msgs": ["*.msg"],
    },
    python_requires=">=3.10",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)],
    install_requires=[
        "numpy",
        "scipy",
        "opencv-python-headless",
        "tqdm",
        "av",
        "rosbags>=0.11",
        # Dependencies of rosbags that replay also imports directly.
        'backports.zstd; python_version < "3.14"',
        "lz4",
        "ruamel.yaml",
    ],
    extras_require={
        "openvino": ["openvino>=2025.0"],
        "torch": TORCH,
        "fetch": ["pooch"],
        "int8": ["nncf", "onnx", "onnxruntime"],
        "coco": ["faster-coco-eval", "matplotlib"],
        "plots": ["matplotlib"],  # for `hrnet_pose compare`
        # Bags by URL, and tables in Parquet; further protocols need s3fs, gcsfs or adlfs.
        "fleet": ["fsspec[http]", "pyarrow"],
        "ray": ["fsspec[http]", "pyarrow", "ray"],
        # Each plan is compared with OpenVINO's answer before it serves. The first is for a TensorRT
        # that is there already, from JetPack or a container of NVIDIA's.
        "tensorrt": ["cuda-python>=12", "openvino>=2025.0"],
        "tensorrt-cu12": ["tensorrt-cu12>=10.3", "cuda-python>=12,<13", "openvino>=2025.0"],
        "tensorrt-cu13": ["tensorrt-cu13>=10.13", "cuda-python>=13,<14", "openvino>=2025.0"],
        "tensorrt-rtx": ["tensorrt-rtx-cu13>=1.7", "cuda-python>=13,<14", "openvino>=2025.0"],
        "train": [*TORCH, "pytorch-lightning", "faster-coco-eval", "matplotlib"],
    },
    entry_points={"console_scripts": ["hrnet_pose = hrnet_pose_ros.cli.command:command"]},
)
