"""Ask, train, ask again: queries are chosen, bought and learned from, round after round.

The sizes of the rounds follow from the settings alone, so the price of the run is known before the
first (`Purchase.affordable` looks at what is still to come, too). Every round is charged before
its labels exist. An interrupted run that is started again with the same settings makes the same
choices, because they depend on seed, pool and released labels only: what was released is found in
the ledger by content and costs nothing.
"""

import logging
from dataclasses import dataclass

import numpy as np

from fedpate.errors import BudgetExceeded, ConfigError
from fedpate.federation.purchase import Purchase
from fedpate.federation.releasing import Predict, Public
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.learning.selection import Known
from fedpate.records import Floats, Ints, Release, Votes

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Bought:
    """What all rounds together came to."""

    release: Release  # every query that has been asked, now or in an earlier run
    votes: Votes | None  # of the queries asked now; None: all were repeats
    from_cache: int  # repeats


def sizes(run: Run, n_pool: int) -> list[int]:
    """Queries of each round: one round, unless the choice of queries learns.

    Raises:
      ConfigError: more queries than records in the pool.
    """
    if run.queries > n_pool:
        raise ConfigError(f"queries must be at most the pool's {n_pool}, got {run.queries}")
    count = min(run.rounds, run.queries) if run.queries_by.learns else 1
    return [len(part) for part in np.array_split(np.arange(run.queries), count)]


def buy(run: Run, side: Side, purchase: Purchase) -> Bought:
    """Choose, ask, pay and release, in as many rounds as the settings say.

    Raises:
      ConfigError: more queries than records.
      NothingReleased: over budget, or too few hospitals.
    """
    asked = _Asked(run, side, purchase)
    planned = sizes(run, len(side.pool))
    for place, size in enumerate(planned):
        try:
            asked.one_round(size, later=sum(planned[place + 1 :]))
        except BudgetExceeded as error:
            if run.privacy.on_budget == "stop" or not asked.votes:
                raise
            log.info("no budget for a further round: %s", error)
            break
    return asked.bought()


class _Asked:
    """The rounds so far."""

    def __init__(self, run: Run, side: Side, purchase: Purchase) -> None:
        self._run, self._side, self._purchase = run, side, purchase
        self._rows = np.zeros(0, np.int64)  # of the pool, in the order in which they were chosen
        self._keys: list[str] = []  # content hashes of these
        self._public: Public = {}
        self._from_cache = 0
        self._allowed: int | None = None  # new queries that the budget allowed in the first round
        self.votes: list[Votes] = []

    def one_round(self, size: int, later: int) -> None:
        """Choose `size` queries and buy their labels; `later` more are to follow."""
        predict = self._purchase.student_of(self._release()) if len(self._rows) else None
        rows = self._run.queries_by.choose(self._known(predict), size)
        queries = self._side.pool.take(rows)
        keys = queries.row_hashes()
        self._rows, self._keys = np.append(self._rows, rows), self._keys + keys
        self._public |= self._purchase.ledger.cached(keys)  # repeats are free
        fresh = queries.take(np.flatnonzero([key not in self._public for key in keys]))
        self._from_cache += len(queries) - len(fresh)
        if self._allowed is not None:  # how many are asked is not to depend on labels
            fresh = fresh.take(slice(self._allowed))
            later = min(later, self._allowed - len(fresh))
        wanted, further = self._purchase.affordable(fresh, later)
        if len(wanted):
            self._allowed = further
            votes, new = self._purchase.labels(wanted, further, predict)
            self.votes.append(votes)
            self._public |= new

    def bought(self) -> Bought:
        """All rounds together."""
        votes = _joined(self.votes) if self.votes else None
        return Bought(self._release(), votes, self._from_cache)

    def _release(self) -> Release:
        known = [place for place, key in enumerate(self._keys) if key in self._public]
        labels = np.array([self._public[self._keys[place]] for place in known], dtype=np.int64)
        return Release(self._side.pool.query_ids[self._rows[known]], labels)

    def _known(self, predict: Predict | None) -> Known:
        side = self._side
        predicted: Floats | None = None if predict is None else predict(side.pool)
        return Known(side.pool.features, side.preprocessing, self._rows, predicted, self._run.seed)


def _joined(parts: list[Votes]) -> Votes:
    """The votes of all rounds; hospitals may have dropped out in between."""
    counts: Ints = np.concatenate([votes.counts for votes in parts])
    ids = np.concatenate([votes.query_ids for votes in parts])
    return Votes(ids, counts, min(votes.n_teachers for votes in parts), parts[0].parts)
