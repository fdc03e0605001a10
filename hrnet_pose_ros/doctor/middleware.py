# SPDX-License-Identifier: Apache-2.0
"""DDS: the implementation, its configuration, shared memory, and the network's buffers."""

from __future__ import annotations

import importlib
import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from hrnet_pose_ros.doctor.findings import Finding, Severity, size_text

NODE_CURE = "look at ROS_DOMAIN_ID (0 to 232) and at the middleware's configuration"

FAST_DDS, CYCLONE_DDS = "rmw_fastrtps_cpp", "rmw_cyclonedds_cpp"
# Fast DDS takes the first that is set.
FAST_DDS_FILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
PROFILE = "config/fastdds_shared_memory.xml"

SHARED_MEMORY = Path("/dev/shm")
MAPS = "[0-9]*/maps"
PROCESSES = Path("/proc")
# The profile's segment is 32 MiB a participant: room for some of them.
LEAST_FREE = 256 * 2**20
MANY_LEFTOVERS = 128 * 2**20

RECEIVE_BUFFER = Path("/proc/sys/net/core/rmem_max")
# A 720p image is 2.8 MB; the kernel's own limit is 0.2 MB.
LEAST_RECEIVE_BUFFER = 4 * 2**20


def rmw() -> list[Finding]:
    """The implementation that is chosen, and whether a node can be made with it."""
    chosen = os.environ.get("RMW_IMPLEMENTATION", "")
    installed = _installed()
    name = chosen or f"{FAST_DDS} (ROS's default)"
    details = {"chosen": chosen, "installed": installed}
    if not installed:
        return [Finding("rmw", f"{name}; no ROS 2 is sourced", Severity.NOTE, "", details)]
    value = f"{name}; installed: {', '.join(installed)}"
    if chosen and chosen not in installed:
        package = chosen.replace("_", "-")
        distro = os.environ.get("ROS_DISTRO") or "jazzy"
        advice = f"apt install ros-{distro}-{package}, or unset RMW_IMPLEMENTATION"
        return [Finding("rmw", value, Severity.ERROR, advice, details)]
    return [Finding("rmw", value, details=details)]


def _installed() -> list[str]:
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    index = [Path(p, "share", "ament_index", "resource_index", "rmw_typesupport") for p in prefixes]
    found = {path.name for folder in index if folder.is_dir() for path in folder.iterdir()}
    return sorted(found - {"rmw_implementation"})  # that one loads the others


def node() -> list[Finding]:
    """A node made and destroyed; its name is hidden by the underscore.

    Fast DDS ends the process where it cannot: so this is a probe of its own.
    """
    if not _installed():
        return []
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    try:
        rclpy = importlib.import_module("rclpy")
        rclpy.init()
        rclpy.create_node("_hrnet_pose_doctor").destroy_node()
        rclpy.shutdown()
    except Exception as error:
        return [Finding("node", f"cannot be made: {error}", Severity.ERROR, NODE_CURE)]
    return [Finding("node", f"can be made, domain {domain}", details={"domain": domain})]


def profile() -> list[Finding]:
    """The middleware's configuration file."""
    if os.environ.get("RMW_IMPLEMENTATION", FAST_DDS) == CYCLONE_DDS:
        return [_cyclone(os.environ.get("CYCLONEDDS_URI", ""))]
    if os.environ.get("RMW_IMPLEMENTATION", FAST_DDS) == FAST_DDS:
        return [_fast_dds()]
    return []


def _fast_dds() -> Finding:
    variable = next((name for name in FAST_DDS_FILES if os.environ.get(name)), "")
    if not variable:
        return Finding(
            "dds_profile",
            "none is set",
            Severity.NOTE,
            "without the shared-memory profile nearly all images of 720p are lost. The launch "
            f"files set it; for a node started otherwise, and for the camera driver: export "
            f"{FAST_DDS_FILES[1]}=…/{PROFILE}",
        )
    path = Path(os.environ[variable])
    problem = _xml_problem(path)
    if problem:
        return Finding(
            "dds_profile",
            f"{variable}: {problem}",
            Severity.WARNING,
            "Fast DDS goes on with its own defaults and loses images: correct the variable",
        )
    segments = [
        int(element.text or 0)
        for element in ElementTree.parse(path).iter()
        if element.tag.rpartition("}")[2] == "segment_size"
    ]
    if not segments:
        return Finding(
            "dds_profile",
            f"{variable}: '{path}' sets no shared-memory segment",
            Severity.NOTE,
            f"this package's is {PROFILE}",
        )
    return Finding(
        "dds_profile",
        f"{variable}: '{path}', shared memory of {size_text(max(segments))} a process",
        details={"path": str(path), "segment": max(segments)},
    )


