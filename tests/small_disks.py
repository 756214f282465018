"""A disk of a few megabytes that can be filled and emptied: a tmpfs (root only)."""

import contextlib
import os
import subprocess

import pytest

FILL = "fill"


def why_not():
    """What this machine lacks; None if it can mount."""
    return None if os.geteuid() == 0 else "mounting a tmpfs needs root"


class SmallDisk:
    """A disk at `path`, which is made if needed."""

    def __init__(self, path, megabytes):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")

    def fill(self, leave=0):
        """Leave so many bytes."""
        with (self.path / FILL).open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        size = (self.path / FILL).stat().st_size
        os.truncate(self.path / FILL, max(0, size - leave))

    def empty(self):
        (self.path / FILL).unlink()

    def unmount(self):
        subprocess.run(["umount", "-l", str(self.path)], check=False, capture_output=True)


@contextlib.contextmanager
def small_disk(path, megabytes):
    """One that is gone afterwards; skips without root."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    disk = SmallDisk(path, megabytes)
    try:
        yield disk
    finally:
        disk.unmount()
