"""The formal guarantees of `fedpate.data.dealing`, for every registered partition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.data.dealing import deal, hospital_count, patient_shards
from fedpate.data.partition import PARTITIONS, Dirichlet, Iid, Natural, Partitioner, Quantity
from fedpate.errors import ConfigError, DataError
from fedpate.rng import stream


@st.composite
def private_records(draw):
    """A few hospitals whose patients have several records each, and shards that they can fill."""
    n_hospitals = draw(st.integers(1, 6))
    n_shards = draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(n_shards, 12), min_size=n_hospitals, max_size=n_hospitals))
    hospital_of_patient = np.repeat(np.arange(n_hospitals), sizes)
    extra = draw(st.lists(st.integers(0, len(hospital_of_patient) - 1), max_size=40))
    patient = np.concatenate([np.arange(len(hospital_of_patient)), np.array(extra, dtype=int)])
    order = np.array(draw(st.permutations(range(len(patient)))))
    patient = patient[order]
    labels = draw(st.lists(st.integers(0, 3), min_size=len(patient), max_size=len(patient)))
    return np.array(labels), patient * 10 + 3, hospital_of_patient[patient], n_hospitals, n_shards


def partitioners() -> st.SearchStrategy[Partitioner]:
    alpha = st.sampled_from([1e-300, 1e-3, 0.1, 1.0, 1e3, 1e300])
    strategies = {
        "iid": st.just(Iid()),
        "natural": st.just(Natural()),
        "dirichlet": st.builds(Dirichlet, alpha),
        "quantity": st.builds(Quantity, alpha),
    }
    assert set(strategies) == set(PARTITIONS)  # a new partition is tested by adding a line
    return st.one_of(*strategies.values())


@given(private_records(), partitioners(), st.integers(0, 2**32))
def test_one_patient_one_shard_no_shard_empty_every_record_dealt_once(records, how, seed):
    labels, patients, hospitals, n_hospitals, n_shards = records
    result = deal(how, labels, patients, hospitals, n_hospitals, n_shards, stream(seed, "deal"))
    places = set(
        zip(patients.tolist(), result.hospital_of_record, result.shard_of_record, strict=True)
    )
    assert len(places) == len(np.unique(patients))
    shards = [rows for hospital in range(n_hospitals) for rows in result.shards(hospital)]
    assert len(shards) == n_hospitals * n_shards
    assert all(len(rows) for rows in shards)
    assert sorted(np.concatenate(shards).tolist()) == list(range(len(patients)))


@given(private_records(), partitioners(), st.integers(0, 2**32))
def test_shards_of_a_hospital_are_even_in_patients(records, how, seed):
    labels, patients, hospitals, n_hospitals, n_shards = records
    result = deal(how, labels, patients, hospitals, n_hospitals, n_shards, stream(seed, "deal"))
    for hospital in range(n_hospitals):
        sizes = [len(np.unique(patients[rows])) for rows in result.shards(hospital)]
        assert max(sizes) - min(sizes) <= 1


@given(private_records(), st.sampled_from([Iid(), Quantity(0.3), Natural()]), st.integers(0, 2**32))
def test_replacing_records_moves_no_other_patient(records, how, seed):
    labels, patients, hospitals, n_hospitals, n_shards = records
    before, after = (
        deal(how, y, patients, hospitals, n_hospitals, n_shards, stream(seed, "deal"))
        for y in (labels, 3 - labels)
    )
    assert np.array_equal(before.hospital_of_record, after.hospital_of_record)
    assert np.array_equal(before.shard_of_record, after.shard_of_record)


def test_shards_do_not_depend_on_the_labels_that_shaped_other_hospitals():
    # Hospital 1 is the same in both worlds; hospital 0 is twice as large in the second.
    small = np.repeat([0, 1], [6, 9])
    large = np.repeat([0, 1], [12, 9])
    shards = []
    for hospitals in (small, large):
        n = len(hospitals)
        result = deal(Natural(), np.zeros(n, int), np.arange(n), hospitals, 2, 3, stream(5, "deal"))
        shards.append(result.shard_of_record[hospitals == 1].tolist())
    assert shards[0] == shards[1]


@pytest.mark.parametrize("name", sorted(PARTITIONS))
def test_too_many_teachers_names_the_largest_number_and_that_one_works(name):
    how = PARTITIONS[name]()
    hospitals = np.repeat([0, 1, 2], [20, 8, 15])
    arguments = (how, np.arange(43) % 2, np.arange(43), hospitals, 3)
    largest = 8 if name == "natural" else 43 // 3
    message = (
        rf"teachers_per_hospital must be at most {largest} for partition={name} "
        rf"with 43 private patients in 3 hospitals, got {largest + 1}"
    )
    with pytest.raises(ConfigError, match=message):
        deal(*arguments, largest + 1, stream(0, "deal"))
    deal(*arguments, largest, stream(0, "deal"))


def test_more_hospitals_than_patients():
    with pytest.raises(ConfigError, match="with 2 private patients in 3 hospitals leaves one"):
        deal(Iid(), np.array([0, 1]), np.array([0, 1]), None, 3, 1, stream(0, "deal"))


def test_a_patient_at_two_real_hospitals_is_refused_without_saying_who():
    patients = np.array([777123, 777123, 5, 6])
    arguments = (np.zeros(4, int), patients, np.array([0, 1, 0, 1]), 2, 1)
    with pytest.raises(DataError, match="1 of 3 patients are at several") as caught:
        deal(Natural(), *arguments, stream(0, "deal"))
    assert "777123" not in str(caught.value)
    deal(Iid(), *arguments, stream(0, "deal"))  # made-up hospitals have no such trouble


def test_hospital_count():
    assert hospital_count(Iid(), 10, 4) == 10
    assert hospital_count(Natural(), None, 4) == hospital_count(Natural(), 4, 4) == 4
    with pytest.raises(ConfigError, match=r"hospitals must be null or 4.*got 10"):
        hospital_count(Natural(), 10, 4)
    with pytest.raises(ConfigError, match="partition=natural needs data with hospitals"):
        hospital_count(Natural(), None, 0)
    with pytest.raises(ConfigError, match=r"hospitals must be a whole number >= 1 .*got null"):
        hospital_count(Dirichlet(), None, 4)
    with pytest.raises(ConfigError, match="hospitals must be a whole number >= 1, got 0"):
        hospital_count(Iid(), 0, 4)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200), st.data(), st.integers(0, 2**32))
def test_a_real_hospital_deals_its_own_patients(patients, data, seed):
    n_patients = len(set(patients))
    n_shards = data.draw(st.integers(1, n_patients))
    shards = patient_shards(np.array(patients), n_shards, stream(seed, "shards"))
    pairs = set(zip(patients, shards.tolist(), strict=True))
    sizes = np.bincount([shard for _, shard in pairs], minlength=n_shards)
    assert len(pairs) == n_patients
    assert len(sizes) == n_shards
    assert sizes.max() - sizes.min() <= 1


def test_a_real_hospital_with_too_few_patients():
    message = r"teachers_per_hospital must be in \[1, 2 patients\], got 3"
    with pytest.raises(ConfigError, match=message):
        patient_shards(np.array([7, 7, 9]), 3, stream(0, "shards"))
