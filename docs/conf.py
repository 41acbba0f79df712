# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration: MyST pages, the Python reference from docstrings, commands from click."""

import itertools
import re
import textwrap
from pathlib import Path

project = "pydarknet"
_settings = (Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8")
release = re.search(r'^version = "(.+)"$', _settings, re.MULTILINE)[1]
copyright = "the pydarknet authors"  # noqa: A001  the name that Sphinx reads
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
html_theme = "furo"
html_title = f"pydarknet {release}"
exclude_patterns = ["_build", "requirements.txt"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
nitpicky = False
smartquotes = False  # -- is the beginning of an option, not a dash


def format_help(_app, _command, lines):
    """Help texts are plain: stars, underscores and bars mean themselves, and blocks keep their lines.

    sphinx-click has marked each line of a block with a bar; a block becomes a literal one, after its title.
    """
    formatted = []
    for is_block, group in itertools.groupby(lines, key=lambda line: line.startswith("| ")):
        text = list(group)
        formatted += _literal([line[2:] for line in text]) if is_block else map(_escaped, text)
    lines[:] = formatted


def format_options(_app, _context, lines):
    """The same for the help texts of options; names of options and directives of Sphinx stay."""
    for number, line in enumerate(lines):
        if not line.lstrip().startswith((".. ", ":")):
            required, text = re.fullmatch(r"(\s*\*\*Required\*\*)?(.*)", line).groups("")
            lines[number] = required + _escaped(text)


def _literal(block):
    title = [_escaped(block.pop(0)), ""] if block[0].endswith(":") else []
    return [
        *title,
        ".. code-block:: text",
        "",
        *(f"    {line}" for line in textwrap.dedent("\n".join(block)).split("\n")),
        "",
    ]


def _escaped(line):
    return re.sub(r"([*_`|\\])", r"\\\1", line)


def setup(app):
    """Called by Sphinx."""
    app.connect("sphinx-click-process-description", format_help)
    app.connect("sphinx-click-process-epilog", format_help)
    app.connect("sphinx-click-process-options", format_options)
