"""How epsilon grew with the queries of a ledger: replayed from the charges that a run recorded."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedpate.privacy.accounting import guarantee
from fedpate.privacy.events import Event, compose

MOST_POINTS = 24
MOST_SLOW_POINTS = 6  # of a privacy loss distribution, which takes a twentieth of a second each


@dataclass(frozen=True)
class Spending:
    """The guaranteed epsilon of one unit after the first charged queries."""

    queries: list[int]  # begins with 0
    epsilon: list[float]
    charges: list[tuple[str, int]]  # what was bought, and the number of queries charged by then


def spending(charges: Sequence[Mapping[str, Any]], unit: str, delta: float) -> Spending | None:
    """Replay a ledger's charges for one unit; None where there is nothing finite to show.

    Args:
      charges: `ledger.charges` of details.json, oldest first.
      unit: "patient" or "hospital".
      delta: at which epsilon is stated.
    """
    events = [Event.from_json(json.dumps(charge["events"][unit])) for charge in charges]
    ends = np.cumsum([charge["queries"] for charge in charges]).tolist()
    total = guarantee(compose(events), delta)
    if not events or math.isinf(total.epsilon):
        return None
    points = _points(ends, MOST_SLOW_POINTS if total.bound == "pld" else MOST_POINTS)
    epsilons = [guarantee(_first(events, ends, point), delta).epsilon for point in points[1:-1]]
    return Spending(
        queries=points,
        epsilon=[0.0, *epsilons, total.epsilon],
        charges=[(charge["purpose"], end) for charge, end in zip(charges, ends, strict=True)],
    )


def _points(ends: Sequence[int], most: int) -> list[int]:
    """0, the end, and between them more points where epsilon grows faster: near the beginning."""
    grid = (ends[-1] * np.linspace(0, 1, most) ** 2).round().astype(int).tolist()
    inner = ends[:-1] if len(ends) <= most else []
    return sorted({*grid, *inner})


def _first(events: Sequence[Event], ends: Sequence[int], queries: int) -> Event:
    """The price of the first so many queries; a part of a charge is rounded up to whole pieces."""
    begun, bought = 0, []
    for event, end in zip(events, ends, strict=True):
        if queries <= begun:
            break
        here, whole = min(queries, end) - begun, end - begun
        pieces = tuple((piece, -(-count * here // whole)) for piece, count in event.pieces)
        bought.append(Event(pieces, event.slack))
        begun = end
    return compose(bought)
