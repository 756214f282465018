"""From votes to public labels: pay, draw, make public; in that order, at each step.

Most mechanisms take one step. A `GatedMechanism` takes two: the gate of every query is paid for and
drawn, then an answer is paid for and drawn for each query that passed. Labels are public only once
`PrivacyLedger.release` has returned them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from fedpate.federation import pricing
from fedpate.federation.private_teachers import Route
from fedpate.federation.progress import Progress
from fedpate.federation.settings import Run
from fedpate.privacy.book import Receipt
from fedpate.privacy.events import Event
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanism import GatedMechanism, Mechanism
from fedpate.privacy.noise import Entropy, OsEntropy, SeededEntropy
from fedpate.records import NO_ANSWER, Floats, Ints, QueryBatch, Release, Votes

Predict = Callable[[QueryBatch], Floats]  # (n_queries, n_classes) probabilities
StudentOf = Callable[[Release], Predict | None]  # None: nothing to learn from yet
Public = dict[str, int]  # content hash of a query -> its public label


def coordinator_entropy(run: Run, purpose: str = "release") -> Entropy:
    """Where the coordinator's noise comes from: the operating system, unless seeded."""
    if run.noise_seed is None:
        return OsEntropy()
    return SeededEntropy(run.noise_seed, purpose)


def tell_spent(run: Run, ledger: PrivacyLedger, progress: Progress) -> None:
    """Tell the display what both units have spent by now."""
    for unit, budget in pricing.budgets(run).items():
        progress.spent(unit, ledger.epsilon(unit, run.privacy.delta), budget)


@dataclass(frozen=True)
class Learning:
    """What a mechanism that asks a student may know, and what it has to leave for later rounds."""

    student_of: StudentOf  # trains a student on the labels so far (mechanism=interactive only)
    predict: Predict | None = None  # of a student of earlier rounds' labels
    later: int = 0  # queries that further rounds will ask: their gates have to stay affordable


@dataclass(frozen=True)
class Till:
    """Where both privacy units pay, and where a label becomes public."""

    run: Run
    ledger: PrivacyLedger
    data_name: str
    mechanism_name: str
    n_classes: int
    largest_k: int  # most teachers of one hospital that took part
    progress: Progress
    route: Route | None = None  # a patient's other price, if the teachers are private themselves

    def pay(self, what: str, price: pricing.Price, queries: QueryBatch) -> Receipt:
        """A receipt for exactly these queries: an interrupted run's, or a new one.

        Raises:
          BudgetExceeded: the ledger is unchanged.
        """
        if receipt := self.paid(price, queries):
            return receipt
        receipt = self.ledger.charge(
            purpose=f"{len(queries)} {what} of {self.data_name} by {self.mechanism_name}",
            query_hash=queries.hash(),
            n_queries=len(queries),
            events=self._events(price, len(queries)),
            delta=self.run.privacy.delta,
            budgets=pricing.budgets(self.run),
        )
        tell_spent(self.run, self.ledger, self.progress)
        return receipt

    def paid(self, price: pricing.Price, queries: QueryBatch) -> Receipt | None:
        """What an interrupted run paid for exactly this; with trust=local it has been used up."""
        if self.run.trust == "local" or not len(queries):
            return None
        return self.ledger.resume(queries.hash(), len(queries), self._events(price, len(queries)))

    def affordable(self, mechanism: GatedMechanism, n_answers: int, gates: int) -> int:
        """How many of `n_answers` to pay for: all, unless `privacy.on_budget=truncate`.

        Then as many as leave enough for `gates` more gates: so the number of gates is fixed by the
        settings, and with it the largest number of answers (docs/concepts/two-steps.md).
        """
        if self.run.privacy.on_budget == "stop":
            return n_answers

        def price(n_queries: int, votes_moved: int, n_classes: int) -> Event:
            event = mechanism.answer_event(n_queries, votes_moved, n_classes)
            return event + mechanism.gate_event(gates, votes_moved, n_classes) if gates else event

        return pricing.truncated(
            self.run, price, self.ledger, n_answers, self.n_classes, self.largest_k, self.route
        )

    def publish(self, receipt: Receipt, queries: QueryBatch, labels: Ints) -> Public:
        """Make labels public; what comes back counts, not what was given."""
        keys = queries.row_hashes()
        public = self.ledger.release(receipt, keys, labels)
        return dict(zip(keys, public.tolist(), strict=True))

    def _events(self, price: pricing.Price, n_queries: int) -> dict[str, Event]:
        return pricing.events(price, n_queries, self.n_classes, self.largest_k, self.route)


