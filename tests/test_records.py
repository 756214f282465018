"""Records refuse what is malformed, and a tally is the sum of distinct hospitals' answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate import records
from fedpate.errors import PredictionError
from fedpate.records import (
    NO_ANSWER,
    PredictionVectors,
    QueryBatch,
    Release,
    Votes,
    content_hash,
)


def one_answer(predictions: np.ndarray, n_classes: int) -> PredictionVectors:
    """(n_teachers, n_queries) predicted classes -> one hospital's answer."""
    votes = np.stack([np.bincount(column, minlength=n_classes) for column in predictions.T])
    return PredictionVectors(np.arange(len(votes)), votes.astype(np.int64), len(predictions))


@given(st.data(), st.integers(1, 4), st.integers(2, 6), st.integers(1, 9))
def test_a_tally_counts_every_teacher_once(data, n_hospitals, n_classes, n_queries):
    teachers = [data.draw(st.integers(1, 5)) for _ in range(n_hospitals)]
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    predictions = [rng.integers(0, n_classes, (k, n_queries)) for k in teachers]
    votes = Votes.tally([one_answer(p, n_classes) for p in predictions])
    together = np.concatenate(predictions)
    expected = one_answer(together, n_classes).votes
    assert np.array_equal(votes.counts, expected)
    assert votes.n_teachers == sum(teachers)
    assert votes.counts.sum() == sum(teachers) * n_queries


def test_a_tally_leaves_the_answers_as_they_were():
    answer = one_answer(np.array([[0, 1], [1, 1]]), 2)
    before = answer.votes.copy()
    Votes.tally([answer, answer])
    assert np.array_equal(answer.votes, before)


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (np.array([[2, 1]]), "sum to n_teachers=2; 1 of 1 rows do not"),
        (np.array([[3, -1]]), "must be >= 0"),
        (np.array([[2.0, 0.0]]), "int64 counts, got float64"),
        (np.array([2, 0]), "must have shape"),
        (np.array([[2, 0], [2, 0]]), "must have shape"),
    ],
)
def test_a_malformed_answer_is_refused_without_its_values(votes, message):
    with pytest.raises(PredictionError, match=message):
        PredictionVectors(np.array([7]), votes, 2)


def test_randomized_answers_may_have_either_sign_and_any_sum():
    answer = PredictionVectors(np.array([7]), np.array([[-5, 11]]), 2, randomized=True)
    assert Votes.tally([answer, answer]).counts.tolist() == [[-10, 22]]


def test_answers_to_other_queries_are_not_tallied_together():
    first = one_answer(np.array([[0, 1]]), 2)
    other = PredictionVectors(first.query_ids + 1, first.votes, 1)
    with pytest.raises(PredictionError, match="same query_ids"):
        Votes.tally([first, other])
    with pytest.raises(PredictionError, match="at least one answer"):
        Votes.tally([])


def test_query_ids_are_unique_and_match_their_rows():
    with pytest.raises(PredictionError, match="unique"):
        QueryBatch(np.array([1, 1]), np.zeros((2, 3), np.float32))
    with pytest.raises(PredictionError, match="one row per query, got 3 rows for 2 queries"):
        QueryBatch(np.array([1, 2]), np.zeros((3, 3), np.float32))


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_the_same_record_has_the_same_hash_whatever_its_id(seed, n_queries):
    rng = np.random.default_rng(seed)
    batch = QueryBatch(np.arange(n_queries), rng.normal(size=(n_queries, 4)).astype(np.float32))
    order = rng.permutation(n_queries)
    moved = QueryBatch(np.arange(n_queries) + 100, batch.features[order])
    assert moved.row_hashes() == [batch.row_hashes()[i] for i in order]
    assert moved.hash() != batch.hash()
    assert batch.take(slice(None)).hash() == batch.hash()


def test_a_release_knows_what_it_did_not_answer():
    release = Release(np.arange(3), np.array([4, NO_ANSWER, 0]))
    assert release.answered.tolist() == [True, False, True]
    with pytest.raises(PredictionError, match=r"labels must have shape \(3,\), got \(2,\)"):
        Release(np.arange(3), np.array([1, 2]))


rows_of_four = st.one_of(
    st.lists(st.integers(-4, 3), max_size=4, unique_by=lambda row: row % 4).map(
        lambda rows: np.array(rows, dtype=np.int64)
    ),
    st.lists(st.booleans(), min_size=4, max_size=4).map(lambda keep: np.array(keep, dtype=bool)),
    st.slices(4),
)


@given(
    rows_of_four, st.data(), st.sampled_from([np.uint8, np.float32]), st.sampled_from([(), (2, 3)])
)
def test_a_choice_of_a_choice_is_as_if_records_were_copied(first, data, dtype, shape):
    rng = np.random.default_rng(0)
    pool = QueryBatch(np.arange(4) + 10, rng.integers(0, 2, (4, *shape)).astype(dtype))
    chosen = pool.take(first)
    second = data.draw(
        st.slices(len(chosen))
        if not len(chosen)
        else st.permutations(range(len(chosen))).map(lambda rows: np.array(rows, dtype=np.int64))
    )
    chosen = chosen.take(second)
    copied = QueryBatch(pool.query_ids[first][second], pool.features[first][second])
    assert np.array_equal(chosen.query_ids, copied.query_ids)
    assert np.array_equal(chosen.features, copied.features)
    assert chosen.hash() == content_hash(copied.query_ids, copied.features)
    assert chosen.row_hashes() == [content_hash(np.asarray(row)) for row in copied.features]


def test_a_choice_copies_no_record_and_large_ones_are_hashed_in_parts(monkeypatch):
    pool = QueryBatch(np.arange(9), np.arange(18, dtype=np.uint8).reshape(9, 2))
    chosen = (
        pool.take(np.arange(9)[::-1]).take(slice(1, 8)).take(np.array([True, False] * 3 + [True]))
    )
    assert chosen.source is pool.source
    assert chosen.row_bytes == 2
    assert chosen.query_ids.tolist() == [7, 5, 3, 1]
    whole = chosen.hash(), chosen.row_hashes()
    monkeypatch.setattr(records, "ROWS_AT_ONCE", 3)
    assert (chosen.hash(), chosen.row_hashes()) == whole
    assert pool.take(slice(2, 4)).features.base is not None


def test_a_choice_of_another_length_is_refused():
    with pytest.raises(PredictionError, match="got 2 rows for 3 queries"):
        QueryBatch(np.arange(3), np.zeros((5, 1), np.float32), np.array([0, 1]))
