import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from fedpate.learning.metrics import Scores, accuracy, auc, balanced_accuracy, confusion
from fedpate.rng import stream


def cases(n_classes: int, n: int, seed: int):
    rng = stream(seed, "metrics")
    table = rng.dirichlet(np.ones(n_classes), n)
    return table, rng.integers(0, n_classes, n)


def test_the_scores_of_a_known_table():
    table = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7]])
    scores = Scores.of(table, np.array([0, 0, 1, 1]))
    assert (scores.accuracy, scores.balanced_accuracy, scores.auc) == (0.75, 0.75, 0.75)
    assert scores.confusion.tolist() == [[2, 0], [1, 1]]


def test_a_constant_answer_is_seen_through():
    labels = np.array([0] * 9 + [1])
    scores = Scores.of(np.tile([1.0, 0.0], (10, 1)), labels)
    assert (scores.accuracy, scores.balanced_accuracy, scores.auc) == (0.9, 0.5, 0.5)


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 10**6))
def test_scikit_learn_agrees(n_classes, n, seed):
    table, labels = cases(n_classes, n, seed)
    answers = table.argmax(axis=1)
    assert accuracy(answers, labels) == np.mean(answers == labels)
    if np.isin(answers, labels).all() and len(set(labels)) > 1:  # scikit-learn warns otherwise
        assert balanced_accuracy(answers, labels) == pytest.approx(
            balanced_accuracy_score(labels, answers)
        )
    assert 0 <= balanced_accuracy(answers, labels) <= 1
    expected = confusion_matrix(labels, answers, labels=range(n_classes))
    assert confusion(answers, labels, n_classes).tolist() == expected.tolist()
    if n_classes == 2 and len(set(labels)) == 2:
        assert auc(table, labels) == pytest.approx(roc_auc_score(labels, table[:, 1]))
    else:
        assert auc(table, labels) is None


def test_no_records_no_score():
    empty = np.zeros(0, np.int64)
    assert math.isnan(accuracy(empty, empty))
    assert math.isnan(balanced_accuracy(empty, empty))
    assert auc(np.zeros((0, 2)), empty) is None
