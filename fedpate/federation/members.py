"""The hospitals as the coordinator sees them: names, and rounds of messages with checked replies.

A hospital whose reply is missing, an error or malformed is dropped for the rest of the run. Only
the first reply of a hospital to a message counts: a duplicated vote would break the sensitivity
bound that everything is priced with.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from fedpate.errors import PredictionError, QuorumError
from fedpate.federation import wire
from fedpate.federation.progress import Progress
from fedpate.federation.refusals import REASONS
from fedpate.records import PredictionVectors, QueryBatch

log = logging.getLogger(__name__)

T = TypeVar("T")
RequestFor = Callable[[str], RecordDict]  # hospital -> what it is sent; equal ones may be one
Check = Callable[[str, RecordDict], T]  # (hospital, reply) -> what it says, or PredictionError

POLL_S = 0.05
TTL_MARGIN_S = 60.0
ID_BYTES = VOTE_BYTES = 8  # int64


@dataclass
class Answers:
    """What answers took on the wire, and what they would take at least."""

    rows: int = 0  # one per query and hospital
    size: int = 0  # bytes
    fewest: float = 0.0  # bytes, without query ids and noise

    def add(self, rows: int, size: int, bits: float) -> None:
        """Count one checked answer: so many rows of which each holds at least so many bits."""
        self.rows, self.size = self.rows + rows, self.size + size
        self.fewest += rows * bits / 8

    def per_query(self) -> dict[str, float | None]:
        """Bytes per query and hospital; None before the first answer."""
        each = {"per_query_and_hospital": self.size, "least_per_query_and_hospital": self.fewest}
        return {
            name: round(total / self.rows, 3) if self.rows else None for name, total in each.items()
        }


class Members:
    """The federation's hospitals, behind any of Flower's grids."""

    def __init__(
        self,
        grid: Grid,
        expected: Sequence[str],
        quorum: int,
        progress: Progress,
        *,
        join_s: float,
        reply_s: float,
    ) -> None:
        self._grid, self._progress = grid, progress
        self._expected, self._quorum = expected, quorum
        self._join_s, self._reply_s = join_s, reply_s
        self._reported = getattr(grid, "reports", frozenset[str]())  # stages shown by the grid
        self._nodes: dict[str, int] = {}  # hospital -> node id, which is random and means nothing
        self.teachers: dict[str, int] = {}  # hospital -> number of teachers
        self.voters: dict[str, int] = {}  # hospital -> number of teachers, of those in a tally
        self.dropped: dict[str, str] = {}  # hospital -> why
        self.bytes_out = self.bytes_in = 0
        self.answers = Answers()

    def greet(self) -> None:
        """Wait for the hospitals to connect and learn their names.

        Raises:
          QuorumError: fewer than the quorum came.
        """
        # A SuperLink knows by its key which hospital a node is; a simulation's nodes have no name.
        found = self._connected()
        registered = {name for name in found.values() if name}
        nodes = {name or f"node {node}": node for node, name in found.items()}
        names: dict[str, str] = {}
        if registered:
            for absent in set(self._expected) - registered:
                self._drop(absent, wire.HELLO, "did not join")

        def introduce(node: str, content: RecordDict) -> str:
            name = wire.read_hello_reply(content)
            if name in names.values():
                raise PredictionError("the hospital's name must be unique in the federation")
            if registered and name != node:
                raise PredictionError("the hospital's name must be that of its key")
            names[node] = name
            return name

        self._nodes = nodes
        hello = wire.hello_request()
        self._round("hospitals", wire.HELLO, lambda _: hello, introduce, lambda _: 1)
        self._nodes = {names[node]: nodes[node] for node in names}
        self._require_quorum(wire.HELLO)

    def train(self, request_for: RequestFor, teachers_per_hospital: int) -> None:
        """Have every hospital train its teachers, each by its own request.

        Raises:
          QuorumError: fewer than the quorum did.
        """

        def count(_: str, content: RecordDict) -> int:
            return wire.read_train_reply(content, teachers_per_hospital)

        self.teachers = self._round("teachers", wire.TRAIN, request_for, count, lambda n: n)
        self._require_quorum(wire.TRAIN)

    def ask(
        self,
        request_for: RequestFor,
        batch: QueryBatch,
        n_classes: int,
        *,
        randomized: bool,
        soft: bool = False,
    ) -> list[PredictionVectors]:
        """One checked answer per hospital, in the order of the hospitals' names.

        Raises:
          QuorumError: fewer than the quorum gave one.
        """

        def check(hospital: str, content: RecordDict) -> PredictionVectors:
            k = self.teachers[hospital]
            answer = wire.read_predict_reply(
                content, batch.query_ids, n_classes, k, randomized=randomized, soft=soft
            )
            self.answers.add(len(batch), wire.size(content), wire.fewest_bits(k, n_classes))
            return answer

        answers = self._round("queries", wire.PREDICT, request_for, check, lambda _: len(batch))
        self._require_quorum(wire.PREDICT)
        self.voters |= {hospital: self.teachers[hospital] for hospital in answers}
        return [answers[hospital] for hospital in self.present]

    @property
    def present(self) -> list[str]:
        """The hospitals that have not been dropped: hospital-2 before hospital-10."""
        return sorted(self._nodes, key=lambda name: (len(name), name))

    def _connected(self) -> dict[int, str]:
        """Node id -> registered name ("" in a simulation) of the nodes that are there."""
        deadline = time.monotonic() + min(self._join_s, self._reply_s)
        while True:
            nodes = {node.node_id: node.name for node in self._grid.get_nodes()}
            if len(nodes) >= len(self._expected) or time.monotonic() > deadline:
                return dict(sorted(nodes.items()))
            time.sleep(POLL_S)

    def _require_quorum(self, step: str) -> None:
        if len(self._nodes) < self._quorum:
            missing = "; ".join(f"{name}: {why}" for name, why in sorted(self.dropped.items()))
            raise QuorumError(len(self._nodes), self._quorum, step, missing)

    def _round(
        self,
        stage: str,
        action: str,
        request_for: RequestFor,
        check: Check[T],
        steps: Callable[[T], int],
    ) -> dict[str, T]:
        """Send its request to every member; (hospital -> checked reply) of those that gave one."""
        ttl = self._reply_s + TTL_MARGIN_S
        hospitals = self.present
        messages = [
            Message(request_for(name), self._nodes[name], action, ttl=ttl) for name in hospitals
        ]
        self.bytes_out += sum(wire.size(message.content) for message in messages)
        accepted = set(self._grid.push_messages(messages))
        # Pushing gives a message its id; a grid's list of ids may leave refused messages out.
        sent = {
            message.metadata.message_id: name
            for message, name in zip(messages, hospitals, strict=True)
            if message.metadata.message_id in accepted
        }
        found: dict[str, T] = {}
        for reply in self._replies(set(sent)):
            name = sent[reply.metadata.reply_to_message_id]
            try:
                found[name] = self._checked(name, reply, check)
                if stage not in self._reported:
                    self._progress.advance(stage, steps(found[name]))
            except PredictionError as error:
                self._drop(name, action, str(error))
        for name in hospitals:
            if name not in found and name in self._nodes:
                self._drop(name, action, f"no reply within reply_s={self._reply_s:g}")
        return found

    def _replies(self, open_: set[str]) -> Iterable[Message]:
        """The first reply to each message, as they come, until all are here or time is up."""
        deadline = time.monotonic() + self._reply_s
        while open_ and time.monotonic() < deadline:
            replies = list(self._grid.pull_messages(list(open_)))
            for reply in replies:
                if reply.metadata.reply_to_message_id in open_:
                    open_.remove(reply.metadata.reply_to_message_id)
                    yield reply
            if not replies:
                time.sleep(POLL_S)

    def _checked(self, name: str, reply: Message, check: Check[T]) -> T:
        if reply.has_error():
            # A peer's own text is not shown: only the code, and what we know it to mean.
            code = reply.error.code
            known = {int(code): reason for code, reason in REASONS.items()}
            raise PredictionError(f"code {code}: {known.get(code, 'Flower could not deliver')}")
        self.bytes_in += wire.size(reply.content)
        return check(name, reply.content)

    def _drop(self, name: str, action: str, why: str) -> None:
        self._nodes.pop(name, None)
        self.dropped[name] = why
        log.warning("%s left out of the run at %s: %s", name, action, why)


def batches(queries: QueryBatch, message_mb: float, n_classes: int) -> Iterator[QueryBatch]:
    """Cut queries so that no request and no answer takes more than so many megabytes.

    An answer is counted as int64, which is what a coordinator makes of it.
    """
    per_row = ID_BYTES + max(queries.row_bytes, n_classes * VOTE_BYTES)
    rows = max(1, math.floor(message_mb * 1e6 / per_row))
    return (queries.take(slice(start, start + rows)) for start in range(0, len(queries), rows))
