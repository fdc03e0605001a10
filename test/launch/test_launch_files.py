# SPDX-License-Identifier: Apache-2.0
"""The files of launch/ and config/, checked where ros2 launch, ros2 bag and RViz are not installed.

The tables hold what the programs of ROS 2 Jazzy know (launch 3.4, launch_ros 0.26, rosbag2 0.26,
rviz 14.1, usb_cam 0.8), read from their sources.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ament_index_python.packages import get_package_prefix, get_package_share_directory

from hrnet_pose_ros.cli.launch_check import arguments_parser
from hrnet_pose_ros.pipeline.guard.settings import PedestrianGuardSettings
from hrnet_pose_ros.pipeline.people.settings import PersonFusionSettings
from hrnet_pose_ros.pipeline.settings import BY_NAME, PARAMETERS, Settings

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "hrnet_pose_ros"
LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.xml"))


@dataclass(frozen=True)
class Tag:
    """What launch's XML front end takes: attributes, those of them that it needs, and children."""

    attributes: frozenset[str]
    needed: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONDITION = "if unless"
_PROCESS = (
    f"{_CONDITION} cwd output respawn respawn_max_retries respawn_delay sigkill_timeout "
    "sigterm_timeout shell emulate_tty launch-prefix on_exit"
)
TAGS = {
    "launch": Tag(words("version"), children=words("arg set_env let node executable include")),
    "arg": Tag(words(f"{_CONDITION} name default description"), words("name"), words("choice")),
    "choice": Tag(words("value"), words("value")),
    "set_env": Tag(words(f"{_CONDITION} name value"), words("name value")),
    "let": Tag(words(f"{_CONDITION} name value"), words("name value")),
    "executable": Tag(words(f"{_PROCESS} cmd name"), words("cmd"), words("env")),
    "node": Tag(
        words(f"{_PROCESS} pkg exec name namespace args ros_args exec_name"),
        words("pkg exec name"),
        words("param remap env"),
    ),
    "include": Tag(words(f"{_CONDITION} file"), words("file"), words("arg")),
}
INCLUDE_ARG = Tag(words("name value"), words("name value"))
PARAM = Tag(words("name value type"), words("name value type"))
PARAM_FILE = Tag(words("from"), words("from"))
REMAP = Tag(words("from to"), words("from to"))

SUBSTITUTIONS = {
    *("var", "env", "equals", "eval", "command"),
    *("find-pkg-share", "find-pkg-prefix"),
}
PARAMETER_TYPES = {"bool", "int", "float", "str"}

# Executables and parameters of other packages' nodes.
FOREIGN_NODES = {
    ("rviz2", "rviz2"): {"use_sim_time"},
    ("usb_cam", "usb_cam_node_exe"): {
        *("video_device", "pixel_format", "image_width", "image_height", "framerate"),
        *("camera_name", "camera_info_url", "frame_id"),
    },
}
OWN_PARAMETERS = {
    "hrnet_pose_node": {*BY_NAME, "use_sim_time"},
    "person_fusion_node": {*PersonFusionSettings.parameters(), "use_sim_time"},
    "pedestrian_guard_node": {*PedestrianGuardSettings.parameters(), "use_sim_time"},
    "person_detector_node": {
        *("image_transport", "min_score", "threads", "tile_columns", "tile_rows", "use_sim_time"),
    },
    "video_player_node": {"video", "loop", "frame_id", "field_of_view_deg"},
}
NOT_REQUIRED = {"usb_cam"}  # the demo's camera: the file's comment and docs/vehicle.md name it

# Options of `ros2 bag` that are used, and how many values each takes (None: one or more).
BAG_OPTIONS: dict[str, dict[str, int | None]] = {
    "play": dict.fromkeys(("--loop", "--disable-keyboard-controls"), 0)
    | dict.fromkeys(("--clock", "--rate", "--delay"), 1)
    | {"--topics": None},
    "record": dict.fromkeys(("--use-sim-time", "--disable-keyboard-controls"), 0)
    | dict.fromkeys(("--storage", "--output", "--max-bag-size", "--max-cache-size", "--regex"), 1)
    | {"--topics": None},
}
BAG_POSITIONALS = {"play": 1, "record": 0}

