"""Two processes that depend on each other: a deployment's coordinator, and who follows it.

Each holds a lock in the run's private work folder for as long as it lives, whatever ends it. The
coordinator ends when nobody follows any more: a run that nobody waits for bothers no hospital. The
follower sees when the coordinator is gone without a word.
"""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLLOWER, COORDINATOR = "follower.lock", "coordinator.lock"
LOOK_S = 0.5


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Inside, this process holds the lock; it goes with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock; False where there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


@contextmanager
def followed(folder: Path) -> Iterator[None]:
    """Inside, the coordinator runs; it gets SIGTERM when nobody follows any more."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(LOOK_S):
            if not is_held(folder / FOLLOWER):
                os.kill(os.getpid(), signal.SIGTERM)
                return

    with holding(folder / COORDINATOR):
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            done.set()
