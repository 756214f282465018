"""Named checks: keywords in, so that a message can only name the setting it checked.

A dotted setting is passed as `**{"privacy.delta": value}`.
"""

import math
from collections.abc import Collection

from fedpate.errors import ConfigError


def _fail(name: str, rule: str, value: object) -> None:
    raise ConfigError(f"{name} must be {rule}, got {value!r}")


def positive(**settings: float) -> None:
    """Finite and > 0."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value > 0):
            _fail(name, "finite and > 0", value)


def non_negative(**settings: float) -> None:
    """Finite and >= 0."""
    for name, value in settings.items():
        if not (math.isfinite(value) and value >= 0):
            _fail(name, "finite and >= 0", value)


def finite(**settings: float) -> None:
    """Neither infinite nor NaN."""
    for name, value in settings.items():
        if not math.isfinite(value):
            _fail(name, "finite", value)


def open_unit(**settings: float) -> None:
    """In the open interval (0, 1)."""
    for name, value in settings.items():
        if not 0 < value < 1:
            _fail(name, "in (0, 1)", value)


def unit(**settings: float) -> None:
    """In the closed interval [0, 1]."""
    for name, value in settings.items():
        if not 0 <= value <= 1:
            _fail(name, "in [0, 1]", value)


def at_least(minimum: int, **settings: int) -> None:
    """A whole number >= `minimum`."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            _fail(name, f"a whole number >= {minimum}", value)


def one_of(allowed: Collection[str], **settings: str) -> None:
    """One of a closed list of names."""
    for name, value in settings.items():
        if value not in allowed:
            _fail(name, "one of " + ", ".join(sorted(allowed)), value)