RVIZ_CLASSES = {
    "Panels": {
        *("rviz_common/Displays", "rviz_common/Help", "rviz_common/Selection"),
        *("rviz_common/Time", "rviz_common/Tool Properties", "rviz_common/Transformation"),
        "rviz_common/Views",
    },
    "Displays": {
        *("rviz_default_plugins/Axes", "rviz_default_plugins/Camera", "rviz_default_plugins/Grid"),
        *("rviz_default_plugins/Image", "rviz_default_plugins/LaserScan"),
        *("rviz_default_plugins/Marker", "rviz_default_plugins/MarkerArray"),
        *("rviz_default_plugins/PointCloud2", "rviz_default_plugins/TF"),
    },
    "Tools": {
        *("rviz_default_plugins/Interact", "rviz_default_plugins/MoveCamera"),
        *("rviz_default_plugins/Select", "rviz_default_plugins/FocusCamera"),
        *("rviz_default_plugins/Measure", "rviz_default_plugins/PublishPoint"),
    },
    "Views": {
        *("rviz_default_plugins/FPS", "rviz_default_plugins/Orbit"),
        *("rviz_default_plugins/ThirdPersonFollower", "rviz_default_plugins/TopDownOrtho"),
        "rviz_default_plugins/XYOrbit",
    },
}


def parsed(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def of_every_file(test: Any) -> Any:
    return pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)(test)


def elements(root: ElementTree.Element) -> Iterator[tuple[ElementTree.Element, Tag]]:
    """Every element with what is known of it."""
    yield root, TAGS["launch"]
    for action in root:
        yield action, TAGS[action.tag]
        for child in action:
            if child.tag == "arg":
                yield child, INCLUDE_ARG
            elif child.tag == "param":
                yield child, PARAM_FILE if "from" in child.attrib else PARAM
            elif child.tag == "remap":
                yield child, REMAP
            else:
                yield child, TAGS[child.tag]


def values(root: ElementTree.Element) -> Iterator[str]:
    """Every attribute in which launch substitutes; descriptions are taken as they are."""
    for element in root.iter():
        yield from (value for name, value in element.attrib.items() if name != "description")


def declared(root: ElementTree.Element) -> dict[str, bool]:
    """The file's arguments, and whether each has a default."""
    return {element.attrib["name"]: "default" in element.attrib for element in root.findall("arg")}


def command(text: str) -> list[str]:
    """A command line as launch splits it: a substitution is one word, whatever it holds."""
    return shlex.split(re.sub(r"\$\(var (\w+)\)", r"<\1>", text))


def test_the_files_are_there() -> None:
    names = {path.name.removesuffix(".launch.xml") for path in LAUNCH_FILES}
    assert names == {"hrnet_pose", "people", "guard", "camera_demo", "replay", "record"}


@of_every_file
def test_tags_and_attributes_are_known(path: Path) -> None:
    for element, tag in elements(parsed(path)):
        where = f"<{element.tag} {element.attrib}>"
        assert set(element.attrib) <= tag.attributes, where
        assert tag.needed <= set(element.attrib), where
        assert {child.tag for child in element} <= tag.children, where
        assert not {"if", "unless"} <= set(element.attrib), f"{where} has both conditions"
        assert element.get("type") in {None, *PARAMETER_TYPES}, where


