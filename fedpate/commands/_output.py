"""How results are printed: JSON or tables on stdout, everything else on stderr."""

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from fedpate import _json
from fedpate.errors import ConfigError


def print_json(result: Any) -> None:
    """One JSON document on stdout, and nothing else there; keys keep their order."""
    sys.stdout.write(_json.dumps(result, indent=2) + "\n")


def stdout() -> Console:
    """For results; a pipe has no width, so tables get a comfortable one."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def stderr() -> Console:
    """For progress."""
    return Console(stderr=True, highlight=False)


def complain(text: str) -> None:
    """One line on stderr: what went wrong, or what is no result."""
    sys.stderr.write(f"{text}\n")


def say(text: str) -> None:
    """Plain text on stdout, as it is: commands are there to be copied."""
    sys.stdout.write(f"{text}\n")


def write_file(path: Path, setting: str, content: str) -> None:
    """Write a file that the user asked for.

    Raises:
      ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{setting} must be a file that can be written, got {path}: {error.strerror}"
        ) from error
