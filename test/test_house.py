# SPDX-License-Identifier: Apache-2.0
"""The rules of the house (docs/architecture.md), checked on the sources."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "hrnet_pose_ros"
EVERYTHING = "*"

# Which part of the package may import which, besides itself. `later` are imports inside functions
# only: what the importing part works without.
FACTS = {"skeleton", "model_metadata", "version", "installed"}
MAY_IMPORT: dict[str, set[str]] = {
    "skeleton": set(),
    "version": set(),
    "installed": set(),
    "video": set(),
    "progress": set(),
    "model_metadata": {"skeleton"},
    "pose": {"skeleton"},
    "engines": FACTS | {"pose"},
    "network": FACTS | {"pose"},
    "ros": FACTS | {"pose", "engines", "fusion", "msg", "video"},
    "replay": FACTS | {"progress", "pose", "engines", "ros"},
    "coco": FACTS | {"progress", "pose", "engines"},
    "training": FACTS | {"progress", "pose", "network", "coco"},
    "fusion": {"skeleton", "pose"},
    "estimate": FACTS | {"progress", "pose", "engines", "coco", "video"},
    "doctor": {"version"},
    "cli": {EVERYTHING},
}
MAY_IMPORT_LATER: dict[str, set[str]] = {
    "engines": {"network"},
    "doctor": FACTS | {"engines", "ros"},  # it reports where they cannot be imported
}

# Which other Python packages a part may import; what is in no list is free for all.
NUMERIC = {"numpy", "cv2"}
ROS = {
    *("rclpy", "ament_index_python", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs"),
    *("lifecycle_msgs", "rcl_interfaces", "sensor_msgs", "std_msgs", "vision_msgs"),
    *("visualization_msgs", "rosgraph_msgs", "tf2_ros", "rosidl_runtime_py"),
}
TORCH = {"torch", "torchvision"}
ONLY_NUMERIC = {"skeleton", "version", "model_metadata", "pose", "fusion"}
WITH_TORCH = {"network", "training"}
WITH_ROS = {"ros"}

# rosdep keys of Python packages that are imported under another name.
ROSDEP_KEYS = {"numpy": "python3-numpy", "cv2": "python3-opencv", "tqdm": "python3-tqdm"}

SOURCE_SUFFIXES = {
    ".py",
    ".sh",
    ".bash",
    ".msg",
    ".srv",
    ".xml",
    ".toml",
    ".cmake",
    ".yaml",
    ".rviz",
}
SOURCE_NAMES = {"CMakeLists.txt", "Makefile"}
NOT_SOURCES = {"demo/street_bag/metadata.yaml", "demo/golden/metadata.yaml"}  # by rosbag2


@dataclass(frozen=True)
class Import:
    """One imported module, and whether the module that imports it can be loaded without it."""

    path: Path
    line: int
    module: str
    later: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"


class _Collector(ast.NodeVisitor):
    def __init__(self, path: Path) -> None:
        self.path = path
        self.depth = 0
        self.found: list[Import] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        assert node.level == 0, f"{self.path}:{node.lineno}: imports are absolute"
        if node.module == PACKAGE:  # `from hrnet_pose_ros import pose`
            for alias in node.names:
                self._add(node, f"{PACKAGE}.{alias.name}")
        else:
            self._add(node, node.module or "")

    def _add(self, node: ast.stmt, module: str) -> None:
        self.found.append(Import(self.path, node.lineno, module, self.depth > 0))


def imports_of(root: Path) -> Iterator[tuple[str, Import]]:
    """``(part, import)`` of all modules: the part is a sub-package or a module at the root."""
    for path in sorted((root / PACKAGE).rglob("*.py")):
        place = path.relative_to(root)
        collector = _Collector(place)
        collector.visit(ast.parse(path.read_text()))
        part = place.parts[1].removesuffix(".py")
        for found in collector.found:
            yield part, found


def tracked_files(root: Path) -> list[Path]:
    """Files that git knows or would add; skips the test where this is no git checkout."""
    command = ["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [Path(name) for name in listed.split("\0") if name and (root / name).is_file()]


def test_every_part_has_its_rule(root: Path) -> None:
    parts = {path.stem for path in (root / PACKAGE).iterdir() if path.suffix == ".py"}
    parts |= {path.parent.name for path in (root / PACKAGE).glob("*/__init__.py")}
    assert parts <= set(MAY_IMPORT), "add the new part to MAY_IMPORT"
    assert "__init__" not in parts, "the package's __init__.py is generated by rosidl"


def test_an_import_never_points_up(root: Path) -> None:
    wrong = []
    for part, found in imports_of(root):
        name, _, rest = found.module.partition(".")
        if name != PACKAGE:
            continue
        target = rest.partition(".")[0]
        allowed = MAY_IMPORT[part] | (MAY_IMPORT_LATER.get(part, set()) if found.later else set())
        if target != part and target not in allowed and EVERYTHING not in allowed:
            wrong.append(str(found))
    assert not wrong


def test_each_part_keeps_to_its_libraries(root: Path) -> None:
    wrong = []
    for part, found in imports_of(root):
        name = found.module.partition(".")[0]
        if name == PACKAGE or name in sys.stdlib_module_names:
            continue
        forbidden = (
            (part in ONLY_NUMERIC and name not in NUMERIC)
            or (
                name in TORCH and part not in WITH_TORCH and not (part == "engines" and found.later)
            )
            or (name in ROS and part not in WITH_ROS)
        )
        if forbidden:
            wrong.append(str(found))
    assert not wrong


@pytest.mark.parametrize("module", ["pose_node", "person_detector_node", "video_player_node"])
def test_nodes_run_without_torch(module: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"  # an import of it raises ImportError
        f"import hrnet_pose_ros.ros.{module}\n"
        "from hrnet_pose_ros.engines.make_engine import make_engine\n"
        "make_engine('hrnet_w16_small', precision='float32', max_batch=1).close()\n"
        "assert sys.modules['torch'] is None\n"
        "assert not any(name.startswith('hrnet_pose_ros.network') for name in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_every_source_says_its_licence(root: Path) -> None:
    wanted = "SPDX-License-Identifier: Apache-2.0"
    without = []
    for path in tracked_files(root):
        content = (root / path).read_bytes()
        source = path.suffix in SOURCE_SUFFIXES or path.name in SOURCE_NAMES
        if not source and not content.startswith(b"#!"):
            continue
        head = content[:600].decode(errors="replace").splitlines()[:5]
        if path.as_posix() not in NOT_SOURCES and not any(wanted in line for line in head):
            without.append(str(path))
    assert not without


def test_scripts_are_executable(root: Path) -> None:
    scripts = [path for folder in ("scripts", "examples") for path in (root / folder).iterdir()]
    scripts += [path for path in (root / "dev").rglob("*.sh") if path.read_text().startswith("#!")]
    scripts = [path for path in [*scripts, root / ".ci" / "run"] if path.is_file()]
    assert scripts
    assert [str(path) for path in scripts if not os.access(path, os.X_OK)] == []
    assert [str(path) for path in scripts if not path.read_bytes().startswith(b"#!")] == []


def test_package_xml_names_what_ros_code_imports(root: Path) -> None:
    package = ElementTree.parse(root / "package.xml").getroot()
    assert package.tag == "package"
    assert package.get("format") == "3"
    assert package.findtext("name") == PACKAGE
    assert package.findtext("export/build_type") == "ament_cmake"
    depends = {
        element.text for tag in ("depend", "exec_depend") for element in package.findall(tag)
    }
    missing = set()
    for part, found in imports_of(root):
        name = found.module.partition(".")[0]
        if part in WITH_ROS and name not in {*sys.stdlib_module_names, PACKAGE}:
            missing |= {ROSDEP_KEYS.get(name, name)} - depends
    assert not missing


def test_documents_hold_the_parameter_table(root: Path) -> None:
    from hrnet_pose_ros.ros.parameters import markdown_table

    assert markdown_table() in (root / "docs" / "parameters.md").read_text(), (
        "put the output of 'python -m hrnet_pose_ros.ros.parameters' into docs/parameters.md"
    )


def test_test_modules_have_names_of_their_own(root: Path) -> None:
    """The test folders are no packages: pytest imports their modules under the bare names."""
    names = Counter(path.name for path in (root / "test").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
