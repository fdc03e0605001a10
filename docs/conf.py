# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration: ``make docs``, and docs.ros.org by rosdoc2.yaml.

Pages are written so that their links work on GitHub. Three things make the same pages a site:

* A page that only includes a file of the repository's root (``index.md``: the README) gets that
  file's text.
* A link that leaves ``docs/`` goes to the page that includes its target, or to the repository.
* The reference is generated from the package's tree as it is; no module is named here.
"""

from __future__ import annotations

import ast
import importlib.util
import posixpath
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from sphinx.application import Sphinx

PACKAGE = "hrnet_pose_ros"


def _is_root(folder: Path) -> bool:
    return (folder / "package.xml").is_file() and (folder / PACKAGE).is_dir()


# rosdoc2 builds from a copy of docs/ and puts the repository's root on the path (python_source).
_folders = (Path(globals().get("__file__", ".")).resolve().parents[1], *map(Path, sys.path))
ROOT = next((folder for folder in _folders if _is_root(folder)), _folders[0])
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# --- the project ---------------------------------------------------------------------------------

_manifest = ElementTree.parse(ROOT / "package.xml").getroot()
_urls = {url.get("type", "website"): (url.text or "") for url in _manifest.findall("url")}
REPOSITORY = f"{_urls['repository']}/blob/main"

project = PACKAGE
author = ", ".join(element.text or "" for element in _manifest.findall("author"))
copyright = f"the {PACKAGE} contributors, Apache-2.0"
version = release = _manifest.findtext("version") or ""

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
rosdoc2_settings = {"allow_other_extensions": True}

# --- pages ---------------------------------------------------------------------------------------

# What rosdoc2 adds to its copy of docs/ and this site has pages of its own for: an index, the files
# of the root, and lists of these. Its pages of the messages stay (_read_source).
exclude_patterns = ["index.rst", "[A-Z]*", "__[!m]*"]
MESSAGES = "__message_definitions"
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = f"{PACKAGE} {version}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_js_files = ["tables.js"]
html_copy_source = False  # several pages only include a file of the root
html_show_sphinx = False

# A page that stands for a file of the root says so in a line of its own.
_INCLUDED = re.compile(r"^(?:```\{include\}|\.\. include::) \.\./(\S+)$(?:\n```$)?", re.MULTILINE)
# [text](target#anchor) and ![text](target), outside of code blocks.
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?(\))")
_CODE = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def _pages_of_root_files(docs: Path) -> dict[str, str]:
    """``{file of the root: page that includes it}``, like ``{"README.md": "index.md"}``."""
    pages = (page for suffix in source_suffix for page in docs.glob(f"*{suffix}"))
    return {found[1]: page.name for page in pages for found in _INCLUDED.finditer(page.read_text())}


def site_links(text: str, folder: str, pages: dict[str, str]) -> str:
    """The Markdown ``text`` of a file in ``folder`` ("" or "docs"), with links for the site."""

    def moved(link: re.Match[str]) -> str:
        before, target, anchor, after = link.groups(default="")
        path = posixpath.normpath(posixpath.join(folder, target))
        if path in pages:
            place = pages[path]
        elif path.startswith("docs/"):
            place = path.removeprefix("docs/")
        else:
            place = f"{REPOSITORY}/{path}"
        return f"{before}{place}{anchor}{after}"

    parts = _CODE.split(text)  # code blocks have the odd places
    parts[::2] = [_LINK.sub(moved, prose) for prose in parts[::2]]
    return "".join(parts)


def _read_source(app: Sphinx, docname: str, content: list[str]) -> None:
    """Give Sphinx a page's text with included files and links made for the site."""
    pages = _pages_of_root_files(Path(app.srcdir))
    markdown = app.env.doc2path(docname, base=False)
    own = content[0]
    if str(markdown).endswith(".md"):
        own = site_links(own, "docs", pages)

    def included(line: re.Match[str]) -> str:
        file = ROOT / line[1]
        app.env.note_dependency(str(file))
        text = file.read_text()
        return site_links(text, posixpath.dirname(line[1]), pages) if file.suffix == ".md" else text

    content[0] = _INCLUDED.sub(included, own)
    if docname == "index" and (Path(app.srcdir) / f"{MESSAGES}.rst").is_file():
        content[0] += f"\n```{{toctree}}\n:hidden:\n:caption: Messages\n\n{MESSAGES}\n```\n"


# --- the reference from the docstrings -----------------------------------------------------------

autosummary_generate = True
templates_path = ["_templates"]
autodoc_default_options = {"member-order": "bysource", "show-inheritance": True}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
add_module_names = False
napoleon_google_docstring = False


def _returns_as_prose(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Keep a "Returns" section that is plain text in one piece.

    The package's docstrings describe what is returned in sentences (``float64 ``[N, 2]``: …``);
    napoleon would take each of their lines for another value's name and type.
    """
    for start in range(len(lines) - 1):
        if lines[start] in ("Returns", "Yields") and set(lines[start + 1]) == {"-"}:
            end = start + 2
            while end < len(lines) and lines[end].strip():
                end += 1
            section = lines[start + 2 : end]
            if section and not any(line.startswith(" ") for line in section):
                field = f":{lines[start].lower()}:"
                lines[start:end] = ["", f"{field} {section[0]}", *(f"  {s}" for s in section[1:])]
            return


def _mocked() -> list[str]:
    """What the package's modules import and this environment does not have: ROS, torch, …"""
    names = set()
    for path in (ROOT / PACKAGE).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    names -= {*sys.stdlib_module_names, PACKAGE}
    # rosidl generates the messages when the package is built.
    return [f"{PACKAGE}.msg", *sorted(n for n in names if importlib.util.find_spec(n) is None)]


autodoc_mock_imports = _mocked()

# Pages of an earlier build would be looked through for modules: they go when modules have moved.
_modules = {PACKAGE} | {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / PACKAGE).rglob("*.py")
}
_stubs = {path.stem: path for path in (ROOT / "docs" / "reference").glob("*.rst")}
if set(_stubs) != _modules:
    for _stub in _stubs.values():
        _stub.unlink()


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.connect("source-read", _read_source)
    app.connect("autodoc-process-docstring", _returns_as_prose, priority=100)  # before napoleon
