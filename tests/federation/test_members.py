import logging
import math

import numpy as np
import pytest
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from fedpate.errors import QuorumError
from fedpate.federation import wire
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.members import Members, batches
from fedpate.federation.refusals import Code
from fedpate.records import PredictionVectors, QueryBatch

BATCH = QueryBatch(np.arange(3, dtype=np.int64), np.zeros((3, 2), np.float32))
CANARY = "patient 4711 is HIV positive"


class Silent:
    def stage(self, name, total):
        pass

    def advance(self, name, steps=1):
        pass

    def done(self, name):
        pass


def votes(n_teachers=2, n_classes=2):
    counts = np.zeros((3, n_classes), dtype=np.int64)
    counts[:, 0] = n_teachers
    return PredictionVectors(BATCH.query_ids, counts, n_teachers)


def hospitals(behaviour):
    """A client app whose hospital number i does `behaviour[i]` when asked to predict."""
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        name = f"hospital-{context.node_config['partition-id']}"
        content = wire.hello_reply({"fedpate": "0", "flwr": "0"}, name, "{}")
        return Message(content, reply_to=message)

    @app.train("teachers")
    def train(message: Message, context: Context) -> Message:
        return Message(wire.train_reply(2), reply_to=message)

    @app.query("predict")
    def predict(message: Message, context: Context) -> Message:
        answer = behaviour[context.node_config["partition-id"]]()
        if isinstance(answer, Error):
            return Message(answer, reply_to=message)
        return Message(answer, reply_to=message)

    return app


def good():
    return wire.predict_reply(votes())


def members(grid, n, quorum=1, reply_s=5.0):
    names = [f"hospital-{index}" for index in range(n)]
    return Members(grid, names, quorum, Silent(), join_s=60, reply_s=reply_s)


def ask(grid, n, quorum=1, **changes):
    """Greet, train and ask; the members and their answers."""
    found = members(grid, n, quorum, **changes)
    with acting_as_coordinator(grid.run.run_id):
        found.greet()
        found.train(lambda _: wire.train_request("{}", {}), 2)
        request = wire.predict_request("{}", "0" * 64, BATCH)
        return found, found.ask(lambda _: request, BATCH, 2, randomized=False)


def raising():
    raise RuntimeError(CANARY)


