"""Numbers as people read them: the same words on the terminal and on the page."""

import math


def epsilon(value: float | None) -> str:
    """Two decimals, rounded up: a price is never stated lower than it is."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "infinite"
    return f"{math.ceil(round(value * 100, 6)) / 100:.2f}"


def left(value: float | None) -> str:
    """What is left of a budget: two decimals, rounded down, so that nobody plans with more."""
    if value is None:
        return "-"
    if math.isinf(value):
        return "infinite"
    return f"{math.floor(round(value * 100, 6)) / 100:.2f}"


def factor(epsilon: float) -> str:
    """e^epsilon, two digits, rounded up; beyond a million nobody needs the number."""
    if epsilon > math.log(1e6):
        return "more than a million"
    value = math.exp(epsilon)
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / step, 6)) * step:,.10g}"


def percent(value: float | None) -> str:
    """A fraction in percent, one decimal."""
    return "-" if value is None else f"{100 * value:.1f} %"


def scale(value: float | None) -> str:
    """A noise scale or a threshold, in votes."""
    return "-" if value is None else f"{value:.4g}"


def count(value: int | None) -> str:
    """A number of things."""
    return "-" if value is None else str(value)


def size(n_bytes: int) -> str:
    """Bytes in a unit that keeps the number short."""
    amount = float(n_bytes)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"
