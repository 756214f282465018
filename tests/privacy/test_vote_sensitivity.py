"""Parallel federations: which labels hang on one teacher, and what one patient may move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedpate.errors import AuditFailed, ConfigError, DataError
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.vote_sensitivity import require_one_teacher_moved, vote_sensitivity

CLASSES = 4
votes = hnp.arrays(
    np.int64,
    st.tuples(st.integers(1, 6), st.integers(2, 7)),
    elements=st.integers(0, CLASSES - 1),
)


def winners(predictions) -> list[set[int]]:
    counts = [np.bincount(row, minlength=CLASSES) for row in predictions]
    return [set(np.flatnonzero(row == row.max())) for row in counts]


@given(votes)
def test_a_teacher_is_decisive_where_the_winners_change_without_it(predictions):
    found = vote_sensitivity(predictions, CLASSES)
    full = winners(predictions)
    for teacher in range(predictions.shape[1]):
        without = winners(np.delete(predictions, teacher, axis=1))
        moved = [one != other for one, other in zip(full, without, strict=True)]
        assert found.decisive[:, teacher].tolist() == moved


def test_the_printed_result():
    predictions = np.array([[0, 0, 1, 1, 1], [2, 2, 2, 2, 0], [3, 3, 0, 0, 1]])
    found = vote_sensitivity(predictions, CLASSES).to_dict()
    assert found["pivotal_teachers"] == [0, 1, 2, 3, 4]
    assert found["pivotal_queries"] == [0, 2]
    assert found["empirical_sensitivity"] == {"l1": 1, "labels": 2}
    assert found["theoretical_bound"] == {"l1": 1, "labels": 3}
    assert found["noise_scale"] is None
    assert found["noisy_labels_equal"] is None


def test_noisy_labels_follow_the_votes_at_much_epsilon_and_not_at_little():
    predictions = np.zeros((400, 30), dtype=np.int64)
    near, far = (
        vote_sensitivity(predictions, CLASSES, epsilon=epsilon, entropy=SeededEntropy(3))
        for epsilon in (2.0, 0.002)
    )
    assert near.noise_scale == 1.0
    assert near.to_dict()["noisy_labels_equal"] == 400  # a gap of 30 scales
    assert 40 < far.to_dict()["noisy_labels_equal"] < 190  # about one in four


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (np.zeros(3, dtype=np.int64), "one column per teacher"),
        (np.zeros((3, 1), dtype=np.int64), "one column per teacher"),
        (np.zeros((3, 2)), "whole numbers"),
        (np.array([[0, 4], [-1, 2]]), r"classes in \[0, 4\), 2 are not"),
    ],
)
def test_votes_that_are_none_are_refused(predictions, message):
    with pytest.raises(DataError, match=message):
        vote_sensitivity(predictions, CLASSES)


def test_impossible_settings_are_refused():
    predictions = np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(ConfigError, match="n_classes must be a whole number >= 2"):
        vote_sensitivity(predictions, 1)
    with pytest.raises(ConfigError, match="epsilon must be"):
        vote_sensitivity(predictions, 2, epsilon=-1.0)


@given(votes, st.data())
def test_one_patient_may_change_one_teacher_and_no_more(before, data):
    teachers = before.shape[1]
    moved = data.draw(st.sets(st.integers(0, teachers - 1), max_size=3))
    after = before.copy()
    for teacher in moved:
        row = data.draw(st.integers(0, len(before) - 1))
        after[row, teacher] = (after[row, teacher] + 1) % CLASSES
    if len(moved) <= 1:
        assert require_one_teacher_moved(before, after) == (min(moved) if moved else None)
    else:
        with pytest.raises(AuditFailed, match=f"it changed {len(moved)} of {teachers}") as caught:
            require_one_teacher_moved(before, after)
        assert caught.value.exit_code == 3


def test_predictions_of_other_queries_are_refused():
    with pytest.raises(DataError, match="one shape"):
        require_one_teacher_moved(np.zeros((3, 2), int), np.zeros((2, 2), int))
