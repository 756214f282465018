"""Private records, pool and test set never share a patient, and each label gets its share."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedpate.data.dataset import Dataset
from fedpate.data.splits import Split, check_fractions, first_of_each, split
from fedpate.errors import ConfigError, DataError
from fedpate.rng import stream


@dataclass(frozen=True)
class Toy:
    name: ClassVar[str] = "toy"
    pool_fraction: float = 0.2
    test_fraction: float = 0.2


def dataset(patients, labels, fixed_split=None, hospitals=None):
    return Dataset(
        hospitals=hospitals,
        hospital_names=() if hospitals is None else tuple(map(str, range(hospitals.max() + 1))),
        name="toy",
        features=np.zeros((len(patients), 1), np.float32),
        labels=np.asarray(labels, dtype=np.int64),
        class_names=("a", "b", "c", "d"),
        patients=np.asarray(patients, dtype=np.int64),
        fixed_split=fixed_split,
    )


def parts_of(result: Split):
    return (result.private_rows, result.pool_rows, result.test_rows)


@given(st.data(), st.integers(0, 2**32))
def test_parts_are_disjoint_by_patient_and_cover_everything(data, seed):
    patients = data.draw(st.lists(st.integers(-5, 30), min_size=12, max_size=120))
    patients += list(range(100, 106))  # enough of them for three parts
    labels = data.draw(st.lists(st.integers(0, 3), min_size=len(patients), max_size=len(patients)))
    labels[:2] = [0, 1]
    pool = data.draw(st.floats(0.05, 0.4))
    test = data.draw(st.floats(0.05, 0.4))
    records = dataset(patients, labels)
    parts = parts_of(split(records, Toy(pool, test), stream(seed, "split")))
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(patients)))
    owners = [set(records.patients[rows].tolist()) for rows in parts]
    n_patients = len(set(patients))
    assert sum(map(len, owners)) == n_patients  # disjoint
    assert len(owners[1]) == np.ceil(round(pool * n_patients, 9))
    assert len(owners[2]) == np.ceil(round(test * n_patients, 9))
    assert len(owners[0]) >= 1


@given(st.integers(0, 2**32))
def test_each_label_is_represented_in_proportion(seed):
    labels = np.repeat([0, 1, 2, 3], [100, 40, 11, 3])
    records = dataset(np.arange(len(labels)), labels)
    parts = split(records, Toy(0.25, 0.1), stream(seed, "split"))
    for rows, fraction in ((parts.pool_rows, 0.25), (parts.test_rows, 0.1)):
        off = np.abs(np.bincount(labels[rows], minlength=4) - fraction * np.bincount(labels))
        # At any place t of the order, a stratum of n has passed less than 1 more or fewer than
        # n t, so all of them less than S, and a size is rounded up by less than 1. The test set is
        # the difference of two prefixes.
        bound = 1 + 5 * np.bincount(labels) / len(labels)
        assert (off < bound * (1 if rows is parts.pool_rows else 2)).all()


def test_a_rare_label_has_its_fair_chance_of_every_part():
    labels = np.repeat([0, 1], [99, 1])
    records = dataset(np.arange(100), labels)
    where = np.zeros(3)
    for seed in range(600):
        parts = parts_of(split(records, Toy(0.2, 0.2), stream(seed, "split")))
        where += [99 in rows for rows in parts]
    # Binomial(600, p): 6 standard deviations are 72 and 59; a patient that always stays private,
    # as with an unshifted systematic sample, is 240 away.
    assert abs(where[0] - 360) < 72
    assert abs(where[1] - 120) < 59
    assert abs(where[2] - 120) < 59


@given(
    st.lists(st.integers(1, 8), min_size=2, max_size=12),
    st.floats(0.1, 0.4),
    st.floats(0.1, 0.4),
    st.integers(0, 2**32),
)
def test_every_real_hospital_keeps_a_private_patient(sizes, pool, test, seed):
    hospitals = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.arange(len(hospitals)) % 2
    settings = Toy(pool, test)
    n_pool, n_test = (int(np.ceil(round(share * len(labels), 9))) for share in (pool, test))
    assume(len(labels) - n_pool - n_test >= 2 * len(sizes))  # enough for every exchange
    plain = parts_of(split(dataset(range(len(labels)), labels), settings, stream(seed, "split")))
    kept = dataset(range(len(labels)), labels, hospitals=hospitals)
    parts = parts_of(split(kept, settings, stream(seed, "split")))
    assert set(hospitals[parts[0]]) == set(hospitals)
    for before, after in zip(plain, parts, strict=True):  # an exchange changes no count
        assert np.bincount(labels[before]).tolist() == np.bincount(labels[after]).tolist()
    if set(hospitals[plain[0]]) == set(hospitals):
        assert [rows.tolist() for rows in plain] == [rows.tolist() for rows in parts]


def test_the_seed_decides_and_nothing_else():
    records = dataset(np.arange(50), np.arange(50) % 4)
    first, same, other = (
        split(records, Toy(), stream(seed, "split")).pool_rows.tolist() for seed in (0, 0, 1)
    )
    assert first == same
    assert first != other


def test_a_fixed_split_is_taken_as_it_is():
    fixed = (np.array([3, 1]), np.array([0]))
    parts = split(dataset(range(5), [0, 1, 0, 1, 0], fixed), Toy(), stream(0, "split"))
    assert [rows.tolist() for rows in parts_of(parts)] == [[2, 4], [3, 1], [0]]


def test_a_fixed_split_that_shares_a_patient_is_refused():
    shared = dataset([0, 1, 2, 3, 2], [0, 1, 0, 1, 0], (np.array([2]), np.array([3])))
    with pytest.raises(DataError, match="pool, test set and private records share patients"):
        split(shared, Toy(), stream(0, "split"))


def test_too_few_patients_for_three_parts():
    tiny = dataset([0, 0, 1, 1], [0, 1, 0, 1])
    with pytest.raises(DataError, match="leave no private patient; the data set has 2 patients"):
        split(tiny, Toy(), stream(0, "split"))


@pytest.mark.parametrize(
    ("pool", "test", "message"),
    [
        (0.0, 0.2, r"data\.pool_fraction must be in \(0, 1\), got 0\.0"),
        (0.2, 1.0, r"data\.test_fraction must be in \(0, 1\), got 1\.0"),
        (float("nan"), 0.2, r"data\.pool_fraction must be in \(0, 1\), got nan"),
        (0.5, 0.5, r"data\.pool_fraction \+ data\.test_fraction must be < 1, got 0\.5 \+ 0\.5"),
    ],
)
def test_fractions_are_checked_by_name(pool, test, message):
    with pytest.raises(ConfigError, match=message):
        check_fractions(pool, test)


def test_first_of_each_keeps_the_order_of_codes():
    first, patient_of_record = first_of_each(np.array([7, 3, 7, 5]))
    assert first.tolist() == [1, 3, 0]
    assert patient_of_record.tolist() == [2, 0, 2, 1]