def release(
    till: Till, mechanism: Mechanism, votes: Votes, queries: QueryBatch, learning: Learning
) -> Public:
    """Pay for, draw and publish one label per query; `trust=local` has its own, simpler way.

    Args:
      till: where to pay.
      mechanism: calibrated.
      votes: the tally of all answers.
      queries: the same queries, for a student to predict between rounds.
      learning: what a mechanism that asks a student may know.
    """
    # Seeded noise, too, is to be another one in every round.
    purpose = f"release {queries.hash()}" if till.run.queries_by.learns else "release"
    entropy = coordinator_entropy(till.run, purpose)
    if not isinstance(mechanism, GatedMechanism):
        receipt = till.pay("labels", mechanism.event, queries)
        return till.publish(receipt, queries, mechanism.release(votes, entropy).labels)
    public: Public = {}
    for rows in _rounds(till.run, mechanism, len(queries)):
        predicted = _predictions(learning, public, queries, rows)
        part = votes.take(rows), queries.take(rows)
        gates = len(queries) - int(rows[-1]) - 1 + learning.later
        public |= _two_steps(till, mechanism, *part, entropy, predicted, gates)
    return public


def _two_steps(
    till: Till,
    mechanism: GatedMechanism,
    votes: Votes,
    queries: QueryBatch,
    entropy: Entropy,
    predicted: Floats | None,
    gates: int,
) -> Public:
    """Gate, then answers; queries that passed and are not affordable stay without a label.

    `gates` more gates are to follow and must stay affordable.
    """
    public: Public = {}
    passed = np.ones(len(queries), dtype=np.bool_)

    def publish(receipt: Receipt, rows: Ints) -> None:
        student = None if predicted is None else predicted[rows]
        drawn = mechanism.answer(votes.take(rows), passed[rows], entropy, student)
        public.update(till.publish(receipt, queries.take(rows), drawn.labels))

    if not till.paid(mechanism.answer_event, queries):  # else: interrupted after the gate
        receipt = till.pay("threshold tests", mechanism.gate_event, queries)
        passed = mechanism.gate(votes, entropy, predicted)
        publish(receipt, np.flatnonzero(~passed))
    kept = np.flatnonzero(passed)
    kept = kept[: till.affordable(mechanism, len(kept), gates)]
    if len(kept):
        publish(till.pay("labels", mechanism.answer_event, queries.take(kept)), kept)
    return public


def _rounds(run: Run, mechanism: Mechanism, n_queries: int) -> Iterator[Ints]:
    """Rows of each round: several where a student learns in between, unless it did so already."""
    inner = mechanism.name == "interactive" and not run.queries_by.learns
    count = run.rounds if inner else 1
    yield from np.array_split(np.arange(n_queries), min(count, n_queries))


def _predictions(
    learning: Learning, public: Public, queries: QueryBatch, rows: Ints
) -> Floats | None:
    """What a student of the labels so far predicts for the next round."""
    if learning.predict is not None:
        return learning.predict(queries.take(rows))
    before = queries.take(slice(int(rows[0])))
    if not len(before):
        return None
    known = [public.get(key, NO_ANSWER) for key in before.row_hashes()]
    student = learning.student_of(Release(before.query_ids, np.array(known, dtype=np.int64)))
    return None if student is None else student(queries.take(rows))
