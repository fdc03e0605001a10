# SPDX-License-Identifier: Apache-2.0
"""The rules of the house (docs/architecture.md), checked on the sources."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from bag_maker import clip_rows, write_bag

PACKAGE = "hrnet_pose_ros"

# The table of docs/architecture.md is the rule; these are the words of its column "libraries".
NUMERIC = {"numpy", "cv2"}
ROS = {
    *("rclpy", "ament_index_python", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs"),
    *("lifecycle_msgs", "nav_msgs", "rcl_interfaces", "sensor_msgs", "std_msgs", "std_srvs"),
    *("tf2_msgs", "vision_msgs"),
    *("visualization_msgs", "rosgraph_msgs", "tf2_ros", "rosidl_runtime_py"),
}
TORCH = {"torch", "torchvision", "lightning_fabric"}
LIBRARIES = {
    "": set(),
    "numeric": set(),
    "PyTorch": TORCH,
    "PyTorch inside functions": TORCH,
    "ROS": ROS,
    "ROS inside functions": ROS,
}

# rosdep keys of Python packages that are imported under another name.
ROSDEP_KEYS = {
    "numpy": "python3-numpy",
    "cv2": "python3-opencv",
    "scipy": "python3-scipy",
    "tqdm": "python3-tqdm",
    "yaml": "python3-yaml",
}

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


@dataclass(frozen=True)
class Room:
    """A row of the table in docs/architecture.md; ``imports`` None means everything."""

    imports: set[str] | None
    inside_functions: set[str]
    libraries: str


@pytest.fixture(scope="module")
def house(root: Path) -> dict[str, Room]:
    """The rooms of the table, by name, from the first row to the last."""
    rooms: dict[str, Room] = {}
    for line in (root / "docs" / "architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 5:
            continue
        name = cells[0].strip("`/")
        imports = None if cells[2] == "everything" else set(re.findall(r"`(\w+)`", cells[2]))
        rooms[name] = Room(imports, set(re.findall(r"`(\w+)`", cells[3])), cells[4])
    return rooms


def test_every_part_has_its_row(root: Path, house: dict[str, Room]) -> None:
    parts = {path.stem for path in (root / PACKAGE).iterdir() if path.suffix == ".py"}
    parts |= {path.parent.name for path in (root / PACKAGE).glob("*/__init__.py")}
    assert parts == set(house) - {"msg"}, "the table in docs/architecture.md names other rooms"
    assert "__init__" not in parts, "the package's __init__.py is generated by rosidl"
    assert {room.libraries for room in house.values()} <= set(LIBRARIES)


def test_the_table_only_points_up(house: dict[str, Room]) -> None:
    """A room's row comes after those of all that it imports: so there are no circles."""
    above: set[str] = set()
    for name, room in house.items():
        assert (room.imports or set()) | room.inside_functions <= above, name
        above.add(name)


def test_imports_keep_to_the_table(root: Path, house: dict[str, Room]) -> None:
    wrong = []
    for part, found in imports_of(root):
        name, _, rest = found.module.partition(".")
        target = rest.partition(".")[0]
        room = house[part]
        if name != PACKAGE or target == part or room.imports is None:
            continue
        if target not in room.imports | (room.inside_functions if found.later else set()):
            wrong.append(str(found))
    assert not wrong


def test_the_table_allows_nothing_that_is_not_used(root: Path, house: dict[str, Room]) -> None:
    used: dict[str, set[str]] = {name: set() for name in house}
    for part, found in imports_of(root):
        name, _, rest = found.module.partition(".")
        if name == PACKAGE:
            used[part].add(rest.partition(".")[0])
    unused = {
        name: left
        for name, room in house.items()
        if (left := ((room.imports or set()) | room.inside_functions) - used[name])
    }
    assert not unused


def test_each_room_keeps_to_its_libraries(root: Path, house: dict[str, Room]) -> None:
    wrong = []
    for part, found in imports_of(root):
        name = found.module.partition(".")[0]
        room = house[part]
        if name == PACKAGE or name in sys.stdlib_module_names or room.imports is None:
            continue
        allowed = LIBRARIES[room.libraries]
        if room.libraries == "numeric":
            forbidden = name not in NUMERIC
        elif name in ROS | TORCH:
            forbidden = name not in allowed or ("inside" in room.libraries and not found.later)
        else:
            forbidden = False
        if forbidden:
            wrong.append(str(found))
    assert not wrong


@pytest.mark.parametrize("module", ["pipeline", "replay"])
def test_pipeline_and_replay_never_import_rclpy(root: Path, module: str) -> None:
    found = [one for part, one in imports_of(root) if part == module]
    assert found
    assert [str(one) for one in found if one.module.split(".")[0] == "rclpy"] == []


def test_replay_runs_where_rclpy_cannot_be_imported(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "bag", clip_rows(6))
    code = (
        "import sys\n"
        "sys.modules['rclpy'] = None\n"  # an import of it raises ImportError
        "from hrnet_pose_ros.cli.main import main\n"
        f"sys.exit(main(['replay', {str(bag)!r}, '-o', 'out', '--precision', 'float32',"
        " '--max-batch', '1']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").is_dir()


def test_nodes_run_without_torch(root: Path, tmp_path: Path) -> None:
    """All of them in one process: an import of torch by any one would end it."""
    nodes = sorted(path.stem for path in (root / PACKAGE / "nodes").glob("*_node.py"))
    assert {"pose_node", "person_fusion_node", "pedestrian_guard_node"} <= {*nodes}
    code = (
        "import importlib, sys\n"
        "sys.modules['torch'] = None\n"  # an import of it raises ImportError
        f"for node in {nodes}:\n"
        f"    importlib.import_module(f'{PACKAGE}.nodes.{{node}}')\n"
        "from hrnet_pose_ros.engines.make_engine import make_engine\n"
        "make_engine('hrnetv2_w24_small', precision='float32', max_batch=1).close()\n"
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
        if part in ("ros", "nodes") and name not in {*sys.stdlib_module_names, PACKAGE}:
            missing |= {ROSDEP_KEYS.get(name, name)} - depends
    assert not missing


def test_the_documents_hold_the_parameter_tables(root: Path) -> None:
    from hrnet_pose_ros.pipeline.parameter_documents import DOCUMENT, NODES, markdown_table

    for node in NODES:
        assert markdown_table(node) in (root / DOCUMENT).read_text(), (
            "run python -m hrnet_pose_ros.pipeline.parameter_documents, which writes the table"
        )


def test_test_modules_have_names_of_their_own(root: Path) -> None:
    """The test folders are no packages: pytest imports their modules under the bare names."""
    names = Counter(path.name for path in (root / "test").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_class_name_stands_twice(root: Path) -> None:
    """A name that is searched for, or read in a message, has one meaning."""
    places: dict[str, list[str]] = {}
    for folder in (PACKAGE, "bench", "demo"):
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(
                        f"{path.relative_to(root)}:{node.lineno}"
                    )
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
