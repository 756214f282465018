"""The command line in this process, for tests: exit code, stdout and stderr of one call."""

import contextlib
import csv
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedpate import cli

SMALL = (  # settings of a run that takes as little as it can
    *("hospitals=2", "teachers_per_hospital=2", "queries=10", "teacher.epochs=1"),
    *("teacher.min_steps=2", "student.epochs=1", "student.min_steps=2", "baselines=false"),
)


@dataclass(frozen=True)
class Result:
    """What one call came to."""

    code: int
    out: str
    err: str


def fedpate(*args: object) -> Result:
    """`fedpate ARGS...`; Hydra's changes to logging and argv are undone."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _undone():
        code = cli.main([str(arg) for arg in args])
    return Result(code, out.getvalue(), err.getvalue())


def table(folder: Path) -> list[dict[str, str]]:
    """The rows of a sweep's CSV file."""
    return list(csv.DictReader((folder / "sweep.csv").read_text().splitlines()))


@contextlib.contextmanager
def _undone() -> Iterator[None]:
    root, argv = logging.getLogger(), sys.argv
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        sys.argv = argv
        for logger in (root, *map(logging.getLogger, ("flwr", "ray", "py.warnings"))):
            for handler in [one for one in logger.handlers if one not in handlers]:
                logger.removeHandler(handler)
                handler.close()
            logger.propagate = True
        root.handlers[:] = handlers
        root.setLevel(level)
