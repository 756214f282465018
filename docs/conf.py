"""Sphinx: `python -m sphinx -W docs docs/_build`, with the extra `docs` installed.

Pages are plain Markdown. What the code says better than a page could (help texts, settings,
signatures) is written by `generated.py` when the pages are read: a line
`<!-- generated: NAME -->` becomes what its function NAME returns.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generated  # noqa: E402 - found beside this file

import fedpate  # noqa: E402

project = "fedpate"
author = "The fedpate developers"
project_copyright = author
version = release = fedpate.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
suppress_warnings = ["toc.empty_glob"]  # the pages on deployments are found by their names
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"fedpate {version}"
html_copy_source = False


def setup(app):
    """Fill in what is generated."""
    app.connect("source-read", lambda _app, _page, source: fill_in(source))


def fill_in(source: list[str]) -> None:
    """Replace the markers of one page; `source` is its text in a list of one."""
    source[0] = generated.fill_in(source[0])
