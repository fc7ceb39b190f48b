"""Sphinx configuration of the documentation site: `make docs` builds it into build/site, offline, warnings as errors.

The source folder is the repository itself, so that links between its Markdown files hold on the site too.
"""

import re
from importlib.metadata import version as installed_version
from typing import Any

project = "unetprep"
author = "The unetprep developers"
copyright = author
version = release = installed_version("unetprep")
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**/*.md",
    "docs/*.md",
    "pipeline/*.md",
    "trainer/*.md",
    "benchmarks/*/*.md",
    "findings/*.md",
]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
html_theme = "furo"
html_title = "unetprep and unettrain"
html_copy_source = False
myst_heading_anchors = 3
default_role = "code"  # docstrings write names between single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90

ARRAY = re.compile(
    r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[~?(?:numpy\.)?(\w+)\]\]"
)
DTYPE_LIKE = re.compile(r"type\[~typing\.Any\] \| ~numpy\.dtype.*?_DTypeDict \| str( \| None)?")


def _shorten(*event: Any) -> tuple[str | None, str | None]:
    """Write array types as the source does: `NDArray[float32]` and `DTypeLike`."""
    *_, signature, returned = event
    short = [text and DTYPE_LIKE.sub("DTypeLike", ARRAY.sub(r"NDArray[\1]", text)) for text in (signature, returned)]
    return short[0], short[1]


def _mark_examples(*event: Any) -> None:
    """Turn indented paragraphs of a docstring, which are examples, into Python code."""
    lines: list[str] = event[-1]
    for k in reversed(range(1, len(lines))):
        if lines[k].startswith("    ") and not lines[k - 1].strip():
            lines[k:k] = [".. code-block:: python", ""]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", _shorten)
    app.connect("autodoc-process-docstring", _mark_examples)
