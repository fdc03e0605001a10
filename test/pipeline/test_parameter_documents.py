# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hrnet_pose_ros.pipeline.parameter import Change
from hrnet_pose_ros.pipeline.parameter_documents import (
    DOCUMENT,
    FUSION_NODE,
    NODES,
    POSE_NODE,
    SECTIONS,
    NodeParameters,
    markdown_table,
    parameter_file,
    with_table,
    write,
)

each_node = pytest.mark.parametrize("node", NODES, ids=lambda node: node.node)


@each_node
def test_the_parameter_file_of_the_tree_is_made_of_the_settings(
    root: Path, node: NodeParameters
) -> None:
    assert (root / node.file).read_text() == parameter_file(node), (
        "run python -m hrnet_pose_ros.pipeline.parameter_documents, which writes it"
    )


@each_node
def test_the_parameter_file_says_every_default_below_its_description(node: NodeParameters) -> None:
    text = parameter_file(node)
    values = YAML(typ="safe").load(text)["/**"]["ros__parameters"]
    assert node.settings.of(values) == node.settings.of({})
    ordered = [p.name for change in SECTIONS for p in node.parameters if p.change is change]
    assert list(values) == ordered
    assert set(SECTIONS) == set(Change)
    assert max(map(len, text.splitlines())) <= 100
    words = " ".join(text.replace("#", "").split())
    for parameter in node.parameters:
        assert " ".join(parameter.description.replace("`", "").replace("#", "").split()) in words


def test_writing_replaces_the_tables_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    head = markdown_table().splitlines()[0]
    old = f"{head}\n|---|---|---|---|---|---|\n| `gone` | bool |\n"

    def document(tables: dict[str, str]) -> str:
        first, *others = NODES
        parts = [f"# Parameters\n\n{tables[first.node]}\nBetween.\n"]
        parts += [f"\n{one.section}\n\n{tables[one.node]}\nAfter it.\n" for one in others]
        return "".join(parts)

    (tmp_path / DOCUMENT).write_text(document({node.node: old for node in NODES}))
    write(tmp_path)
    tables = {node.node: f"{markdown_table(node)}\n" for node in NODES}
    assert (tmp_path / DOCUMENT).read_text() == document(tables)
    for node in NODES:
        assert (tmp_path / node.file).read_text() == parameter_file(node)


def test_a_document_without_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no table that begins with '\| parameter \|"):
        with_table("# Parameters\n")
    with pytest.raises(ValueError, match="no heading '## person_fusion'"):
        with_table(markdown_table(), FUSION_NODE)
    text = f"# Parameters\n{markdown_table()}"
    assert with_table(text, POSE_NODE) == text + "\n"  # the table ends the document
