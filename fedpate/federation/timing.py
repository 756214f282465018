"""How long the parts of a run take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS = ("teachers_s", "votes_s", "release_s", "student_s")


class Clock:
    """Seconds per part, and since the beginning."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._parts = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Inside, time is counted for this part."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._parts[part] += time.monotonic() - start

    def timings(self) -> dict[str, float]:
        """Every part and `total_s`, in milliseconds' precision."""
        total = time.monotonic() - self._start
        return {part: round(value, 3) for part, value in {**self._parts, "total_s": total}.items()}
