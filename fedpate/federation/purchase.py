"""Buying labels: what is affordable, asking for votes, paying, drawing the noise; in that order."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from flwr.app import RecordDict

from fedpate.errors import NothingReleased, QuorumError
from fedpate.federation import evaluation, pricing, wire
from fedpate.federation.hospital import training_id
from fedpate.federation.members import Members, RequestFor, batches
from fedpate.federation.overrides import settings_for
from fedpate.federation.private_teachers import route_of
from fedpate.federation.progress import Progress, staged
from fedpate.federation.releasing import (
    Learning,
    Predict,
    Public,
    Till,
    coordinator_entropy,
    release,
    tell_spent,
)
from fedpate.federation.settings import Run, Stated, TrainSettings
from fedpate.federation.side import Side
from fedpate.federation.timing import Clock
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanism import GatedMechanism, Mechanism
from fedpate.privacy.mechanisms import plain_argmax
from fedpate.privacy.soft_votes import registered
from fedpate.records import QueryBatch, Release, Votes


@dataclass(frozen=True)
class Purchase:
    """Labels for new queries, from the hospitals and through the ledger."""

    run: Run
    side: Side
    mechanism: Mechanism  # calibrated
    ledger: PrivacyLedger
    members: Members
    progress: Progress
    clock: Clock
    _told: list[TrainSettings] = field(default_factory=list)  # filled in the first round

    def affordable(self, fresh: QueryBatch, later: int = 0) -> tuple[QueryBatch, int]:
        """The queries that may be asked now, and how many in later rounds.

        All of them; or, with `privacy.on_budget=truncate`, the first that can be paid for.

        Queries that an interrupted run has paid for and not released need no money again.

        Raises:
          BudgetExceeded: none may be asked.
        """
        tell_spent(self.run, self.ledger, self.progress)
        if not len(fresh):
            return fresh, later
        till, book = self._till(self.run.teachers_per_hospital), self.ledger.book()
        for id_, (_, charge) in book.charges.items():
            paid = fresh.take(slice(charge.n_queries))
            if book.state(id_) == "open" and till.paid(self._last_step, paid):
                return paid, later
        count = pricing.affordable_queries(
            self.run,
            self.mechanism,
            self.ledger,
            len(fresh) + later,
            self.side.n_classes,
            route_of(self.run, self.side),
        )
        return fresh.take(slice(count)), max(0, count - len(fresh))

    def labels(
        self, asked: QueryBatch, later: int = 0, predict: Predict | None = None
    ) -> tuple[Votes, Public]:
        """Ask, pay, draw, release: the tally, and the public labels.

        Args:
          asked, later: what `affordable` gave.
          predict: a student of earlier rounds' labels.

        Raises:
          NothingReleased: too few hospitals, or another process has spent the budget meanwhile.
        """
        if not self._told:
            self._told.append(self._train(len(asked) + later))
        settings = self._told[0]
        if self.run.trust == "local":
            return self._local_labels(asked, settings)
        votes = self._tally(asked, settings)
        with self.clock("release_s"):
            till = self._till(max(self.members.voters.values()))
            learning = Learning(self.student_of, predict, later)
            return votes, release(till, self.mechanism, votes, asked, learning)

    def _local_labels(self, asked: QueryBatch, settings: TrainSettings) -> tuple[Votes, Public]:
        """With trust=local what leaves is the votes themselves: pay before asking."""
        till = self._till(max(self.members.teachers.values()))
        receipt = till.pay("labels", self.mechanism.event, asked)
        try:
            votes = self._tally(asked, settings)
        except QuorumError as error:
            raise NothingReleased(
                f"min_hospitals={error.needed} hospitals are needed, {error.present} "
                f"completed '{error.step}'; nothing was released, but the charge stays: "
                "randomized votes have left their hospitals"
            ) from error
        with self.clock("release_s"):
            labels = plain_argmax(votes, coordinator_entropy(self.run)).labels
            return votes, till.publish(receipt, asked, labels)

    @property
    def _last_step(self) -> pricing.Price:
        if isinstance(self.mechanism, GatedMechanism):
            return self.mechanism.answer_event
        return self.mechanism.event

    def _till(self, largest_k: int) -> Till:
        return Till(
            self.run,
            self.ledger,
            self.side.data_name,
            self.mechanism.name,
            self.side.n_classes,
            largest_k,
            self.progress,
            route_of(self.run, self.side),
        )

    def _train(self, n_queries: int) -> TrainSettings:
        """Greet the hospitals and have them train for so many queries; what they were told."""
        settings, run = self.side.settings, self.run
        if run.trust == "local":
            settings = replace(settings, mechanism=self.mechanism)
        if self.side.submitter is not None:
            settings = replace(settings, stated=self._stated(self.side.submitter, n_queries))
        arrays = self.side.preprocessing.to_arrays()
        requests = self._each(settings, lambda own: wire.train_request(own.to_json(), arrays))
        with staged(self.progress, "hospitals", self.side.n_hospitals):
            self.members.greet()
        total = len(self.members.present) * run.teachers_per_hospital
        with self.clock("teachers_s"), staged(self.progress, "teachers", total):
            self.members.train(requests, run.teachers_per_hospital)
        return settings

    def _stated(self, submitter: str, n_queries: int) -> Stated:
        """What real hospitals are told before they are asked."""
        run = self.run
        return Stated(
            submitter=submitter,
            trust=run.trust,
            mechanism=registered(self.mechanism),
            queries=n_queries,
            delta=run.privacy.delta,
            features=self.side.columns,
        )

    def _tally(self, asked: QueryBatch, settings: TrainSettings) -> Votes:
        """The votes on every query, batch by batch; raises QuorumError."""
        n_classes = self.side.n_classes
        total = len(asked) * len(self.members.present)
        counts, teachers = np.empty((len(asked), n_classes), np.int64), []
        with self.clock("votes_s"), staged(self.progress, "queries", total):
            done = 0
            for batch in batches(asked, self.run.message_mb, n_classes):
                answers = self.members.ask(
                    self._each(settings, partial(self._question, batch)),
                    batch,
                    n_classes,
                    randomized=settings.mechanism is not None,
                    soft=settings.votes == "probabilities",
                )
                tally = Votes.tally(answers)
                counts[done : done + len(batch)] = tally.counts
                teachers.append(tally.n_teachers)
                done += len(batch)
        return Votes(asked.query_ids, counts, min(teachers), tally.parts)

    def _question(self, batch: QueryBatch, own: TrainSettings) -> RecordDict:
        training = training_id(own, self.side.preprocessing)
        return wire.predict_request(own.to_json(), training, batch)

    def _each(
        self, settings: TrainSettings, make: Callable[[TrainSettings], RecordDict]
    ) -> RequestFor:
        """Every hospital's request, made once for those that are told the same."""
        made: dict[str, RecordDict] = {}

        def request_for(hospital: str) -> RecordDict:
            own = settings_for(settings, self.run.hospital_overrides, hospital)
            key = own.to_json()
            if key not in made:
                made[key] = make(own)
            return made[key]

        return request_for

    def student_of(self, so_far: Release) -> Predict | None:
        """What a student of these labels predicts; None where there is no label."""
        student = evaluation.train_student(self.run, self.side, so_far, self.progress)
        return None if student is None else lambda batch: student.predict(batch.features)
