"""Sphinx's configuration. `build.py` stages the sources; this file goes with them."""

from __future__ import annotations

import importlib.util

project = "lbfgsd"
author = "the lbfgsd authors"
copyright = "the lbfgsd authors, Apache License 2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_theme = "furo"
html_title = "lbfgsd"
html_show_sourcelink = False
html_extra_path = ["_viewer"]

# Anchors as on the repository's pages.
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]

# Docstrings have names in single backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
# Their definitions fill half a page.
autodoc_type_aliases = {
    "ArrayLike": "ArrayLike",
    "Floats": "Floats",
    "Jacobian": "Jacobian",
    "StateDict": "StateDict",
}
if importlib.util.find_spec("torch") is None:
    autodoc_mock_imports = ["torch"]

suppress_warnings = ["misc.highlighting_failure"]