BAD = {
    "raises": raising,
    "an error with text": lambda: Error(2, CANARY),
    "a refusal": lambda: Error(int(Code.FAILED), CANARY),
    "too many votes": lambda: wire.predict_reply(votes(n_teachers=3)),
    "too many classes": lambda: wire.predict_reply(votes(n_classes=3)),
    "no content": RecordDict,
    "another action's reply": lambda: wire.train_reply(2),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_drops_its_hospital_and_its_text_goes_nowhere(name, caplog):
    caplog.set_level(logging.DEBUG)
    grid = InProcessGrid(hospitals([good, BAD[name], good]), 3)
    found, answers = ask(grid, 3)
    assert [answer.votes.sum() for answer in answers] == [6, 6]
    assert found.present == ["hospital-0", "hospital-2"]
    assert list(found.dropped) == ["hospital-1"]
    assert found.voters == {"hospital-0": 2, "hospital-2": 2}
    assert CANARY not in caplog.text + str(found.dropped)
    assert "hospital-1 left out of the run at query.predict" in caplog.text


def test_too_few_good_replies_are_no_quorum():
    grid = InProcessGrid(hospitals([good, raising, good]), 3)
    with pytest.raises(QuorumError, match=r"min_hospitals=3 .* 2 completed 'query.predict'"):
        ask(grid, 3, quorum=3)


class Duplicating(InProcessGrid):
    """Delivers every reply twice, the second time with other votes, and a stranger's reply."""

    def pull_messages(self, message_ids):
        replies = list(super().pull_messages(message_ids))
        for reply in list(replies):
            if reply.metadata.message_type == wire.PREDICT:
                counts = np.tile([0, 2], (3, 1))
                forged = PredictionVectors(BATCH.query_ids, counts, 2)
                again = Message(wire.predict_reply(forged), reply_to=reply)
                target = reply.metadata.reply_to_message_id
                again.metadata.__dict__["_reply_to_message_id"] = target
                stranger = Message(wire.predict_reply(forged), reply_to=reply)
                stranger.metadata.__dict__["_reply_to_message_id"] = "never sent"
                replies += [again, stranger]
        return replies


def test_only_the_first_reply_of_a_hospital_counts():
    grid = Duplicating(hospitals([good, good]), 2)
    found, answers = ask(grid, 2)
    assert [answer.votes[0].tolist() for answer in answers] == [[2, 0], [2, 0]]
    assert not found.dropped


class Deaf(InProcessGrid):
    """Never delivers the predictions of the first hospital."""

    def push_messages(self, messages):
        ids = list(super().push_messages(messages))
        first = min(self.contexts, key=lambda node: self.contexts[node].node_config["partition-id"])
        for message_id, message in zip(ids, messages, strict=True):
            metadata = message.metadata
            if metadata.message_type == wire.PREDICT and metadata.dst_node_id == first:
                del self._pending[message_id]
        return ids


def test_a_hospital_that_does_not_reply_in_time_is_dropped():
    grid = Deaf(hospitals([good, good]), 2)
    found, answers = ask(grid, 2, reply_s=0.3)
    assert len(answers) == 1
    assert found.dropped == {"hospital-0": "no reply within reply_s=0.3"}


class Late(InProcessGrid):
    """Nodes connect one at a time."""

    asked = 0

    def get_node_ids(self):
        self.asked += 1
        return list(super().get_node_ids())[: self.asked - 1]


def test_the_coordinator_waits_for_hospitals_to_connect():
    _, answers = ask(Late(hospitals([good] * 3), 3), 3, quorum=3)
    assert len(answers) == 3


def test_two_hospitals_of_one_name_are_one():
    app = hospitals([good, good])

    class SameName(InProcessGrid):
        def __init__(self):
            super().__init__(app, 2)
            for context in self.contexts.values():
                context.node_config["partition-id"] = 0

    found, answers = ask(SameName(), 2)
    assert found.present == ["hospital-0"]
    assert len(answers) == 1


def test_the_order_is_by_name_not_by_node_id():
    found, _ = ask(InProcessGrid(hospitals([good] * 11), 11), 11)
    assert found.present == [f"hospital-{index}" for index in range(11)]


def test_batches_are_bounded_in_bytes():
    queries = QueryBatch(np.arange(10, dtype=np.int64), np.zeros((10, 250), np.float32))
    parts = list(batches(queries, 0.0031, n_classes=2))  # 1,008 bytes a row, with its id
    assert [len(part) for part in parts] == [3, 3, 3, 1]
    assert np.concatenate([part.query_ids for part in parts]).tolist() == list(range(10))
    assert [len(part) for part in batches(queries, 1e-6, n_classes=2)] == [1] * 10


def test_batches_are_bounded_by_what_comes_back_too():
    queries = QueryBatch(np.arange(10, dtype=np.int64), np.zeros((10, 1), np.uint8))
    parts = batches(queries, 0.0031, n_classes=125)  # 1,000 bytes of votes for a byte of features
    assert [len(part) for part in parts] == [3, 3, 3, 1]


def test_bytes_are_counted():
    found, _ = ask(InProcessGrid(hospitals([good] * 2), 2), 2)
    assert found.bytes_in == 2 * sum(
        wire.size(content)
        for content in (
            wire.hello_reply({"fedpate": "0", "flwr": "0"}, "hospital-0", "{}"),
            wire.train_reply(2),
            good(),
        )
    )


def test_answers_are_held_against_the_least_that_votes_can_take():
    found, _ = ask(InProcessGrid(hospitals([good, raising, good]), 3), 3)
    each = found.answers.per_query()
    assert each["per_query_and_hospital"] == round(wire.size(good()) / 3, 3)
    ways = len([(2, 0), (1, 1), (0, 2)])  # two teachers, two classes
    assert each["least_per_query_and_hospital"] == round(math.log2(ways) / 8, 3)
    assert members(None, 3).answers.per_query() == dict.fromkeys(each)