@of_every_file
def test_substitutions_are_known_and_variables_declared(path: Path) -> None:
    root = parsed(path)
    names = set(declared(root)) | {element.attrib["name"] for element in root.findall("let")}
    used = set()
    for value in values(root):
        assert value.count("(") == value.count(")"), value
        assert set(re.findall(r"\$\(([\w-]+)", value)) <= SUBSTITUTIONS, value
        found = set(re.findall(r"\$\(var ([^)]*)\)", value))
        assert found <= names, f"{found - names} not declared: {value}"
        used |= found
    # The output of a check is not used: it ends the launch if it fails.
    assert names - {"checked"} == used, f"declared and not used: {names - used}"


def inner_commands(path: Path) -> list[list[str]]:
    """The words of each command in a substitution, with defaults, or 1, for the arguments."""
    root = parsed(path)
    values = {arg.attrib["name"]: arg.get("default", "1") for arg in root.findall("arg")}
    values |= {let.attrib["name"]: "1" for let in root.findall("let")}
    found = []
    for let in root.findall("let"):
        if match := re.fullmatch(r"\$\(command '(.*)' warn\)", let.attrib["value"]):
            text = match[1].replace(f"$(find-pkg-prefix {PACKAGE})", get_package_prefix(PACKAGE))
            # launch splits the line after it has substituted.
            found.append(shlex.split(re.sub(r"\$\(var (\w+)\)", lambda m: values[m[1]], text)))
    return found


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("hrnet_pose", ["parameters"]),
        ("replay", ["replay"]),
        ("record", ["record"]),
        ("people", ["parameters"]),
        ("guard", ["parameters"]),
        ("camera_demo", []),  # the file that it includes has its own
    ],
)
def test_checks_exist_and_take_their_arguments(name: str, checks: list[str]) -> None:
    commands = inner_commands(ROOT / "launch" / f"{name}.launch.xml")
    assert [words[1] for words in commands] == checks
    for program, *arguments in commands:
        assert os.access(program, os.X_OK), "run dev/setup.sh"
        arguments_parser().parse_args(arguments)


def evaluated(expression: str, **values: str) -> Any:
    """As launch evaluates an expression: the text, with its variables replaced, is Python."""
    [text] = re.findall(r"\$\(eval '([^']*)'\)", expression)
    return eval(re.sub(r"\$\(var (\w+)\)", lambda match: values[match[1]], text), {}, {})


@pytest.mark.parametrize("sensors", ["all", "camera", "camera_depth", "camera_lidar"])
def test_people_use_the_sensors_that_are_asked_for(sensors: str) -> None:
    root = parsed(ROOT / "launch" / "people.launch.xml")
    found = {}
    for let in root.findall("let"):
        applies = "if" not in let.attrib or evaluated(let.attrib["if"], sensors=sensors)
        if let.attrib["name"].startswith("used_") and applies:
            found[let.attrib["name"]] = let.attrib["value"]
    depth, lidar = sensors in ("all", "camera_depth"), sensors in ("all", "camera_lidar")
    assert found == {
        "used_depth": "$(var depth)" if depth else "not_used/depth",
        "used_points": "$(var points)" if lidar else "not_used/points",
    }
    [choices] = [arg for arg in root.findall("arg") if arg.get("name") == "sensors"]
    assert sensors in {choice.attrib["value"] for choice in choices}
    [logger] = [
        let.attrib["value"] for let in root.findall("let") if "logger" in let.attrib["name"]
    ]
    assert evaluated(logger, namespace="/robot/rear") == "robot.rear.person_fusion"
    assert root[-1].tag == "include", "an include changes the arguments of the file"


