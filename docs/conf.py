# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration: MyST pages, the Python reference from docstrings, commands from click."""

import re

project = "pydarknet"
copyright = "the pydarknet authors"  # noqa: A001  the name that Sphinx reads
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
html_theme = "furo"
html_title = "pydarknet"
exclude_patterns = ["_build", "requirements.txt"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
nitpicky = False


def escape_markup(_app, _command, lines):
    """Help texts are plain: a star in an example is not emphasis, ``my_`` is not a link."""
    lines[:] = [re.sub(r"([*_`|])", r"\\\1", line) for line in lines]


def setup(app):
    """Called by Sphinx."""
    app.connect("sphinx-click-process-description", escape_markup)
