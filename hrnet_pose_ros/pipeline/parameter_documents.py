# SPDX-License-Identifier: Apache-2.0
"""The node's parameters for people: its parameter file, and the table of docs/parameters.md.

In a source tree, after a change in `settings.py`:
``python -m hrnet_pose_ros.pipeline.parameter_documents`` writes both.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from hrnet_pose_ros.files import write_file
from hrnet_pose_ros.pipeline.parameter import Change, Parameter
from hrnet_pose_ros.pipeline.settings import PARAMETERS

PARAMETER_FILE = Path("config") / "hrnet_pose.yaml"
DOCUMENT = Path("docs") / "parameters.md"

TABLE_HEAD = (
    "| parameter | type | default | allowed | changed | what it does |",
    "|---|---|---|---|---|---|",
)
FILE_HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# All parameters of the node hrnet_pose with their defaults. Made by
# python -m hrnet_pose_ros.pipeline.parameter_documents
# Copy this file, change the copy, and name it: ros2 launch hrnet_pose_ros hrnet_pose.launch.xml
# params_file:=/path/to/copy.yaml. What you leave out keeps its default.
# QoS of a topic, under the name that it has after remapping:
#   qos_overrides:
#     /camera/image_raw:
#       subscription: {reliability: reliable}
/**:
  ros__parameters:
"""
SECTIONS = {
    Change.START: "at start only (`ros2 launch` sets these two by its arguments of the same name)",
    Change.UNCONFIGURED: "changed while unconfigured",
    Change.ANY_TIME: "changed at any time",
}
INDENT = " " * 4
WIDTH = 100


def markdown_table() -> str:
    """The parameters as a table in Markdown."""
    return "\n".join([*TABLE_HEAD, *(_row(one) for one in PARAMETERS)])


def parameter_file() -> str:
    """The content of config/hrnet_pose.yaml: every default under what it means."""
    lines = [FILE_HEAD]
    for change, title in SECTIONS.items():
        lines.append(f"{INDENT}# --- {title} ---\n")
        lines += [_entry(one) for one in PARAMETERS if one.change is change]
    return "\n".join(lines)


def with_table(document: str) -> str:
    """A document in Markdown with its table of the parameters made anew.

    Raises ValueError where it has none.
    """
    before, head, rest = document.partition(TABLE_HEAD[0])
    if not head:
        raise ValueError(f"the document has no table that begins with '{TABLE_HEAD[0]}'")
    lines = rest.splitlines(keepends=True)
    end = next((n for n, line in enumerate(lines) if n and not line.startswith("|")), len(lines))
    return before + markdown_table() + "\n" + "".join(lines[end:])


def write(root: Path) -> None:
    """Write the parameter file and the document's table in the source tree at ``root``."""
    write_file(root / PARAMETER_FILE, parameter_file())
    write_file(root / DOCUMENT, with_table((root / DOCUMENT).read_text()))


def _row(one: Parameter) -> str:
    default = str(one.default).lower() if isinstance(one.default, bool) else str(one.default)
    default = default.replace("'", '"') if isinstance(one.default, list) else default or '""'
    return (
        f"| `{one.name}` | {one.type_name} | `{default}` | {one.range_text} | {one.change.value} "
        f"| {one.description} |"
    )


def _entry(one: Parameter) -> str:
    """One parameter of the file: the description as a comment, then the default in YAML."""
    allowed = f" Allowed: {one.range_text}." if one.range_text else ""
    comment = textwrap.fill(
        (one.description + allowed).replace("`", ""),
        WIDTH,
        initial_indent=f"{INDENT}# ",
        subsequent_indent=f"{INDENT}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{comment}\n{INDENT}{one.name}: {json.dumps(one.default)}\n"  # JSON is YAML


if __name__ == "__main__":
    write(Path.cwd())