def test_the_guard_is_started_between_commands_and_base() -> None:
    root = parsed(ROOT / "launch" / "guard.launch.xml")
    [logger] = [
        let.attrib["value"] for let in root.findall("let") if "logger" in let.attrib["name"]
    ]
    assert evaluated(logger, namespace="/robot/rear") == "robot.rear.pedestrian_guard"
    node = root.find("node")
    assert node is not None
    remapped = {remap.attrib["from"]: remap.attrib["to"] for remap in node.findall("remap")}
    assert remapped == {
        name: f"$(var {name})" for name in ("people", "cmd_vel_in", "cmd_vel", "speed_limit")
    }
    assert "from" in node.findall("param")[0].attrib, "what comes later wins"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("people", {"/overlay", "/people/markers", "/points", "/scan"}),
        ("guard", {"/overlay", "/people/markers", "/guard/markers", "/scan"}),
    ],
)
def test_rviz_shows_people_in_the_base_frame(name: str, shown: set[str]) -> None:
    config = yaml.safe_load((ROOT / "config" / f"{name}.rviz").read_text())
    manager = config["Visualization Manager"]
    assert {one["Class"] for one in manager["Displays"]} <= RVIZ_CLASSES["Displays"]
    topics = {one["Topic"]["Value"] for one in manager["Displays"] if "Topic" in one}
    assert topics == shown
    launch = parsed(ROOT / "launch" / f"{name}.launch.xml")
    rviz = next(node for node in launch.findall("node") if node.get("pkg") == "rviz2")
    assert topics == {remap.attrib["from"] for remap in rviz.findall("remap")}
    assert all(display["Enabled"] for display in manager["Displays"])
    other = yaml.safe_load((ROOT / "config" / "hrnet_pose_base.rviz").read_text())
    assert config["Window Geometry"] == other["Window Geometry"]
    assert manager["Global Options"] == other["Visualization Manager"]["Global Options"]


def test_the_logger_and_the_view_of_every_namespace_and_frame() -> None:
    root = parsed(ROOT / "launch" / "hrnet_pose.launch.xml")

    [logger] = [let.attrib["value"] for let in root.findall("let") if let.get("name") == "logger"]
    for namespace, name in (("", "hrnet_pose"), ("/front", "front.hrnet_pose")):
        assert evaluated(logger, namespace=namespace) == name
    assert evaluated(logger, namespace="/robot/rear") == "robot.rear.hrnet_pose"
    [optical] = [let.attrib["if"] for let in root.findall("let") if "if" in let.attrib]
    for view, frame, expected in (
        ("auto", "camera_optical_frame", True),
        ("auto", "base_link", False),
        ("optical", "camera", True),
        ("base", "camera_optical_frame", False),
    ):
        assert evaluated(optical, rviz_view=view, fixed_frame=frame) is expected


@of_every_file
def test_the_log_level_reaches_every_node_of_ours_and_no_other(path: Path) -> None:
    for node in parsed(path).findall("node"):
        ours = node.attrib["pkg"] == PACKAGE
        assert ours == ("$(var log_level)" in node.get("ros_args", "")), node.attrib
        if ours and node.attrib["name"] not in ("hrnet_pose", "person_fusion", "pedestrian_guard"):
            namespace = node.get("namespace", "")
            logger = f"{namespace}/{node.attrib['name']}".strip("/").replace("/", ".")
            assert node.attrib["ros_args"] == f"--log-level {logger}:=$(var log_level)"


@of_every_file
def test_files_exist_in_the_install_space(path: Path) -> None:
    share = Path(get_package_share_directory(PACKAGE))
    assert (share / "launch" / path.name).is_file(), "run dev/setup.sh"
    for value in values(parsed(path)):
        for package, file in re.findall(r"\$\(find-pkg-share (\w+)\)([\w./]*)", value):
            assert package == PACKAGE
            assert (share / file.lstrip("/")).is_file(), value


@of_every_file
def test_nodes_and_their_parameters_exist(path: Path) -> None:
    executables = Path(get_package_prefix(PACKAGE), "lib", PACKAGE)
    package_xml = parsed(ROOT / "package.xml")
    depends = {element.text for element in package_xml.findall("exec_depend")}
    for node in parsed(path).findall("node"):
        package, executable = node.attrib["pkg"], node.attrib["exec"]
        if package == PACKAGE:
            assert os.access(executables / executable, os.X_OK), executable
            known = OWN_PARAMETERS[executable]
        else:
            known = FOREIGN_NODES[package, executable]
            assert package in depends | NOT_REQUIRED, f"package.xml does not name {package}"
        named = {param.attrib["name"] for param in node.findall("param") if "name" in param.attrib}
        assert named <= known, executable


