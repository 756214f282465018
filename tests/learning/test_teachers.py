import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.errors import ConfigError, DataError
from fedpate.learning.fitted import ConstantTeacher, FittedTeacher, TorchTeacher
from fedpate.learning.teachers import (
    SKLEARN_MODELS,
    TEACHERS,
    Cnn,
    Mlp,
    SklearnTeacher,
    Teacher,
    teacher_seed,
    train_teachers,
)
from fedpate.records import LabelledData
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table

QUICK = {"epochs": 20, "min_steps": 1, "max_steps": 40, "learning_rate": 0.02}
KINDS = [Mlp(hidden=(9,), **QUICK), Cnn(channels=(4,), hidden=(), **QUICK), SklearnTeacher()]
each_kind = pytest.mark.parametrize("teacher", KINDS, ids=lambda kind: kind.name)


def seeds(n: int) -> list[int]:
    return [teacher_seed(3, "hospital-0", shard) for shard in range(n)]


def test_the_registry_is_closed_and_speaks_the_users_names():
    expected = "mlp cnn resnet18 sklearn xgboost lightgbm keras dpsgd command onnx"
    assert " ".join(TEACHERS) == expected
    for name, cls in TEACHERS.items():
        assert cls.name == name
        assert isinstance(cls(), Teacher)
    assert TEACHERS["mlp"](hidden=[3, 4]).hidden == (3, 4)  # what Hydra hands over


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mlp(hidden=(8, 0)), "teacher.hidden must be a whole number >= 1, got 0"),
        (lambda: Mlp(epochs=0), "teacher.epochs must be a whole number >= 1, got 0"),
        (lambda: Cnn(channels=()), "teacher.channels must name at least one convolution, got none"),
        (lambda: Cnn(max_turn=-1.0), "teacher.max_turn must be finite and >= 0, got -1.0"),
        (
            lambda: SklearnTeacher("mlp"),
            f"teacher.model must be one of {', '.join(SKLEARN_MODELS)}, got 'mlp'",
        ),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value) == message


def test_seeds_differ_by_run_hospital_and_shard():
    made = {teacher_seed(s, h, i) for s in (0, 1) for h in ("a", "b") for i in (0, 1, 2)}
    assert len(made) == 12
    assert all(seed >= 2**64 for seed in list(made)[:3])


@each_kind
def test_teachers_vote_and_have_probabilities(teacher):
    trained = train_teachers(teacher, digit_shards([60, 70]), DIGITS, seeds(2))
    for one in trained:
        assert isinstance(one, FittedTeacher)
        votes, shares = one.votes(digits().features), one.probabilities(digits().features)
        assert votes.dtype == np.int64
        assert shares.dtype == np.float64
        assert shares.shape == (len(digits()), one.n_classes) == (1797, 10)
        assert np.allclose(shares.sum(axis=1), 1)
        assert (shares.argmax(axis=1) == votes).mean() > 0.99
        assert (votes == digits().labels).mean() > 0.2  # chance is 0.1
    assert not np.array_equal(*[one.votes(digits().features) for one in trained])


@given(
    st.sampled_from(KINDS),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.randoms(use_true_random=False),
)
@settings(max_examples=15)
def test_a_teacher_does_not_depend_on_what_is_trained_beside_it(teacher, sizes, random):
    shards, own_seeds = digit_shards(sizes), seeds(len(sizes))
    together = train_teachers(teacher, shards, DIGITS, own_seeds)
    index = random.randrange(len(sizes))
    alone = train_teachers(teacher, [shards[index]], DIGITS, [own_seeds[index]])[0]
    asked = digits().features[::3]
    assert np.array_equal(alone.probabilities(asked), together[index].probabilities(asked))


@each_kind
def test_a_shard_of_one_class_teaches_that_class(teacher):
    one, *_ = digit_shards([50])
    constant = LabelledData(one.features[:6], np.full(6, 8), 10)
    counted: list[int] = []
    trained = train_teachers(
        teacher, [constant, one, constant], DIGITS, seeds(3), progress=counted.append
    )
    assert [isinstance(each, ConstantTeacher) for each in trained] == [True, False, True]
    assert trained[0] == ConstantTeacher(8, 10)
    assert set(trained[0].votes(one.features)) == {8}
    assert trained[0].probabilities(one.features)[:, 8].all()
    assert sum(counted) == 3


def test_an_empty_shard_is_refused():
    shards = [table(5), LabelledData(np.zeros((0, 5), np.float32), np.zeros(0, np.int64), 3)]
    with pytest.raises(DataError, match="at least one record, a shard has none"):
        train_teachers(Mlp(), shards, UNTOUCHED, seeds(2))


def test_a_cnn_on_a_table_is_refused_before_training():
    with pytest.raises(ConfigError, match="a cnn needs images"):
        train_teachers(Cnn(), [table(20)], UNTOUCHED, seeds(1))


def test_no_shards_no_teachers():
    assert train_teachers(Mlp(), [], UNTOUCHED, []) == []


def test_the_preprocessing_is_inside():
    (shard,) = digit_shards([80])
    raw = train_teachers(Mlp(**QUICK), [shard], DIGITS, seeds(1))[0]
    scaled = LabelledData(shard.features.astype(np.float32) / 16, shard.labels, 10)
    done = train_teachers(Mlp(**QUICK), [scaled], UNTOUCHED, seeds(1))[0]
    assert isinstance(raw, TorchTeacher)
    images = digits().features
    assert np.array_equal(raw.votes(images), done.votes(images.astype(np.float32) / 16))


def imported(code: str) -> set[str]:
    code += "\nimport sys\nprint(*sys.modules)"
    environment = {"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment
    )
    return set(run.stdout.split())


def test_settings_are_cheap_to_import():
    modules = imported("import fedpate.learning.teachers, fedpate.learning.students")
    assert not modules & {"torch", "sklearn", "joblib", "safetensors"}


def test_training_and_voting_build_no_torch_optimizer():
    modules = imported(
        "from learning_cases import DIGITS, digit_shards\n"
        "from fedpate.learning.teachers import Cnn, train_teachers\n"
        "from fedpate.learning.voting import count_votes\n"
        "shards = digit_shards([20, 21])\n"
        "teachers = train_teachers(Cnn(epochs=1, min_steps=1), shards, DIGITS, [1, 2])\n"
        "assert count_votes(teachers, shards[0].features, 10).sum() == 40\n"
    )
    assert "torch" in modules
    assert "torch._dynamo" not in modules  # a second and 150 MB, in every process
