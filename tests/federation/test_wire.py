import io

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fedpate.errors import PredictionError
from fedpate.federation import wire
from fedpate.federation.refusals import SCHEMA, Code, Refusal
from fedpate.records import PredictionVectors, QueryBatch

TRAINING = "0123456789abcdef" * 4


@st.composite
def batches(draw):
    n = draw(st.integers(1, 8))
    ids = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n, unique=True))
    shape = (n, *draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    dtype = draw(st.sampled_from([np.float32, np.uint8]))
    return QueryBatch(np.array(ids, dtype=np.int64), draw(npst.arrays(dtype, shape)))


@st.composite
def answers(draw):
    n, n_classes = draw(st.integers(1, 8)), draw(st.integers(2, 5))
    k = draw(st.sampled_from([1, 3, 65535, 65536]))
    shares = draw(npst.arrays(np.int64, (n, n_classes), elements=st.integers(0, k // n_classes)))
    shares[:, 0] += k - shares.sum(axis=1)
    return PredictionVectors(np.arange(n, dtype=np.int64), shares, k)


def read_reply(content, answer, **changes):
    expected = {
        "query_ids": answer.query_ids,
        "n_classes": answer.votes.shape[1],
        "n_teachers": answer.n_teachers,
        "randomized": answer.randomized,
    }
    return wire.read_predict_reply(content, **{**expected, **changes})


@given(batches(), st.text())
def test_queries_survive_the_wire(batch, settings):
    content = wire.predict_request(settings, TRAINING, batch)
    read_settings, training, read = wire.read_predict_request(content)
    assert (read_settings, training) == (settings, TRAINING)
    assert read.hash() == batch.hash()


@given(answers())
def test_votes_survive_the_wire_in_the_smallest_type(answer):
    content = wire.predict_reply(answer)
    read = read_reply(content, answer)
    np.testing.assert_array_equal(read.votes, answer.votes)
    assert read.votes.dtype == np.int64
    sent = content["arrays"]["votes"].dtype
    assert sent == ("uint16" if answer.n_teachers <= 65535 else "uint32")


@given(npst.arrays(np.int64, (3, 2), elements=st.integers(-(2**47), 2**47)))
def test_randomized_votes_survive_the_wire(votes):
    answer = PredictionVectors(np.arange(3, dtype=np.int64), votes, 2, randomized=True)
    np.testing.assert_array_equal(read_reply(wire.predict_reply(answer), answer).votes, votes)


def test_a_scalar_array_keeps_its_shape():
    arrays = {"mean": np.array(0.5, np.float32), "scale": np.array([2.0], np.float32)}
    _, read = wire.read_train_request(wire.train_request("{}", arrays))
    assert {name: array.shape for name, array in read.items()} == {"mean": (), "scale": (1,)}


def test_hello_and_train_survive_the_wire():
    hello = wire.hello_reply({"fedpate": "0.1.0", "flwr": "1.41.0"}, "hospital-3", "{}")
    assert wire.read_hello_reply(hello) == "hospital-3"
    assert wire.read_train_reply(wire.train_reply(5), at_most=5) == 5


ANSWER = PredictionVectors(np.arange(3, dtype=np.int64), np.array([[2, 0], [1, 1], [0, 2]]), 2)


def with_array(name, array):
    content = wire.predict_reply(ANSWER)
    content["arrays"][name] = array if isinstance(array, Array) else Array(array)
    return content


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return Array(dtype="uint16", shape=(3, 2), stype="numpy.ndarray", data=buffer.getvalue())


def archive():
    buffer = io.BytesIO()
    np.savez(buffer, votes=ANSWER.votes)
    return Array(dtype="uint16", shape=(3, 2), stype="numpy.ndarray", data=buffer.getvalue())


def with_field(name, value):
    content = wire.predict_reply(ANSWER)
    content["fields"][name] = value
    return content


def without(record):
    content = wire.predict_reply(ANSWER)
    del content[record]
    return content


def with_record():
    content = wire.predict_reply(ANSWER)
    content["more"] = ConfigRecord({"loss": 0.1})
    return content


VOTES = ANSWER.votes.astype(np.uint16)
MALFORMED = {
    "float votes": lambda: with_array("votes", VOTES.astype(np.float32)),
    "NaN votes": lambda: with_array("votes", np.full((3, 2), np.nan)),
    "signed votes": lambda: with_array("votes", VOTES.astype(np.int64)),
    "too wide votes": lambda: with_array("votes", VOTES.astype(np.uint32)),
    "one class too many": lambda: with_array("votes", np.hstack([VOTES, 0 * VOTES[:, :1]])),
    "one query too few": lambda: with_array("votes", VOTES[:2]),
    "a row that sums to less": lambda: with_array("votes", VOTES // 2),
    "a row that sums to more": lambda: with_array("votes", VOTES * 2),
    "other ids": lambda: with_array("query_ids", np.array([0, 1, 3])),
    "ids in another order": lambda: with_array("query_ids", np.array([1, 0, 2])),
    "ids of another type": lambda: with_array("query_ids", np.arange(3, dtype=np.int32)),
    "a pickled object": lambda: with_array("votes", npy(np.array([{}], dtype=object))),
    "an archive": lambda: with_array("votes", archive()),
    "no npy at all": lambda: with_array(
        "votes", Array(dtype="uint16", shape=(3, 2), stype="numpy.ndarray", data=b"\x93NUMPY")
    ),
    "a header that promises too much": lambda: with_array(
        "votes",
        Array(
            dtype="uint16",
            shape=(3, 2),
            stype="numpy.ndarray",
            data=npy(VOTES).data.replace(b"(3, 2)", b"(3,9**9)"[:6]),
        ),
    ),
    "an array more": lambda: with_array("loss", np.zeros(1)),
    "another schema": lambda: with_field("schema", SCHEMA + 1),
    "a field more": lambda: with_field("loss", 0.1),
    "another number of teachers": lambda: with_field("n_teachers", 1),
    "no number of teachers": lambda: with_field("n_teachers", True),
    "no arrays": lambda: without("arrays"),
    "no fields": lambda: without("fields"),
    "a record more": with_record,
    "nothing": RecordDict,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_is_refused_in_words_without_votes(name):
    with pytest.raises(PredictionError) as caught:
        read_reply(MALFORMED[name](), ANSWER)
    assert "[2, 0]" not in str(caught.value)


def test_randomized_votes_are_bounded():
    votes = np.full((3, 2), 2**48)
    answer = PredictionVectors(np.arange(3, dtype=np.int64), votes, 2, randomized=True)
    with pytest.raises(PredictionError, match="randomized votes must be below"):
        read_reply(wire.predict_reply(answer), answer)


def test_randomized_votes_are_refused_where_counts_are_expected():
    answer = PredictionVectors(ANSWER.query_ids, ANSWER.votes, 2, randomized=True)
    with pytest.raises(PredictionError, match="votes must be uint16"):
        read_reply(wire.predict_reply(answer), ANSWER)


BATCH = QueryBatch(np.arange(2, dtype=np.int64), np.zeros((2, 3), np.float32))


def predict_request(**changes):
    content = wire.predict_request("{}", TRAINING, BATCH)
    for name, value in changes.items():
        if isinstance(value, np.ndarray):
            content["arrays"][name] = Array(value)
        else:
            content["fields"][name] = value
    return content


@pytest.mark.parametrize(
    "changes",
    [
        {"batch": "0" * 64},
        {"features": np.ones((2, 3), np.float32)},
        {"features": np.zeros((2, 3), np.float64)},
        {"features": np.zeros((1, 3), np.float32)},
        {"query_ids": np.zeros(2, np.int64)},
        {"training": "../../../etc/passwd"},
        {"training": TRAINING.upper()},
        {"training": 3},
        {"settings": 3},
        {"more": 1},
    ],
)
def test_a_malformed_request_is_refused_with_a_code(changes):
    with pytest.raises(Refusal) as caught:
        wire.read_predict_request(predict_request(**changes))
    assert caught.value.code == Code.MALFORMED


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"fields": ArrayRecord()}),
        RecordDict({"fields": ConfigRecord({})}),
        RecordDict({"fields": ConfigRecord({"schema": SCHEMA + 1})}),
        RecordDict({"fields": ConfigRecord({"schema": str(SCHEMA)})}),
    ],
)
def test_another_schema_is_refused_before_anything_is_read(content):
    with pytest.raises(Refusal) as caught:
        wire.check_request(content)
    assert caught.value.code == Code.SCHEMA


@pytest.mark.parametrize("name", ["", "x" * 101, "two\nlines"])
def test_a_strange_name_is_refused(name):
    with pytest.raises(PredictionError, match="name must be 1 to 100 printable"):
        wire.read_hello_reply(wire.hello_reply({"fedpate": "0", "flwr": "0"}, name, "{}"))


@pytest.mark.parametrize("count", [0, 6, -1])
def test_a_wrong_number_of_teachers_is_refused(count):
    with pytest.raises(PredictionError, match=r"n_teachers must be in \[1, 5\]"):
        wire.read_train_reply(wire.train_reply(count), at_most=5)


def test_size_counts_what_is_sent():
    content = wire.predict_reply(ANSWER)
    arrays = sum(len(array.data) for array in content["arrays"].values())
    assert wire.size(content) == arrays + 2 * 8


@given(st.binary(max_size=200), st.integers(0, 128))
def test_whatever_bytes_a_peer_sends_only_our_error_comes_out(noise, cut):
    honest = npy(VOTES).data
    data = honest[:cut] + noise + honest[cut:]
    array = Array(dtype="uint16", shape=(3, 2), stype="numpy.ndarray", data=data)
    try:
        read = read_reply(with_array("votes", array), ANSWER)
    except PredictionError:
        return
    assert (read.votes.sum(axis=1) == 2).all()