def test_arguments_never_set_model_or_engine() -> None:
    """An argument always wins over the file, also by its default."""
    node = parsed(ROOT / "launch" / "hrnet_pose.launch.xml").find("node")
    assert node is not None
    params = [param.attrib for param in node.findall("param")]
    assert "from" in params[0], "the file comes first: what comes later wins"
    assert {param["name"] for param in params[1:]} == {
        "image_transport",
        "autostart",
        "use_sim_time",
    }


@of_every_file
def test_includes_pass_arguments_that_exist(path: Path) -> None:
    for include in parsed(path).findall("include"):
        arguments = declared(parsed(ROOT / "launch" / Path(include.attrib["file"]).name))
        passed = {arg.attrib["name"] for arg in include.findall("arg")}
        assert passed <= set(arguments)
        assert {name for name, has_default in arguments.items() if not has_default} <= passed


@of_every_file
def test_bag_commands_use_known_options(path: Path) -> None:
    for executable in parsed(path).findall("executable"):
        program, sub, verb, *arguments = command(executable.attrib["cmd"])
        assert (program, sub) == ("ros2", "bag")
        options = BAG_OPTIONS[verb]
        positionals, option, taken = 0, "", 0
        for word in [*arguments, "--end"]:
            if not word.startswith("--"):
                taken += 1
                if options.get(option, 0) is not None and taken > (options.get(option) or 0):
                    positionals += 1
                continue
            wanted = options.get(option, 0)
            assert (taken >= 1) if wanted is None else (taken >= wanted), option
            assert word in options or word == "--end", word
            option, taken = word, 0
        assert positionals == BAG_POSITIONALS[verb], executable.attrib["cmd"]


@of_every_file
def test_a_profile_of_the_user_stays(path: Path) -> None:
    for action in parsed(path).findall("set_env"):
        assert action.attrib["name"] == "FASTRTPS_DEFAULT_PROFILES_FILE"
        assert action.attrib["value"].startswith(
            "$(env FASTRTPS_DEFAULT_PROFILES_FILE $(env FASTDDS_DEFAULT_PROFILES_FILE "
        )


def test_parameter_file_holds_every_default() -> None:
    content = yaml.safe_load((ROOT / "config" / "hrnet_pose.yaml").read_text())
    assert list(content) == ["/**"] and list(content["/**"]) == ["ros__parameters"]
    values = content["/**"]["ros__parameters"]
    defaults = {parameter.name: parameter.default for parameter in PARAMETERS}
    assert values == defaults
    # 0 for 0.0 would be another type to ROS, and an unquoted class id a number
    assert {name: type(value) for name, value in values.items()} == {
        name: type(default) for name, default in defaults.items()
    }
    assert all(isinstance(name, str) for name in values["class_ids"])


def test_demo_parameters_are_accepted() -> None:
    content = yaml.safe_load((ROOT / "config" / "camera_demo.yaml").read_text())
    values = content["/**"]["ros__parameters"]
    Settings.of(values)


RVIZ_FILES = ("hrnet_pose.rviz", "hrnet_pose_base.rviz")


