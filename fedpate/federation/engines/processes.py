"""Processes that we started, and all that they started, wherever those went.

Flower and Ray start daemons in sessions of their own, so neither a process group nor a tree of
parents finds them. All inherit an environment variable with a random value: that finds them.
"""

import contextlib
import logging
import multiprocessing
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.connection import wait
from pathlib import Path

log = logging.getLogger(__name__)

MARK = "FEDPATE_ENGINE_MARK"
GRACE_S = 5.0
QUIET_S = 0.5


def new_mark() -> str:
    """A value that only one engine's processes carry."""
    return secrets.token_hex(16)


def marked(mark: str, variable: str = MARK) -> list[int]:
    """The ids of all running processes that carry the mark, this one excepted."""
    if sys.platform == "linux":
        return [pid for pid in _all_pids() if _carries(pid, f"{variable}={mark}".encode())]
    listing = subprocess.run(  # elsewhere `ps` can show environments
        ["ps", "-axEww", "-o", "pid=,command="],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split(maxsplit=1) for line in listing.stdout.splitlines() if mark in line]
    return [int(pid) for pid, *_ in lines if int(pid) != os.getpid()]


def end_marked(mark: str, variable: str = MARK) -> None:
    """End them: politely first, then for good; returns when none is left.

    A process that is just being started shows no environment for a moment, so "none" has to last.
    """
    force_at = time.monotonic() + GRACE_S
    give_up_at = force_at + GRACE_S
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_S:
        sign = signal.SIGTERM if time.monotonic() < force_at else signal.SIGKILL
        for pid in marked(mark, variable):
            _send(pid, sign)
            quiet_since = time.monotonic()
        if quiet_since > give_up_at:
            log.warning("some of the processes that were started cannot be ended")
            return
        time.sleep(0.1)


def begin_worker(threads: int) -> None:
    """First in a process that `multiprocessing` started to work for this one.

    Ctrl-C is the parent's to handle, the end of the parent is its own, and torch shares the cores.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _all_pids() -> list[int]:
    own = os.getpid()
    return [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and int(p.name) != own]


def _carries(pid: int, wanted: bytes) -> bool:
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return False


def _send(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)
