"""How results are printed: JSON or tables on stdout, everything else on stderr."""

import json
import sys
from typing import Any

from rich.console import Console


def print_json(result: Any) -> None:
    """One JSON document on stdout, and nothing else there; keys keep their order."""
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


def stdout() -> Console:
    """For results. Without a terminal a line may be as long as it needs: nobody wraps a pipe."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def stderr() -> Console:
    """For progress."""
    return Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """One line about what went wrong, on stderr."""
    sys.stderr.write(f"{text}\n")
