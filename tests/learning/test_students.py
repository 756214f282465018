import numpy as np
import pytest

from fedpate.errors import ConfigError, NothingReleased, PredictionError
from fedpate.learning.fitted_student import ConstantStudent, NetStudent
from fedpate.learning.released import answered_records
from fedpate.learning.students import (
    STUDENTS,
    DistillStudent,
    FixMatchStudent,
    MixMatchStudent,
    PseudoLabelStudent,
    SklearnStudent,
    Student,
    TorchStudent,
)
from fedpate.records import NO_ANSWER, QueryBatch, Release
from fedpate.rng import stream
from learning_cases import DIGITS, UNTOUCHED, digits, table

QUICK = {"epochs": 20, "min_steps": 1, "max_steps": 120, "learning_rate": 0.02}
SMALL = {"channels": (8, 16), "steps": 150, "table_steps": 60, "learning_rate": 0.01}
KINDS = [
    TorchStudent(channels=(8,), hidden=(16,), **QUICK),
    FixMatchStudent(members=1, batch_size=32, **SMALL),
    MixMatchStudent(members=1, batch_size=32, **SMALL),
    PseudoLabelStudent(
        members=1, channels=(8,), hidden=(16,), repeats=1, epochs=10, table_epochs=40
    ),
    DistillStudent(folds=2, repeats=1, batch_size=64, **SMALL),
    SklearnStudent(),
]
each_kind = pytest.mark.parametrize("student", KINDS, ids=lambda kind: kind.name)


def pool(n: int = 200) -> QueryBatch:
    """Digits whose ids are neither sorted nor their places."""
    ids = stream(0, "ids").permutation(10 * n)[:n].astype(np.int64)
    return QueryBatch(ids, digits().features[:n])


def release(queries: QueryBatch, rows: np.ndarray) -> Release:
    return Release(queries.query_ids[rows], digits().labels[rows])


def test_the_registry_is_closed_and_speaks_the_users_names():
    assert list(STUDENTS) == [
        *("torch", "fixmatch", "mixmatch", "pseudo_label", "distill", "sklearn")
    ]
    for name, cls in STUDENTS.items():
        assert cls.name == name
        assert isinstance(cls(), Student)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TorchStudent(members=0), "student.members must be a whole number >= 1, got 0"),
        (lambda: TorchStudent(epochs=-1), "student.epochs must be a whole number >= 1, got -1"),
        (lambda: TorchStudent(hidden=(0,)), "student.hidden must be a whole number >= 1, got 0"),
        (lambda: TorchStudent(channels=[]), "student.channels must name at least one convolution"),
        (lambda: SklearnStudent("magic"), "student.model must be one of gaussian_nb"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value).startswith(message)


@each_kind
def test_a_student_learns_from_released_labels(student):
    queries = pool(300)
    fitted = student.fit(queries, release(queries, np.arange(300)), 10, DIGITS, seed=0)
    shares = fitted.predict(digits().features[1000:])
    assert shares.dtype == np.float64
    assert shares.shape == (797, 10)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares.argmax(axis=1) == digits().labels[1000:]).mean() > 0.7


@each_kind
def test_rows_and_unseen_classes_are_fine(student):
    shard = table(60, n_classes=3)
    queries = QueryBatch(np.arange(60), shard.features)
    two = Release(np.arange(60), np.where(shard.labels == 1, NO_ANSWER, shard.labels))
    fitted = student.fit(queries, two, 4, UNTOUCHED, seed=0)
    assert fitted.n_classes == 4
    assert set(fitted.predict(shard.features).argmax(axis=1)) == {0, 2}


@each_kind
def test_a_query_without_an_answer_leaves_no_trace(student):
    queries, rows = pool(), np.arange(0, 120, 2)
    some = release(queries, rows)
    padded = Release(
        queries.query_ids[:120],
        np.where(np.isin(np.arange(120), rows), digits().labels[:120], NO_ANSWER),
    )
    asked = digits().features[500:600]
    tables = [
        student.fit(queries, each, 10, DIGITS, seed=0).predict(asked) for each in (some, padded)
    ]
    assert np.array_equal(*tables)


@each_kind
def test_the_seed_decides(student):
    queries = pool()
    labels = release(queries, np.arange(100))
    asked = digits().features[500:600]
    first, again, other = (
        student.fit(queries, labels, 10, DIGITS, seed=seed).predict(asked) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    if student.name != "sklearn":
        assert not np.array_equal(first, other)


def test_labels_find_their_records_by_id():
    queries, rows = pool(), stream(1).permutation(200)[:50]
    found = answered_records(queries, release(queries, rows), 10)
    assert np.array_equal(found.features, digits().features[rows])
    assert np.array_equal(found.labels, digits().labels[rows])


@each_kind
def test_a_label_for_a_record_that_is_not_there_is_refused(student):
    queries = pool()
    strange = Release(np.array([queries.query_ids[0], -5]), np.array([1, 2]))
    with pytest.raises(PredictionError, match="in the pool, 1 of 2 are not"):
        student.fit(queries, strange, 10, DIGITS, seed=0)


@each_kind
def test_no_label_no_student(student):
    queries = pool()
    nothing = Release(queries.query_ids[:3], np.full(3, NO_ANSWER))
    with pytest.raises(NothingReleased, match="none of 3 queries was answered"):
        student.fit(queries, nothing, 10, DIGITS, seed=0)


@each_kind
def test_one_class_makes_a_constant_student_and_a_warning(student):
    queries = pool()
    same = Release(queries.query_ids[:30], np.full(30, 4))
    with pytest.warns(UserWarning, match="all 30 released labels are one class"):
        fitted = student.fit(queries, same, 10, DIGITS, seed=0)
    assert fitted == ConstantStudent(4, 10)
    assert fitted.predict(queries.features)[:, 4].all()


def test_members_are_averaged_and_counted():
    counted: list[int] = []
    queries = pool()
    student = TorchStudent(members=3, channels=(4,), hidden=(), **QUICK)
    fitted = student.fit(
        queries, release(queries, np.arange(99)), 10, DIGITS, seed=0, progress=counted.append
    )
    assert isinstance(fitted, NetStudent)
    assert sum(counted) == len(fitted.members) == 3
    asked = digits().features[500:600]
    tables = np.stack([member.probabilities(asked) for member in fitted.members])
    assert tables.std(axis=0).max() > 0.01  # they are three, not one
    assert np.allclose(fitted.predict(asked), tables.mean(axis=0))