def _cyclone(uri: str) -> Finding:
    if not uri:
        return Finding("dds_profile", "CYCLONEDDS_URI is not set: defaults")
    for part in uri.split(","):
        if part.strip().startswith("<"):
            continue  # XML in the variable itself
        problem = _xml_problem(Path(part.strip().removeprefix("file://")))
        if problem:
            return Finding(
                "dds_profile",
                f"CYCLONEDDS_URI: {problem}",
                Severity.WARNING,
                "correct the variable",
            )
    return Finding("dds_profile", f"CYCLONEDDS_URI: {uri}")


def _xml_problem(path: Path) -> str:
    try:
        ElementTree.parse(path)
    except OSError as error:
        return f"'{path}' cannot be read ({error.strerror})"
    except ElementTree.ParseError as error:
        return f"'{path}' is not XML ({error})"
    return ""


def shared_memory(
    folder: Path = SHARED_MEMORY, least_free: int = LEAST_FREE, many_left: int = MANY_LEFTOVERS
) -> list[Finding]:
    """Room in /dev/shm, and what killed processes left there; sizes in bytes."""
    if not folder.is_dir():
        return [Finding("shared_memory", f"no {folder}", Severity.NOTE)]
    room = shutil.disk_usage(folder)
    scarce = room.free < least_free
    space = Finding(
        "shared_memory",
        f"{size_text(room.free)} of {size_text(room.total)} free",
        Severity.WARNING if scarce else Severity.OK,
        "Fast DDS needs a segment for each process: enlarge it (docker: --shm-size, or --ipc=host)"
        if scarce
        else "",
        {"free": room.free, "total": room.total},
    )
    return [space, _leftovers(folder, many_left)]


def _leftovers(folder: Path, many: int) -> Finding:
    """Fast DDS's files that no process has mapped; those of other users' processes do not show."""
    mapped = _mapped(folder)
    files = [
        (path, _blocks(path))
        for pattern in ("fastrtps_*", "fastdds_*", "sem.fastrtps_*", "sem.fastdds_*")
        for path in folder.glob(pattern)
        if str(path) not in mapped
    ]
    # Lock files (`…_el`, `…_sl`) are never mapped: they count with nothing in them.
    left = [(path, size) for path, size in files if size]
    size = sum(size for _, size in left)
    details = {"files": len(left), "bytes": size}
    if size < many:
        return Finding("leftovers", f"{size_text(size)} of killed processes", details=details)
    return Finding(
        "leftovers",
        f"{len(left)} files of Fast DDS, {size_text(size)}, that no process here uses",
        Severity.WARNING,
        "left by processes that were killed: fastdds shm clean",
        details,
    )


def _mapped(folder: Path) -> set[str]:
    """Files of the shared memory that a process has mapped, as far as this user may see."""
    found = set()
    for maps in PROCESSES.glob(MAPS):
        try:
            lines = maps.read_text(errors="replace").splitlines()
        except OSError:  # another user's, or gone
            continue
        found |= {line.split(maxsplit=5)[-1] for line in lines if str(folder) in line}
    return found


def _blocks(path: Path) -> int:
    """Memory that a file takes, bytes; 0 where it is gone."""
    try:
        return path.stat().st_blocks * 512
    except OSError:
        return 0


def network(receive_buffer: Path = RECEIVE_BUFFER) -> list[Finding]:
    """Buffers for images that come from another computer, and who can be reached."""
    findings = []
    if receive_buffer.is_file():
        size = int(receive_buffer.read_text())
        small = size < LEAST_RECEIVE_BUFFER
        findings.append(
            Finding(
                "receive_buffer",
                f"net.core.rmem_max is {size_text(size)}",
                Severity.NOTE if small else Severity.OK,
                "too small for images from another computer: "
                f"sysctl -w net.core.rmem_max={2 * LEAST_RECEIVE_BUFFER}"
                if small
                else "",
                {"rmem_max": size},
            )
        )
    reach = os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET (ROS's default)")
    return [*findings, Finding("discovery", reach)]
