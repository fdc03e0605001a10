# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hrnet_pose_ros.pipeline.parameter import Change
from hrnet_pose_ros.pipeline.parameter_documents import (
    DOCUMENT,
    PARAMETER_FILE,
    SECTIONS,
    markdown_table,
    parameter_file,
    with_table,
    write,
)
from hrnet_pose_ros.pipeline.settings import PARAMETERS, Settings


def test_the_parameter_file_of_the_tree_is_made_of_the_settings(root: Path) -> None:
    assert (root / PARAMETER_FILE).read_text() == parameter_file(), (
        "run python -m hrnet_pose_ros.pipeline.parameter_documents, which writes it"
    )


def test_the_parameter_file_says_every_default_below_its_description() -> None:
    text = parameter_file()
    values = YAML(typ="safe").load(text)["/**"]["ros__parameters"]
    assert Settings.of(values) == Settings.of({})
    assert list(values) == [p.name for change in SECTIONS for p in PARAMETERS if p.change is change]
    assert set(SECTIONS) == set(Change)
    assert max(map(len, text.splitlines())) <= 100
    words = " ".join(text.replace("#", "").split())
    for parameter in PARAMETERS:
        assert " ".join(parameter.description.replace("`", "").replace("#", "").split()) in words


def test_writing_replaces_the_table_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    head = markdown_table().splitlines()[0]
    stale = f"# Title\n\n{head}\n|---|---|---|---|---|---|\n| `gone` | bool |\n\nAfter it.\n"
    (tmp_path / DOCUMENT).write_text(stale)
    write(tmp_path)
    assert (tmp_path / DOCUMENT).read_text() == f"# Title\n\n{markdown_table()}\n\nAfter it.\n"
    assert (tmp_path / PARAMETER_FILE).read_text() == parameter_file()


def test_a_document_without_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no table that begins with '\| parameter \|"):
        with_table("# Title\n")
    assert with_table(markdown_table()) == markdown_table() + "\n"  # the table ends the document
