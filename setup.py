# SPDX-License-Identifier: Apache-2.0
"""The parts that need no ROS, for pip: ``pip install '.[openvino]'`` gives the command hrnet_pose.

The ROS 2 package is built by colcon from package.xml and CMakeLists.txt; this file plays no part
in that.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent


def version() -> str:
    """The one in hrnet_pose_ros/version.py, read without importing the package."""
    text = (ROOT / "hrnet_pose_ros" / "version.py").read_text()
    found = re.search(r'^VERSION = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('hrnet_pose_ros/version.py has no line VERSION = "..."')
    return found[1]


TORCH = ["torch>=2.6", "onnx", "onnxruntime"]

setup(
    name="hrnet_pose_ros",
    version=version(),
    description="Human pose by HRNet: the parts of the ROS 2 package that need no ROS",
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
        "hrnet_pose_ros.pipeline",
        "hrnet_pose_ros.ros",  # the doctor looks whether it can be imported
        "hrnet_pose_ros.nodes",
        "hrnet_pose_ros.nodes.pose",
        "hrnet_pose_ros.replay",
        "hrnet_pose_ros.coco",
        "hrnet_pose_ros.training",
        "hrnet_pose_ros.doctor",
        "hrnet_pose_ros.cli",
        "hrnet_pose_ros.models",
        "hrnet_pose_ros.recipes",
        # Message definitions for the bag library.
        "hrnet_pose_ros.msg",
        "hrnet_pose_ros.vision_msgs",
    ],
    package_dir={
        "hrnet_pose_ros.models": "models",
        "hrnet_pose_ros.recipes": "config/training",
        "hrnet_pose_ros.msg": "msg",
        "hrnet_pose_ros.vision_msgs": "dev/vision_msgs/msg",
    },
    package_data={
        "hrnet_pose_ros.models": ["*.onnx", "*.pth", "*.md", "*.png", "*.yaml"],
        "hrnet_pose_ros.recipes": ["*.yaml"],
        "hrnet_pose_ros.msg": ["*.msg"],
        "hrnet_pose_ros.vision_msgs": ["*.msg"],
    },
    python_requires=">=3.10",
    classifiers=[f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 15)],
    install_requires=[
        "numpy",
        "opencv-python-headless",
        "tqdm",
        "av",
        "rosbags>=0.11",
        # What rosbags itself brings, and replay uses by name.
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
        "plots": ["matplotlib"],  # of `hrnet_pose compare`
        # TensorRT itself comes with JetPack or from NVIDIA's packages; pip cannot bring it.
        "tensorrt": ["cuda-python>=12"],
        "train": [*TORCH, "pytorch-lightning", "faster-coco-eval", "matplotlib"],
    },
    entry_points={"console_scripts": ["hrnet_pose = hrnet_pose_ros.cli.main:main"]},
)
