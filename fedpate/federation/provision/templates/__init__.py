"""The text files of a kit: each file in a folder here is one file of that kind of kit."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

import fedpate
from fedpate.federation.doors import (
    ANSWER_TIMEOUT_S,
    BODY_LIMIT,
    BODY_TIMEOUT_S,
    ENDPOINTS,
)
from fedpate.federation.provision.files import PROGRAM, PUBLIC

HERE = Path(__file__).parent


def render(kind: str, values: Mapping[str, object]) -> Iterator[tuple[str, bytes, int]]:
    """(name, content, mode) of every text file of a `kind` of kit, "coordinator" or "hospital"."""
    environment = Environment(  # noqa: S701 - shell, YAML and Markdown, never HTML
        loader=FileSystemLoader(HERE / kind), undefined=StrictUndefined, keep_trailing_newline=True
    )
    doors = {
        "version": fedpate.__version__,
        "endpoints": sorted(ENDPOINTS),
        "body_limit_mb": BODY_LIMIT >> 20,
        "body_timeout_s": int(BODY_TIMEOUT_S),
        "answer_timeout_s": int(ANSWER_TIMEOUT_S),
    }
    for name in sorted(environment.list_templates()):
        text = environment.get_template(name).render({**doors, **values})
        yield name, text.encode(), PROGRAM if name.endswith(".sh") else PUBLIC
