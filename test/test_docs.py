# SPDX-License-Identifier: Apache-2.0
"""The documents: links resolve, pages are reachable, examples import what exists.

Whether the site builds without a warning is for ``make docs`` to say.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hrnet_pose_ros.cli.main import main
from hrnet_pose_ros.fusion.refusals import Refusal
from hrnet_pose_ros.msg import Keypoint
from hrnet_pose_ros.pipeline.drop_reasons import Reason
from hrnet_pose_ros.replay.answers import read_answers

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w*).*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def documents(root: Path) -> list[Path]:
    """Every Markdown page of the repository."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "*.md"],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = [root / name for name in listed.stdout.split("\n") if name]
    return [path for path in found if path.is_file()]


def prose(path: Path) -> str:
    """A page's text without its code blocks."""
    return FENCED.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    found: set[str] = set()
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


def links(path: Path) -> Iterator[tuple[str, str]]:
    """``(target, anchor)`` of a page's links that stay in the repository."""
    for link in LINK.findall(prose(path)):
        if not re.match(r"[a-z]+:", link):
            target, _, anchor = link.partition("#")
            yield target, anchor


def test_links_resolve(root: Path) -> None:
    broken = []
    count = 0
    for path in documents(root):
        for target, anchor in links(path):
            count += 1
            file = path if not target else path.parent / target
            if not file.exists():
                broken.append(f"{path.relative_to(root)}: {target} does not exist")
            elif anchor and (file.suffix != ".md" or anchor not in anchors(file)):
                broken.append(f"{path.relative_to(root)}: {target} has no heading #{anchor}")
    assert not broken
    assert count > 50


def test_pages_that_code_and_messages_name_exist(root: Path) -> None:
    """``docs/x.md`` in sources, configuration and error messages."""
    listed = subprocess.run(
        ["git", "-C", str(root), "grep", "-hoE", r"docs/[a-z_]+\.(md|rst)"],
        capture_output=True,
        text=True,
    )
    if listed.returncode > 1:
        pytest.skip("not a git checkout")
    named = set(listed.stdout.split())
    named -= {"docs/x.md"}  # this file
    assert len(named) > 5
    assert sorted(name for name in named if not (root / name).is_file()) == []


def test_readme_stays_short(root: Path) -> None:
    assert len((root / "README.md").read_text().splitlines()) <= 170


def test_readme_prints_a_message_of_the_golden_bag(root: Path) -> None:
    """Make the golden bag anew and the README has to follow."""
    blocks = FENCED.findall((root / "README.md").read_text())
    [printed] = [code for language, code in blocks if language == "yaml"]
    message = yaml.safe_load(printed)
    stamp = message["header"]["stamp"]
    frames = read_answers(root / "demo" / "golden").frames
    frame = frames[stamp["sec"] * 10**9 + stamp["nanosec"]]
    assert (message["image_width"], message["image_height"]) == frame.size
    [person] = message["skeletons"]
    index = frame.ids.index(person["id"])
    assert person["score"] == round(float(frame.person_scores[index]), 3)
    joints = [getattr(Keypoint, name) for name in re.findall(r"# ([A-Z_]+)$", printed, re.M)]
    assert len(joints) == len(person["keypoints"]) > 0
    for joint, point in zip(joints, person["keypoints"], strict=True):
        place = frame.poses.keypoints[index, joint]
        covariance = frame.poses.covariances[index, joint]
        assert [point["x"], point["y"]] == [round(float(value), 1) for value in place]
        assert point["score"] == round(float(frame.poses.scores[index, joint]), 3)
        shown = [point["var_x"], point["cov_xy"], point["var_y"]]
        assert shown == [round(float(covariance[at]), 2) for at in ((0, 0), (0, 1), (1, 1))]


def test_every_page_is_in_a_toctree(root: Path) -> None:
    docs = root / "docs"
    listed = {
        line.strip()
        for block in re.findall(r"```\{toctree\}\n(.*?)```", (docs / "index.md").read_text(), re.S)
        for line in block.splitlines()
        if line.strip() and not line.startswith(":")
    }
    pages = {path.stem for suffix in ("md", "rst") for path in docs.glob(f"*.{suffix}")}
    assert listed == pages - {"index"}


def test_python_examples_import_what_exists(root: Path) -> None:
    """``from hrnet_pose_ros… import …`` in the pages' Python blocks."""
    missing = []
    count = 0
    for path in documents(root):
        for language, code in FENCED.findall(path.read_text()):
            if language != "python":
                continue
            for node in ast.walk(ast.parse(code)):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("hrnet_pose"):
                    count += 1
                    module = importlib.import_module(str(node.module))
                    missing += [
                        f"{path.name}: {node.module}.{alias.name}"
                        for alias in node.names
                        if not hasattr(module, alias.name)
                    ]
    assert count and not missing


