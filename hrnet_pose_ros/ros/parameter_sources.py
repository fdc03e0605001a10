# SPDX-License-Identifier: Apache-2.0
"""Where a node's parameters come from: files and arguments, and what of them is ignored.

rcl ignores unknown names, and sections of other nodes, without a word: a node would run with its
defaults, and nobody would know.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from rclpy.node import Node

PARAMETERS_KEY = "ros__parameters"
_FILE_OPTION = "--params-file"


def parameter_files(arguments: Sequence[str]) -> list[Path]:
    """Return the parameter files among a process's arguments, as rcl takes them."""
    files, in_ros_arguments = [], False
    for word, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if word == "--ros-args":
            in_ros_arguments = True
        elif word == "--":
            in_ros_arguments = False
        elif in_ros_arguments and word == _FILE_OPTION and value:
            files.append(Path(value))
    return files


def check_parameter_files(arguments: Sequence[str]) -> None:
    """Check the parameter files among a process's arguments, before rcl reads them.

    Raises
    ------
    ValueError
        A file cannot be read, is not YAML, or has no section with ``ros__parameters``.
    """
    for path in parameter_files(arguments):
        try:
            content = yaml.safe_load(path.read_text())
        except OSError as error:
            raise ValueError(
                f"parameter file {path} cannot be read: {error.strerror or error}"
            ) from None
        except UnicodeDecodeError:
            raise ValueError(f"parameter file {path} is not a text file") from None
        except yaml.YAMLError as error:
            place = getattr(error, "problem_mark", None)
            where = "" if place is None else f" in line {place.line + 1}"
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise ValueError(f"parameter file {path} is not YAML{where}: {problem}") from None
        if content is not None and not list(_sections(content)):
            raise ValueError(
                f"parameter file {path} has no section with {PARAMETERS_KEY}; expected "
                f"'/**:', below it '  {PARAMETERS_KEY}:', below it the parameters"
            )


def ignored_parameters(node: Node, files: Iterable[Path]) -> list[str]:
    """Return one sentence for each part of a node's parameters that has no effect.

    These are names that the node has not declared, and files without a section for the node. Call
    it when the node is complete, because topics declare ``qos_overrides``.
    """
    name = node.get_fully_qualified_name()
    sentences = []
    for path in files:
        sections = list(_sections(yaml.safe_load(path.read_text())))
        if not any(_matches(section, name) for section in sections):
            found = f"only for {', '.join(sections)}" if sections else "for no node: it is empty"
            sentences.append(
                f"parameter file {path} has no section for {name}, {found}: nothing in it has an "
                "effect; use the node's name or /**"
            )
    overrides: dict[str, Any] = node._parameter_overrides  # rclpy has no public access to them
    declared: dict[str, Any] = node._parameters
    for unknown in sorted(set(overrides) - set(declared)):
        near = nearest(unknown, declared)
        sentences.append(
            f"there is no parameter {unknown}: it is ignored; the nearest name is {near}"
        )
    return sentences


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar, regardless of case, hyphens and underscores."""

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9./]", "", text.lower())

    by_plain = {plain(one): one for one in known}
    return by_plain[difflib.get_close_matches(plain(name), by_plain, n=1, cutoff=0.0)[0]]


def _sections(content: Any, prefix: str = "") -> Iterator[str]:
    """Yield the names of the nodes, with wildcards, that have parameters: ``/**``, ``/front/x``."""
    if not isinstance(content, dict):
        return
    for key, value in content.items():
        if key == PARAMETERS_KEY:
            yield prefix or "/"
        else:
            yield from _sections(value, f"{prefix}/{str(key).strip('/')}")


def _matches(section: str, name: str) -> bool:
    """Return whether a section, with rcl's wildcards, is for the node of this name."""
    pattern = re.escape(section).replace(r"/\*\*", r"(/[^/]+)*").replace(r"/\*", r"/[^/]+")
    return re.fullmatch(pattern, name) is not None
