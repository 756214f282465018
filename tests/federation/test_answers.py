import multiprocessing
import stat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fedpate.federation.answers import AnswerCache


@pytest.fixture(params=[True, False], ids=["durable", "not"])
def cache(tmp_path, request):
    return AnswerCache(tmp_path / "hospital" / "answers.sqlite", durable=request.param)


def counting(calls, n_classes=2):
    """Answers that no two calls share."""

    def answer(rows):
        calls.append(rows.tolist())
        return np.stack([100 * len(calls) + rows] * n_classes, axis=1)

    return answer


def test_a_repeat_gets_the_same_answer(cache):
    calls = []
    first = cache.recall("scope", ["a", "b"], 2, counting(calls))
    again = cache.recall("scope", ["b", "c", "a"], 2, counting(calls))
    np.testing.assert_array_equal(first, [[100, 100], [101, 101]])
    np.testing.assert_array_equal(again, [[101, 101], [201, 201], [100, 100]])
    assert calls == [[0, 1], [1]]


def test_equal_queries_in_one_batch_get_one_answer(cache):
    calls = []
    votes = cache.recall("scope", ["a", "a", "b", "a"], 2, counting(calls))
    np.testing.assert_array_equal(votes[:, 0], [100, 100, 102, 100])
    assert calls == [[0, 2]]


def test_another_scope_is_another_answer(cache):
    calls = []
    cache.recall("one", ["a"], 2, counting(calls))
    assert cache.recall("two", ["a"], 2, counting(calls))[0, 0] == 200


def test_nothing_is_stored_when_answering_fails(cache):
    def fail(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.recall("scope", ["a"], 2, fail)
    assert cache.recall("scope", ["a"], 2, counting([]))[0, 0] == 100


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_cache_that_merely_saves_work_ever_forgets(tmp_path, monkeypatch, durable):
    monkeypatch.setattr("fedpate.federation.answers._LARGEST", 50_000)
    cache, calls = AnswerCache(tmp_path / "a.sqlite", durable=durable), []
    for start in range(0, 3000, 500):
        cache.recall("s", [str(number) for number in range(start, start + 500)], 2, counting(calls))
    cache.recall("s", ["0"], 2, counting(calls))
    assert len(calls) == (6 if durable else 7)


@given(
    st.lists(
        npst.arrays(
            np.int64,
            st.tuples(st.integers(1, 4), st.just(3)),
            elements=st.integers(-(2**48), 2**48),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_answers_of_any_size_come_back_as_they_went(tmp_path_factory, parts):
    cache = AnswerCache(tmp_path_factory.mktemp("cache") / "a.sqlite", durable=True)
    for number, part in enumerate(parts):
        cache.recall(
            "s", [f"{number}-{row}" for row in range(len(part))], 3, lambda _, part=part: part
        )
    asked = [f"{number}-{row}" for number, part in enumerate(parts) for row in range(len(part))]
    np.testing.assert_array_equal(cache.recall("s", asked, 3, counting([])), np.concatenate(parts))


def test_only_the_owner_can_read_it(tmp_path):
    path = tmp_path / "private" / "answers.sqlite"
    AnswerCache(path, durable=True).recall("scope", ["a"], 2, counting([]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@given(
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=8), min_size=1, max_size=5)
)
def test_every_query_has_one_answer_for_ever(tmp_path_factory, rounds):
    cache = AnswerCache(tmp_path_factory.mktemp("cache") / "a.sqlite", durable=False)
    calls, known = [], {}
    for queries in rounds:
        votes = cache.recall("scope", queries, 2, counting(calls))
        for query, row in zip(queries, votes.tolist(), strict=True):
            assert known.setdefault(query, row) == row


def ask_in_another_process(path, seed, queue):
    rng = np.random.default_rng(seed)
    cache = AnswerCache(path, durable=True)
    queries = [str(number) for number in range(50)]
    queue.put(cache.recall("s", queries, 2, lambda rows: rng.integers(0, 1e9, (len(rows), 2))))


def test_processes_that_answer_at_once_agree(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [
        context.Process(target=ask_in_another_process, args=(tmp_path / "a.sqlite", seed, queue))
        for seed in range(4)
    ]
    for worker in workers:
        worker.start()
    first, *others = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    for other in others:
        np.testing.assert_array_equal(other, first)
