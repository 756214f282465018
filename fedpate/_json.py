"""JSON that every reader accepts: an infinite epsilon is written `1e999`, NaN is refused.

`1e999` is a number of RFC 8259 that Python, JavaScript and pandas read as infinity; `Infinity`, as
Python's own writer has it, is no JSON at all.
"""

import json
import re
from typing import Any

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN')


def dumps(value: Any, indent: int | None = None) -> str:
    """JSON text of `value`.

    Raises:
      ValueError: a NaN is in it.
    """
    return _TOKEN.sub(_replaced, json.dumps(value, indent=indent))


def _replaced(token: re.Match[str]) -> str:
    text = token.group()
    if text == "NaN":
        raise ValueError("NaN cannot be written as JSON")
    return text if text.startswith('"') else text.replace("Infinity", "1e999")