# What the page's C++ node uses of rclcpp, for machines that have the messages but not rclcpp.
RCLCPP_STAND_IN = """
#include <cstdio>
#include <memory>
#include <string>
namespace rclcpp {
struct Duration { double seconds() const { return 0; } };
struct Time {
  Time() = default;
  template<typename Stamp> explicit Time(const Stamp &) {}
  Duration operator-(const Time &) const { return {}; }
};
struct Node {
  explicit Node(const std::string &) {}
  template<typename Message, typename Callback>
  int create_subscription(const std::string &, int, Callback callback)
  {
    callback(Message());
    return 0;
  }
  Time now() const { return {}; }
  int get_logger() const { return 0; }
};
inline void init(int, char **) {}
template<typename Pointer> void spin(Pointer) {}
}  // namespace rclcpp
#define RCLCPP_INFO(logger, ...) (void)(logger), std::printf(__VA_ARGS__)
"""


def test_cpp_examples_compile_with_the_built_messages(root: Path, tmp_path: Path) -> None:
    """The pages' C++ blocks against the message headers; real rclcpp comes first if it is there."""
    prefixes = [Path(prefix) for prefix in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep)]
    folders = [folder for prefix in prefixes for folder in (prefix / "include").glob("*")]
    include = [f"-I{folder}" for folder in folders if folder.is_dir()]
    (tmp_path / "rclcpp").mkdir()
    (tmp_path / "rclcpp" / "rclcpp.hpp").write_text(RCLCPP_STAND_IN)
    compiled = 0
    for path in documents(root):
        for language, code in FENCED.findall(path.read_text()):
            if language != "cpp":
                continue
            compiled += 1
            source = tmp_path / f"example_{compiled}.cpp"
            source.write_text(code)
            compiler = ["c++", "-std=c++17", "-fsyntax-only", "-Wall", "-Werror"]
            flags = [*include, f"-idirafter{tmp_path}", "-Wno-unused-variable"]
            done = subprocess.run(
                [*compiler, *flags, str(source)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{path.name}: {done.stderr[:3000]}"
    assert compiled


def site_configuration(root: Path) -> dict[str, object]:
    """What docs/conf.py defines (Sphinx is installed for ``make docs`` only)."""
    if importlib.util.find_spec("sphinx") is None:
        source = (root / "docs" / "conf.py").read_text()
        source = source.replace("from sphinx.application import Sphinx\n", "Sphinx = object\n")
    else:
        source = (root / "docs" / "conf.py").read_text()
    names: dict[str, object] = {"__file__": str(root / "docs" / "conf.py")}
    exec(compile(source, "conf.py", "exec"), names)
    return names


def test_links_are_made_for_the_site(root: Path) -> None:
    conf = site_configuration(root)
    site_links, repository = conf["site_links"], conf["REPOSITORY"]
    assert callable(site_links)
    pages = {"README.md": "index.md", "models/card.md": "card.md"}
    text = "[a](docs/x.md#y) ![b](docs/images/b.jpg) [c](models/card.md) [d](msg/K.msg) [e](#f)\n"
    expected = f"[a](x.md#y) ![b](images/b.jpg) [c](card.md) [d]({repository}/msg/K.msg) [e](#f)\n"
    assert site_links(text, "", pages) == expected
    assert site_links("[a](../README.md#z) [b](c.md)", "docs", pages) == "[a](index.md#z) [b](c.md)"
    code = "```\n[a](docs/x.md)\n```\n"
    assert site_links(code, "", pages) == code
    assert site_links("[`a`](https://b.c/d)", "", pages) == "[`a`](https://b.c/d)"


def test_pre_commit_has_the_versions_of_make_lint(root: Path) -> None:
    locked = "".join(
        (root / "dev" / "requirements" / name).read_text() for name in ("test.lock", "run.lock")
    )
    # A package may have several versions, each for some Pythons.
    pins = set(re.findall(r"^[\w.-]+==\S+", locked, re.MULTILINE))
    configuration = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    [local] = configuration["repos"]
    asked = {pin for hook in local["hooks"] for pin in hook["additional_dependencies"]}
    assert {pin.split("==")[0] for pin in asked} >= {"ruff", "mypy"}
    assert asked <= pins


def first_column(page: Path, heading: str) -> set[str]:
    """The names in code of a table's first column, under a heading."""
    table = f"\n{page.read_text()}".partition(f"\n{heading}\n")[2].partition("\n#")[0]
    return {
        name
        for cell in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w[\w-]*)`", cell)
    }


def test_every_drop_reason_has_its_row(root: Path) -> None:
    described = first_column(root / "docs" / "diagnostics.md", "## Drop reasons")
    assert described == {reason.value for reason in Reason}


def test_every_refusal_reason_has_its_row(root: Path) -> None:
    described = first_column(root / "docs" / "diagnostics.md", "### Refusal reasons")
    assert described == {reason.value for reason in Refusal}


def test_every_verb_and_extra_has_its_row(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    verbs = set(re.findall(r"^    (\w[\w-]*)", capsys.readouterr().out, re.MULTILINE))
    page = root / "docs" / "command_line.md"
    assert first_column(page, "# Command line") == verbs
    extras = re.findall(r'^        "([\w-]+)": ', (root / "setup.py").read_text(), re.MULTILINE)
    assert first_column(page, "## Pip extras") == set(extras)
