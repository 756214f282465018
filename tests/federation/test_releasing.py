from dataclasses import dataclass

import numpy as np
import pytest

from federated import small_run
from fedpate.federation.releasing import coordinator_entropy, release
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.records import NO_ANSWER, QueryBatch, Release, Votes

N = 10
QUERIES = QueryBatch(np.arange(N, dtype=np.int64), np.zeros((N, 1), np.float32))
VOTES = Votes(QUERIES.query_ids, np.tile([9, 1], (N, 1)), 10)


@dataclass(frozen=True)
class Recording:
    """An interactive mechanism that notes what it is asked."""

    calls: list
    silent: bool = False
    name = "interactive"

    def release(self, votes, entropy, student=None):
        self.calls.append((votes.query_ids.tolist(), student))
        label = NO_ANSWER if self.silent else 0
        return Release(votes.query_ids, np.full(len(votes.query_ids), label))


def run_with(tmp_path, **changes):
    return small_run(tmp_path, **changes)


def student_of(seen):
    def learn(so_far):
        if not so_far.answered.any():
            return None
        seen.append(so_far.query_ids.tolist())
        return lambda batch: np.tile([0.9, 0.1], (len(batch), 1))

    return learn


def test_interactive_is_asked_in_rounds_and_learns_in_between(tmp_path):
    calls, seen = [], []
    run = run_with(tmp_path, rounds=3)
    found = release(run, Recording(calls), VOTES, QUERIES, student_of(seen))
    assert [ids for ids, _ in calls] == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert [student is None for _, student in calls] == [True, False, False]
    assert seen == [[0, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6]]
    assert found.query_ids.tolist() == list(range(N))


def test_without_an_answer_there_is_no_student(tmp_path):
    calls = []
    release(run_with(tmp_path), Recording(calls, silent=True), VOTES, QUERIES, student_of([]))
    assert all(student is None for _, student in calls)


def test_no_more_rounds_than_queries(tmp_path):
    calls = []
    one = QUERIES.take(slice(1))
    votes = Votes(one.query_ids, VOTES.counts[:1], 10)
    release(run_with(tmp_path, rounds=4), Recording(calls), votes, one, student_of([]))
    assert len(calls) == 1


def test_other_mechanisms_are_asked_once(tmp_path):
    run = run_with(tmp_path, mechanism=MECHANISMS["none"]())
    found = release(run, run.mechanism, VOTES, QUERIES, student_of([]))
    assert found.labels.tolist() == [0] * N


def test_with_local_trust_no_noise_is_added_again(tmp_path):
    laplace = MECHANISMS["laplace"](noise_scale=1e6)
    run = run_with(tmp_path, trust="local", mechanism=laplace)
    assert release(run, laplace, VOTES, QUERIES, student_of([])).labels.tolist() == [0] * N


@pytest.mark.parametrize(("noise_seed", "name"), [(None, "os-entropy"), (3, "seeded")])
def test_the_noise_comes_from_the_operating_system_unless_seeded(tmp_path, noise_seed, name):
    assert coordinator_entropy(run_with(tmp_path, noise_seed=noise_seed)).name == name
