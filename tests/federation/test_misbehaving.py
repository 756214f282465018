"""Hospitals that misbehave when asked: left out with everybody else's answers intact, or no run.

All hospitals are scripted; the coordinator, its ledger and its student are real. The one that
misbehaves has two teachers and the others one each, so the price per hospital tells who voted.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from federated import small_run
from fedpate.errors import QuorumError
from fedpate.federation import coordinator, site, wire
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.progress import LogProgress
from fedpate.federation.refusals import SCHEMA, Code
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.records import PredictionVectors

BAD = 2  # the partition of the hospital that misbehaves


def answer(content: RecordDict, k: int) -> PredictionVectors:
    """Honest votes: every teacher is for class 0 of the first half, class 1 of the second."""
    _, _, batch = wire.read_predict_request(content)
    counts = np.zeros((len(batch), 2), np.int64)
    counts[np.arange(len(batch)), (np.arange(len(batch)) >= len(batch) / 2).astype(int)] = k
    return PredictionVectors(batch.query_ids, counts, k)


def with_votes(change):
    def reply(content):
        honest = wire.predict_reply(answer(content, 2))
        votes = answer(content, 2).votes
        honest["arrays"]["votes"] = Array(change(votes))
        return honest

    return reply


def with_ids(change):
    def reply(content):
        honest = wire.predict_reply(answer(content, 2))
        honest["arrays"]["query_ids"] = Array(change(answer(content, 2).query_ids))
        return honest

    return reply


def with_field(name, value):
    def reply(content):
        honest = wire.predict_reply(answer(content, 2))
        honest["fields"][name] = value
        return honest

    return reply


def unlike(row, value):
    """uint16 votes in which one number is another."""

    def change(votes):
        votes = votes.astype(np.uint16)
        votes[row, 0] = value
        return votes

    return change


def fails(_):
    raise RuntimeError("patient 4711")


BEHAVIOUR = {
    "a class too many": with_votes(lambda v: np.pad(v, ((0, 0), (0, 1))).astype(np.uint16)),
    "a query too few": with_votes(lambda v: v[1:].astype(np.uint16)),
    "NaN": with_votes(lambda v: np.full(v.shape, np.nan)),
    "one NaN among soft votes": with_votes(
        lambda v: np.where(np.arange(v.size).reshape(v.shape) == 3, np.nan, v).astype(np.float32)
    ),
    "negative votes": with_votes(lambda v: np.stack([v[:, 0] + 3, v[:, 1] - 3], axis=1)),
    "a vote that wraps around zero": with_votes(unlike(0, 65535)),
    "a row that sums to more": with_votes(unlike(19, 1)),
    "all votes doubled": with_votes(lambda v: (2 * v).astype(np.uint16)),
    "a huge answer": with_votes(lambda v: np.zeros((3_000_000, 2), np.uint16)),
    "another run's ids": with_ids(lambda ids: ids + 1000),
    "ids in another order": with_ids(lambda ids: ids[::-1].copy()),
    "one id twice": with_ids(lambda ids: np.where(ids == ids[1], ids[0], ids)),
    "another schema": with_field("schema", SCHEMA + 1),
    "other teachers than it trained": with_field("n_teachers", 1),
    "a field more": with_field("loss", 0.3),
    "a refusal": lambda _: Error(int(Code.POLICY_QUERIES), "patient 4711"),
    "an exception": fails,
}


def hospitals(behaviour):
    app = ClientApp()

    def index(context: Context) -> int:
        return context.node_config["partition-id"]

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        name = f"hospital-{index(context)}"
        content = wire.hello_reply({"fedpate": "0", "flwr": "0"}, name, "{}")
        return Message(content, reply_to=message)

    @app.train("teachers")
    def train(message: Message, context: Context) -> Message:
        return Message(wire.train_reply(1 + (index(context) == BAD)), reply_to=message)

    @app.query("predict")
    def predict(message: Message, context: Context) -> Message:
        if index(context) == BAD:
            return Message(behaviour(message.content), reply_to=message)
        return Message(wire.predict_reply(answer(message.content, 1)), reply_to=message)

    return app


def honest(content):
    return wire.predict_reply(answer(content, 2))


def run(tmp_path, grid, **changes):
    """One run over `grid`; its summary."""
    settings = small_run(tmp_path / "store", **{"reply_s": 20.0, **changes})
    with acting_as_coordinator(grid.run.run_id):
        side = site.coordinator_side(settings, tmp_path)
        coordinator.run(settings, side, grid, tmp_path / "run", LogProgress())
    return json.loads((tmp_path / "run" / "summary.json").read_text())


def require_without_the_bad_one(summary, tmp_path):
    """Three hospitals with a teacher each voted; that is what was paid, and nothing else."""
    federation, privacy = summary["federation"], summary["privacy"]
    assert federation["dropped"] == ["hospital-2"]
    assert federation["teachers_present"] == 3
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert (votes["counts"].sum(axis=1) == 3).all()
    mechanism = small_run(tmp_path).mechanism
    price = guarantee(mechanism.event(20, 1, 2), privacy["delta"]).epsilon
    assert privacy["patient"]["guaranteed"] == privacy["hospital"]["guaranteed"] == price
    assert summary["labels"]["answered"] == 20
    with PrivacyLedger.read(tmp_path / "run" / "ledger.sqlite") as ledger:
        assert [charge.n_queries for _, charge in ledger.book().charges.values()] == [20]


def test_with_all_the_price_per_hospital_is_that_of_two_teachers(tmp_path):
    summary = run(tmp_path, InProcessGrid(hospitals(honest), 4))
    assert summary["federation"]["dropped"] == []
    assert summary["federation"]["teachers_present"] == 5
    privacy = summary["privacy"]
    assert privacy["hospital"]["guaranteed"] > privacy["patient"]["guaranteed"]


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_above_the_quorum_the_others_vote_and_only_they_are_paid_for(name, tmp_path, caplog):
    summary = run(tmp_path, InProcessGrid(hospitals(BEHAVIOUR[name]), 4), min_hospitals=3)
    require_without_the_bad_one(summary, tmp_path)
    assert "hospital-2 left out of the run at query.predict" in caplog.text
    assert "4711" not in caplog.text


@pytest.mark.parametrize("name", BEHAVIOUR)
def test_below_the_quorum_nothing_is_released_and_nothing_charged(name, tmp_path):
    ledger = tmp_path / "ledger.sqlite"
    privacy = replace(small_run(tmp_path).privacy, ledger=str(ledger))
    with pytest.raises(
        QuorumError, match=r"min_hospitals=4 .* 3 completed 'query\.predict'"
    ) as end:
        run(tmp_path, InProcessGrid(hospitals(BEHAVIOUR[name]), 4), privacy=privacy)
    assert end.value.exit_code == 3
    assert not (tmp_path / "run").exists()
    with PrivacyLedger.read(ledger) as opened:
        assert not opened.book().charges


class Twice(InProcessGrid):
    """Delivers every answer twice, the second time for the other class."""

    def pull_messages(self, message_ids):
        replies = list(super().pull_messages(message_ids))
        for reply in list(replies):
            if reply.metadata.message_type == wire.PREDICT:
                forged = dict(reply.content["arrays"])
                forged["votes"] = Array(forged["votes"].numpy()[:, ::-1].copy())
                content = RecordDict({**reply.content, "arrays": ArrayRecord(forged)})
                again = Message(content, reply_to=reply)
                target = reply.metadata.reply_to_message_id
                again.metadata.__dict__["_reply_to_message_id"] = target
                replies.append(again)
        return replies


def test_who_answers_twice_is_heard_once(tmp_path):
    summary = run(tmp_path, Twice(hospitals(honest), 4))
    assert summary["federation"]["dropped"] == []
    with np.load(tmp_path / "run" / "votes.npz") as votes:
        assert votes["counts"].tolist() == [[5, 0]] * 10 + [[0, 5]] * 10


class Late(InProcessGrid):
    """Keeps the first answer of one hospital until `reply_s` is over; for ever if `never`."""

    never, kept, delivered = False, None, 0

    def pull_messages(self, message_ids):
        message_ids = list(message_ids)
        if self.kept is not None and self.kept[0] not in message_ids and not self.never:
            self.delivered += 1  # unasked, as a grid that mixes things up would
            (_, reply), self.kept = self.kept, None
            return [reply]
        replies = list(super().pull_messages(message_ids))
        for reply in replies:
            context = self.contexts[reply.metadata.src_node_id]
            bad = context.node_config["partition-id"] == BAD
            if bad and reply.metadata.message_type == wire.PREDICT and self.kept is None:
                self.kept = (reply.metadata.reply_to_message_id, reply)
                return []
        return replies


@pytest.mark.parametrize("never", [False, True], ids=["late", "never"])
def test_who_does_not_answer_in_time_is_left_out_of_every_batch(tmp_path, never, caplog):
    grid = Late(hospitals(honest), 4)
    grid.never = never
    summary = run(tmp_path, grid, min_hospitals=3, reply_s=0.5, message_mb=0.0025)
    require_without_the_bad_one(summary, tmp_path)
    assert grid.delivered == (not never)
    assert "hospital-2 left out of the run at query.predict: no reply within" in caplog.text


def test_who_never_answers_below_the_quorum_ends_the_run_for_nothing(tmp_path):
    grid = Late(hospitals(honest), 4)
    grid.never = True
    with pytest.raises(QuorumError) as end:
        run(tmp_path, grid, reply_s=0.3)
    assert end.value.exit_code == 3
    assert not (tmp_path / "run").exists()


def test_who_answered_some_queries_before_it_failed_is_paid_for_on_all(tmp_path):
    asked = []

    def tires(content):
        asked.append(content)
        return honest(content) if len(asked) == 1 else fails(content)

    grid = InProcessGrid(hospitals(tires), 4)
    summary = run(tmp_path, grid, min_hospitals=3, message_mb=0.0025)
    assert summary["federation"]["dropped"] == ["hospital-2"]
    assert len(asked) == 2
    price = guarantee(small_run(tmp_path).mechanism.event(20, 2, 2), 1e-5).epsilon
    assert summary["privacy"]["hospital"]["guaranteed"] == price
    for unit in ("patient", "hospital"):  # no such law for rows of different totals
        assert summary["privacy"][unit]["data_dependent"] is None
        assert summary["privacy"][unit]["sanitized"] is None
