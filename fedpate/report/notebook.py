"""A run as a piece of HTML for a notebook: two tables in the notebook's own colours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from fedpate.report import text, words


def fragment(summary: Mapping[str, Any]) -> str:
    """The tables of the terminal as HTML; values are escaped, nothing is loaded and nothing runs.

    Args:
      summary: schema 1.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"epsilon": text.epsilon, "percent": text.percent}
    return environment.get_template("notebook.html").render(
        title=words.title(summary),
        warning=words.warning(summary),
        accuracies=words.accuracies(summary),
        privacy=summary["privacy"],
        units=("patient", "hospital"),
    )