@pytest.mark.parametrize("name", RVIZ_FILES)
def test_rviz_classes_and_topics_are_known(name: str) -> None:
    config = yaml.safe_load((ROOT / "config" / name).read_text())
    manager = config["Visualization Manager"]
    found = {
        "Panels": config["Panels"],
        "Displays": manager["Displays"],
        "Tools": manager["Tools"],
        "Views": [manager["Views"]["Current"]],
    }
    for place, entries in found.items():
        assert {entry["Class"] for entry in entries} <= RVIZ_CLASSES[place]
    assert manager["Transformation"]["Current"]["Class"] == "rviz_default_plugins/TF"
    topics = {
        entry["Class"]: entry["Topic"]["Value"] for entry in manager["Displays"] if "Topic" in entry
    }
    assert topics == {
        "rviz_default_plugins/Image": "/overlay",
        "rviz_default_plugins/MarkerArray": "/markers",
    }
    assert all(display["Enabled"] for display in manager["Displays"]), "would be an empty panel"
    launch = parsed(ROOT / "launch" / "hrnet_pose.launch.xml")
    rviz = next(node for node in launch.findall("node") if node.get("pkg") == "rviz2")
    assert set(topics.values()) == {remap.attrib["from"] for remap in rviz.findall("remap")}


@pytest.mark.parametrize("name", RVIZ_FILES)
def test_rviz_shows_the_overlay_large_beside_the_view(name: str) -> None:
    """In the state of Qt's docks, each dock has its name (UTF-16) and the panels their areas."""
    geometry = yaml.safe_load((ROOT / "config" / name).read_text())["Window Geometry"]
    state = bytes.fromhex(geometry["QMainWindow State"])
    for dock in ("Displays", "Views", "Time", "Overlay", "Tools"):
        assert dock.encode("utf-16-be") in state
    # Version 0, then so many areas, each with number, width and height (QMainWindowLayout).
    assert state[:6] == b"\0\0\0\xff\0\0" and state[8] == 0xFD
    areas, at = {}, 13
    for _ in range(int.from_bytes(state[9:13], "big")):
        number, width, height = (
            int.from_bytes(state[place : place + 4], "big") for place in (at, at + 4, at + 8)
        )
        areas[number] = (width, height)
        following = [state.find(bytes([0, 0, 0, n]), at + 12) for n in (1, 3)]
        at = min([place for place in following if place > 0 and place > at], default=len(state))
    left, right = areas[0], areas[1]
    assert left[0] < 0.2 * geometry["Width"]
    assert right[0] >= 0.4 * geometry["Width"]


def test_the_two_rviz_files_differ_in_the_frame_only() -> None:
    first, second = (yaml.safe_load((ROOT / "config" / name).read_text()) for name in RVIZ_FILES)
    frames, grounds = [], []
    for config in (first, second):
        manager = config["Visualization Manager"]
        frames.append(manager["Global Options"].pop("Fixed Frame"))
        ground = manager["Displays"][0]
        grounds.append((ground.pop("Plane"), ground.pop("Offset")))
        view = manager["Views"]["Current"]
        yaw, pitch, focus = view.pop("Yaw"), view.pop("Pitch"), view.pop("Focal Point")
        # RViz looks from the focal point plus the distance in this direction.
        eye = np.array([focus["X"], focus["Y"], focus["Z"]]) + view["Distance"] * np.array(
            [np.cos(pitch) * np.cos(yaw), np.cos(pitch) * np.sin(yaw), np.sin(pitch)]
        )
        forward, up = (2, (1, -1)) if config is first else (0, (2, 1))
        assert eye[forward] < -1, "from behind"
        assert eye[up[0]] * up[1] > 1, "and from above"
    assert first == second
    assert frames == ["camera_optical_frame", "base_link"]
    assert [plane for plane, _ in grounds] == ["XZ", "XY"]


def test_foxglove_layout_places_its_panels_once() -> None:
    layout = json.loads((ROOT / "config" / "foxglove_layout.json").read_text())

    def panels(node: Any) -> list[str]:
        if isinstance(node, str):
            return [node]
        assert node["direction"] in {"row", "column"} and 0 < node["splitPercentage"] < 100
        return panels(node["first"]) + panels(node["second"])

    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])
    kinds = {name.partition("!")[0] for name in layout["configById"]}
    assert kinds <= {"Image", "3D", "DiagnosticSummary", "Plot"}
