"""What every process that we start does first: log to stderr, and end with its parent."""

import logging
import os
import signal
import threading
import time

PARENT_S = 1.0  # between two looks at the parent


def begin() -> None:
    """Set up this process; call once, first."""
    os.umask(0o077)  # whatever it writes is for its owner
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)sZ %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("flwr").propagate = False  # it has a handler of its own
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """A supervisor that was killed cannot end its children: they see to it themselves."""
    while os.getppid() == parent:
        time.sleep(PARENT_S)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10 * PARENT_S)
    os._exit(1)
