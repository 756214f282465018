import numpy as np
import pytest
import torch

from fedpate.errors import ConfigError
from fedpate.learning.distillation import folds, out_of_fold
from fedpate.learning.mixmatch import mixed
from fedpate.learning.self_taught import DistillStudent, PseudoLabelStudent, with_guesses
from fedpate.learning.semi_supervised import MixMatchStudent
from fedpate.records import NO_ANSWER, QueryBatch, Release
from fedpate.rng import stream


def test_folds_are_even_and_differ_between_repeats():
    own = stream(0)
    first, second = folds(23, 5, own), folds(23, 5, own)
    assert sorted(np.bincount(first)) == [4, 4, 5, 5, 5]
    assert not np.array_equal(first, second)


def test_a_labelled_record_is_judged_only_by_members_that_left_it_out():
    tables = stream(1).dirichlet([1, 1, 1], (2, 3, 8))  # repeats, folds, pool
    fold_of, rows = np.array([[0, 1, 2, 0], [2, 2, 0, 1]]), np.array([6, 1, 3, 0])
    targets = out_of_fold(tables, fold_of, rows)
    for place, row in enumerate(rows):
        left_out = [tables[repeat, fold_of[repeat, place], row] for repeat in range(2)]
        assert np.allclose(targets[row], np.mean(left_out, axis=0))
    for row in (2, 4, 5, 7):
        assert np.allclose(targets[row], tables[:, :, row].mean(axis=(0, 1)))


def test_the_surest_guesses_of_each_class_become_labels_and_released_ones_stay():
    pool = QueryBatch(np.arange(10, 20), np.zeros((10, 1), np.float32))
    release = Release(np.array([12, 15, 19]), np.array([1, NO_ANSWER, 0]))
    sure = np.linspace(0.5, 0.95, 10)
    guessed = np.stack([sure, 1 - sure], axis=1)
    guessed[4:7] = guessed[4:7, ::-1]
    labels = with_guesses(pool, release, guessed, 0.5)
    found = dict(zip(labels.query_ids.tolist(), labels.labels.tolist(), strict=True))
    assert (found[12], found[19]) == (1, 0)  # also against the guess
    assert {key for key, label in found.items() if label == 1} == {12, 16, 15}
    assert {key for key, label in found.items() if label == 0} == {19, 18, 17}


def test_a_mixture_is_nearer_to_its_own_record():
    records = torch.arange(12.0).reshape(6, 1, 1, 2)
    targets = torch.eye(6)
    seen, wanted = mixed(records, targets, 0.75, stream(2))
    assert torch.allclose(wanted.sum(dim=1), torch.ones(6))
    assert (wanted.diagonal() >= 0.5).all()
    flat = records.flatten(1)
    assert torch.allclose(seen.flatten(1), wanted @ flat, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PseudoLabelStudent(share=1.0), "student.share must be in (0, 1), got 1.0"),
        (lambda: PseudoLabelStudent(members=0), "student.members must be a whole number >= 1"),
        (lambda: DistillStudent(folds=1), "student.folds must be a whole number >= 2, got 1"),
        (lambda: DistillStudent(noise=-1.0), "student.noise must be finite and >= 0, got -1.0"),
        (lambda: MixMatchStudent(sharpening=0.0), "student.sharpening must be finite and > 0"),
        (lambda: MixMatchStudent(averaging=2.0), "student.averaging must be in [0, 1], got 2.0"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value).startswith(message)
