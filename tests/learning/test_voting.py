import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedpate.learning import fitted, stacked, voting
from fedpate.learning.fitted import ConstantTeacher, TorchTeacher
from fedpate.learning.nets import cnn, initial_params, mlp
from fedpate.learning.sklearn_teachers import fit_sklearn
from fedpate.learning.teachers import Mlp, SklearnTeacher, train_teachers
from fedpate.learning.voting import count_votes, in_parts
from fedpate.records import VOTE_PARTS
from fedpate.rng import stream
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table

TABLE = table(40, n_features=12)
NETS = [mlp((12,), (5,), 3), mlp((12,), (), 3)]


def network(net, seed, preprocessing=UNTOUCHED):
    return TorchTeacher(net, initial_params(net, stream(seed)), preprocessing)


teachers = st.one_of(
    st.builds(network, st.sampled_from(NETS), st.integers(0, 99)),
    st.builds(ConstantTeacher, st.integers(0, 2), st.just(3)),
    st.just(fit_sklearn("gaussian_nb", TABLE, UNTOUCHED, 0)),
)


@given(
    st.lists(teachers, min_size=1, max_size=40),
    st.integers(0, 60),
    st.integers(1, 9),
)
@settings(max_examples=40)
def test_counts_are_the_teachers_own_votes(voters, n_queries, n_at_once):
    asked = table(n_queries, n_features=12, seed=5).features
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voting, "QUERIES_AT_ONCE", n_at_once)
        counts = count_votes(voters, asked, 3)
    oracle = np.zeros((n_queries, 3), np.int64)
    for voter in voters:
        for query, answer in enumerate(voter.votes(asked)):
            oracle[query, answer] += 1
    assert counts.dtype == np.int64
    assert counts.shape == (n_queries, 3)
    assert (counts.sum(axis=1) == len(voters)).all()
    assert np.array_equal(counts, oracle)


def test_images_are_answered_by_stacks_of_cnns():
    net = cnn((1, 8, 8), (16,), (), 10)
    voters = [network(net, seed) for seed in range(20)]
    images = stream(0).integers(0, 255, (30, 1, 8, 8), np.uint8)
    counts = count_votes(voters, images, 10)
    oracle = sum(np.eye(10, dtype=np.int64)[voter.votes(images)] for voter in voters)
    assert np.array_equal(counts, oracle)


def test_memory_is_bounded_by_the_chunk_not_by_the_queries(monkeypatch):
    seen = []

    def watched(net, stack, records):
        seen.append(4 * len(stack[0]) * records.shape[1] * net.activations)
        return stacked_logits(net, stack, records)

    stacked_logits = stacked.logits
    monkeypatch.setattr(stacked, "logits", watched)
    monkeypatch.setattr(fitted, "ANSWER_BYTES", 40_000)
    voters = [network(NETS[0], seed) for seed in range(33)]
    count_votes(voters, np.zeros((500, 12), np.float32), 3)
    assert len(seen) > 3  # chunks x stacks
    assert max(seen) <= 40_000


def test_a_teacher_asked_alone_is_bounded_too(monkeypatch):
    monkeypatch.setattr(fitted, "ANSWER_BYTES", 1000)
    one, asked = network(NETS[0], 1), table(200, n_features=12).features
    in_parts = one.probabilities(asked)
    monkeypatch.undo()
    assert np.allclose(in_parts, one.probabilities(asked))
    assert one.votes(asked[:0]).shape == (0,)


def test_cores_do_not_change_the_counts():
    voters = [network(NETS[0], seed) for seed in range(40)]
    asked = table(300, n_features=12).features
    before, counted = torch.get_num_threads(), []
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            counted.append(count_votes(voters, asked, 3))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(*counted)


def test_soft_counts_are_the_sum_of_everybodys_parts():
    voters = train_teachers(
        SklearnTeacher(), digit_shards([40, 50]), DIGITS, [1, 2]
    ) + train_teachers(Mlp(hidden=(4,), min_steps=5, max_steps=5), digit_shards([30]), DIGITS, [3])
    images = digits().features[:50]
    counts = count_votes(voters, images, 10, soft=True)
    assert counts.dtype == np.int64
    assert (counts.sum(axis=1) == 3 * VOTE_PARTS).all()
    shares = sum(voter.probabilities(images) for voter in voters)
    assert np.abs(counts / VOTE_PARTS - shares).max() < 3 / VOTE_PARTS
    assert np.array_equal(counts, sum(in_parts(voter.probabilities(images)) for voter in voters))


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 20), st.integers(1, 12)),
        elements=st.floats(0, 1) | st.just(0.0),
    )
)
def test_parts_are_whole_and_within_one_part(weights):
    weights[:, 0] += 1e-6
    shares = weights / weights.sum(axis=1, keepdims=True)
    parts = in_parts(shares)
    assert (parts.sum(axis=1) == VOTE_PARTS).all()
    assert (np.abs(parts - shares * VOTE_PARTS) < 1 + 1e-6).all()
    assert (parts >= 0).all()
