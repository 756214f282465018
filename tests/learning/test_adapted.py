"""Teachers of other libraries, and those that are not stacked."""

import logging
import sys

import numpy as np
import pytest

from fedpate.errors import ConfigError
from fedpate.learning import extras
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import (
    Keras,
    Lightgbm,
    Resnet18,
    Teacher,
    Xgboost,
    train_teachers,
)
from fedpate.learning.voting import count_votes
from fedpate.records import LabelledData
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table

TABLES = [
    Xgboost(rounds=20),
    Lightgbm(rounds=30),
    Keras(hidden=(8,), epochs=1, min_steps=60, max_steps=60, learning_rate=0.02),
]
RESNET = Resnet18(epochs=1, min_steps=1, max_steps=2)
each_library = pytest.mark.parametrize("teacher", TABLES, ids=lambda kind: kind.name)
each_kind = pytest.mark.parametrize("teacher", [*TABLES, RESNET], ids=lambda kind: kind.name)


def trained(teacher: Teacher, shard: LabelledData, **more) -> FittedTeacher:
    return train_teachers(teacher, [shard], UNTOUCHED, [2**70 + 5], **more)[0]


def small_digits() -> LabelledData:
    return digit_shards([24])[0]


@each_library
def test_a_library_learns_a_table(teacher):
    shard, test = table(120, seed=1), table(300, seed=2)
    fitted = trained(teacher, shard)
    shares = fitted.probabilities(test.features)
    assert (fitted.votes(test.features) == test.labels).mean() > 0.7
    assert shares.dtype == np.float64
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.array_equal(shares.argmax(axis=1), fitted.votes(test.features))
    assert fitted.votes(test.features[:0]).shape == (0,)
    assert fitted.probabilities(test.features[:0]).shape == (0, 3)


@each_library
def test_two_classes_of_four_keep_their_columns(teacher):
    full = table(60, n_classes=4)
    kept = np.isin(full.labels, (1, 3))
    fitted = trained(teacher, LabelledData(full.features[kept], full.labels[kept], 4))
    assert set(fitted.votes(full.features)) == {1, 3}
    shares = fitted.probabilities(full.features)
    assert shares.shape == (60, 4)
    assert not shares[:, [0, 2]].any()
    assert (fitted.votes(full.features[kept]) == full.labels[kept]).mean() > 0.8


@each_library
def test_a_seed_gives_one_model_and_two_records_are_enough(teacher):
    shard = table(40)
    first, again = (trained(teacher, shard).probabilities(shard.features) for _ in range(2))
    assert np.array_equal(first, again)
    two = LabelledData(np.array([[0.0], [1.0]], np.float32), np.array([2, 0]), 3)
    assert set(trained(teacher, two).votes(two.features)) <= {0, 2}


@each_kind
def test_a_stored_model_is_the_same_and_no_pickle(teacher, tmp_path, monkeypatch):
    shard = small_digits() if teacher is RESNET else table(60)
    store = TeacherStore(tmp_path / "teachers")
    first = trained(teacher, shard, store=store)
    (entry,) = store.list()
    assert entry.kind == ("module" if teacher is RESNET else "adapted")
    monkeypatch.setattr(type(teacher), "fit_all", lambda _, shards, *__: shards and 1 / 0)
    again = trained(teacher, shard, store=store)
    assert type(again) is type(first)
    assert np.array_equal(first.probabilities(shard.features), again.probabilities(shard.features))


def test_a_resnet_is_trained_by_the_plain_loop_and_says_so(caplog):
    shard = small_digits()
    with caplog.at_level(logging.INFO, "fedpate"):
        one = train_teachers(RESNET, [shard], DIGITS, [1])[0]
    assert "teacher=resnet18 is not stacked: 1 networks, one plain loop each" in caplog.text
    again = train_teachers(RESNET, [shard, shard], DIGITS, [2, 1])[1]
    images = digits().features[:30]
    shares = one.probabilities(images)
    assert np.array_equal(shares, again.probabilities(images))
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.array_equal(one.votes(images), shares.argmax(axis=1))
    alone = np.concatenate([one.probabilities(images[i : i + 1]) for i in range(3)])
    assert np.allclose(alone, shares[:3], atol=1e-5)  # no batch statistics
    assert count_votes([one, again], images, 10).sum() == 60


def test_a_resnet_takes_color_and_refuses_tables():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 3, 70, 64), np.uint8)
    shard = LabelledData(images, np.arange(6) % 2, 2)
    one = train_teachers(Resnet18(min_steps=1, max_steps=1), [shard], DIGITS, [1])[0]
    assert one.votes(images).shape == (6,)
    with pytest.raises(ConfigError, match="teacher=resnet18 needs images of shape"):
        train_teachers(RESNET, [table(20)], UNTOUCHED, [1])


@pytest.mark.parametrize(("library", "extra"), [("xgboost", "xgboost"), ("opacus", "dpsgd")])
def test_a_missing_library_is_refused_with_what_to_type(library, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    message = (
        f"teacher={extra} needs {library}, which is not installed: pip install 'fedpate[{extra}]'"
    )
    for refused in (extras.require, extras.load):
        with pytest.raises(ConfigError) as error:
            refused(library)
        assert str(error.value) == message
    monkeypatch.setattr(extras, "DISTRIBUTIONS", {library: ("not-installed-anywhere",)})
    extras.version.cache_clear()
    with pytest.raises(ConfigError, match="pip install"):
        extras.version(library)


def test_keras_of_another_backend_is_refused(monkeypatch):
    keras = extras.load("keras")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match="KERAS_BACKEND must be torch, got 'jax'"):
        extras.load("keras")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Xgboost(rounds=0), "teacher.rounds must be a whole number >= 1, got 0"),
        (lambda: Xgboost(subsample=1.5), "teacher.subsample must be in (0, 1], got 1.5"),
        (lambda: Lightgbm(leaves=1), "teacher.leaves must be a whole number >= 2, got 1"),
        (lambda: Keras(hidden=(0,)), "teacher.hidden must be a whole number >= 1, got 0"),
        (lambda: Resnet18(epochs=0), "teacher.epochs must be a whole number >= 1, got 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message
