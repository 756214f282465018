import numpy as np
import pytest

from fedpate.errors import ConfigError
from fedpate.learning.sklearn_teachers import SklearnClassifier, build, fit_sklearn
from fedpate.learning.supervised import SklearnStudent
from fedpate.learning.teachers import SKLEARN_MODELS, SklearnTeacher, train_teachers
from fedpate.records import LabelledData
from learning_cases import DIGITS, UNTOUCHED, digit_shards, digits, table

each_model = pytest.mark.parametrize("model", SKLEARN_MODELS)


@each_model
def test_every_model_learns_a_table(model):
    shard, test = table(120, seed=1), table(300, seed=2)
    fitted = fit_sklearn(model, shard, UNTOUCHED, seed=5)
    assert (fitted.votes(test.features) == test.labels).mean() > 0.7
    shares = fitted.probabilities(test.features)
    assert shares.shape == (300, 3)
    assert shares.dtype == np.float64
    assert np.allclose(shares.sum(axis=1), 1)
    if model != "svc":  # whose probabilities are its votes, by definition
        assert len(np.unique(shares)) > 3


@each_model
def test_a_class_that_the_shard_lacks_keeps_its_column(model):
    full = table(60, n_classes=4)
    kept = np.isin(full.labels, (1, 3))
    shard = LabelledData(full.features[kept], full.labels[kept], 4)
    fitted = fit_sklearn(model, shard, UNTOUCHED, seed=0)
    assert set(fitted.votes(full.features)) == {1, 3}
    shares = fitted.probabilities(full.features)
    assert shares.shape == (60, 4)
    assert not shares[:, [0, 2]].any()


@each_model
def test_nobody_asked_nothing_answered(model):
    shard = table(30)
    fitted = fit_sklearn(model, shard, UNTOUCHED, seed=0)
    assert fitted.votes(shard.features[:0]).shape == (0,)
    assert fitted.probabilities(shard.features[:0]).shape == (0, 3)


@each_model
def test_two_records_are_enough(model):
    shard = LabelledData(np.array([[0.0], [1.0]], np.float32), np.array([2, 0]), 3)
    votes = fit_sklearn(model, shard, UNTOUCHED, seed=0).votes(shard.features)
    assert set(votes) <= {0, 2}


@each_model
def test_a_seed_gives_one_classifier(model):
    (shard,) = digit_shards([80])
    votes = [
        fit_sklearn(model, shard, DIGITS, seed=7).votes(digits().features[500:700])
        for _ in range(2)
    ]
    assert np.array_equal(*votes)


def test_images_are_taken_as_preprocessed_rows():
    (shard,) = digit_shards([100])
    fitted = fit_sklearn("logistic_regression", shard, DIGITS, seed=0)
    assert fitted.model.coef_.shape == (10, 64)
    halved = SklearnClassifier(fitted.model, UNTOUCHED, 10)
    images = digits().features[500:600]
    assert np.array_equal(fitted.votes(images), halved.votes(images.astype(np.float32) / 16))


def test_an_unknown_model_is_refused():
    with pytest.raises(ConfigError, match="closed list"):
        build("os.system", 10, 0)


def rare_outcome(seed):
    """200 records that overlap much; one in ten is of class 1."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(200) % 10 == 0).astype(np.int64)
    return LabelledData((rng.normal(size=(200, 2)) + labels[:, None]).astype(np.float32), labels, 2)


@pytest.mark.parametrize("model", sorted(set(SKLEARN_MODELS) - {"knn"}))
def test_a_balanced_teacher_finds_the_rare_class_more_often(model):
    shard, test = rare_outcome(1), rare_outcome(2)
    plain, balanced = (
        train_teachers(SklearnTeacher(model, balanced=balanced), [shard], UNTOUCHED, [5])[0]
        .votes(test.features)
        .sum()
        for balanced in (False, True)
    )
    assert balanced > plain


def test_balance_is_the_weight_of_repeated_records():
    shard = rare_outcome(1)
    often = np.repeat(np.arange(200), np.where(shard.labels == 1, 9, 1))
    repeated = LabelledData(shard.features[often], shard.labels[often], 2)
    balanced = fit_sklearn("logistic_regression", shard, UNTOUCHED, seed=0, balanced=True)
    # Balanced weights sum to 200, repeated records to 360.
    same = fit_sklearn("logistic_regression", repeated, UNTOUCHED, seed=0, regularization=360 / 200)
    assert np.allclose(balanced.model.coef_, same.model.coef_, atol=1e-3)


def test_a_balanced_teacher_of_one_class_stays_constant():
    shard = LabelledData(np.ones((3, 2), np.float32), np.zeros(3, np.int64), 2)
    (teacher,) = train_teachers(SklearnTeacher(balanced=True), [shard], UNTOUCHED, [0])
    assert not teacher.votes(rare_outcome(1).features).any()


def test_more_regularization_is_a_smaller_model():
    shard = rare_outcome(1)
    sizes = [
        np.abs(
            fit_sklearn("logistic_regression", shard, UNTOUCHED, 0, regularization=r).model.coef_
        )
        for r in (1.0, 100.0)
    ]
    assert (sizes[1] < sizes[0]).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            lambda: SklearnTeacher("knn", balanced=True),
            r"teacher\.balanced must be false with .*knn",
        ),
        (
            lambda: SklearnTeacher(regularization=0),
            r"teacher\.regularization must be finite and > 0",
        ),
        (
            lambda: SklearnTeacher("random_forest", regularization=2),
            r"teacher\.regularization must be 1 with teacher\.model=random_forest",
        ),
        (
            lambda: SklearnStudent("gaussian_nb", regularization=2),
            r"student\.regularization must be 1 with student\.model=gaussian_nb",
        ),
    ],
)
def test_a_setting_that_the_model_has_not_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        settings()
