"""The command line in this process, for tests: exit code, stdout and stderr of one call."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from fedpate import cli


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
