"""Small hospitals and patients of several: no record is lost or moved against the rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.data.dataset import Dataset
from fedpate.data.hospitals import RULES, at_one_hospital, check_rule, without_small
from fedpate.errors import ConfigError, DataError


def dataset(patients, hospitals, n_hospitals=None):
    """Features are the number of the record, so that a record is recognized."""
    n = len(patients)
    hospitals = None if hospitals is None else np.asarray(hospitals, dtype=np.int64)
    count = 0 if hospitals is None else n_hospitals or int(hospitals.max()) + 1
    return Dataset(
        name="toy",
        features=np.arange(n, dtype=np.float32)[:, np.newaxis],
        labels=np.arange(n, dtype=np.int64) % 2,
        class_names=("no", "yes"),
        patients=np.asarray(patients, dtype=np.int64),
        hospitals=hospitals,
        hospital_names=tuple(f"h{index}" for index in range(count)),
    )


def of_sizes(*sizes):
    """One record for each patient."""
    return dataset(range(sum(sizes)), np.repeat(range(len(sizes)), sizes))


def sizes(data):
    return dict(zip(data.hospital_names, np.bincount(data.hospitals).tolist(), strict=True))


records = st.lists(
    st.tuples(st.integers(0, 12), st.integers(0, 6)), min_size=4, max_size=60
).filter(lambda pairs: len({p for p, _ in pairs}) > 3)


@given(records, st.sampled_from(RULES), st.integers(1, 13))
def test_every_hospital_that_is_left_is_large_enough_and_consistent(pairs, rule, fewest):
    patients, hospitals = map(np.array, zip(*pairs, strict=True))
    before = dataset(patients, hospitals, 7)
    try:
        after = without_small(before, rule=rule, fewest_patients=fewest)
    except (ConfigError, DataError):
        by_size = [len(set(patients[hospitals == hospital])) for hospital in range(7)]
        allowed = max(by_size) if rule == "drop" else sum(by_size)
        kept = np.isin(hospitals, [h for h in range(7) if by_size[h] >= fewest])
        one_class = rule == "drop" and len(set(np.flatnonzero(kept) % 2)) < 2
        assert fewest > allowed or one_class
        return
    row = after.features[:, 0].astype(int)
    assert after.labels.tolist() == (row % 2).tolist()
    assert after.patients.tolist() == patients[row].tolist()
    members = {}
    for code, old in zip(after.hospitals.tolist(), hospitals[row].tolist(), strict=True):
        assert f"h{old}" in after.hospital_names[code].split(" + ")
        members.setdefault(code, set()).add(old)
    assert sorted(members) == list(range(len(after.hospital_names)))
    for code, group in members.items():
        n_patients = sum(len(set(patients[hospitals == old])) for old in group)
        assert n_patients >= fewest
        large = [old for old in group if len(set(patients[hospitals == old])) >= fewest]
        assert len(large) <= 1  # two large hospitals are never joined
        if rule == "drop":
            assert len(group) == 1
        assert after.hospital_names[code].count("+") == len(group) - 1
    if rule == "pool":
        assert row.tolist() == list(range(len(pairs)))


def test_pooling_joins_in_order_and_gives_the_rest_to_the_last_group():
    data = of_sizes(3, 20, 4, 5, 2, 6, 1, 1)
    assert sizes(without_small(data, rule="pool", fewest_patients=7)) == {
        "h0 + h2": 7,
        "h1": 20,
        "h3 + h4": 7,
        "h5 + h6 + h7": 8,
    }


def test_what_is_left_over_joins_the_smallest_large_hospital_where_there_is_no_group():
    data = of_sizes(20, 3, 9, 2)
    assert sizes(without_small(data, rule="pool", fewest_patients=7)) == {
        "h0": 20,
        "h1 + h2 + h3": 14,
    }


def test_dropping_leaves_the_others_as_they_are():
    data = without_small(of_sizes(3, 20, 7, 6), rule="drop", fewest_patients=7)
    assert sizes(data) == {"h1": 20, "h2": 7}
    assert data.features[:, 0].tolist() == list(range(3, 30))


def test_patients_count_and_not_records():
    data = dataset([0, 0, 0, 1, 2, 3], [0, 0, 0, 0, 1, 1])
    assert sizes(without_small(data, rule="drop", fewest_patients=2)) == {"h0": 4, "h1": 2}
    with pytest.raises(ConfigError, match="at most 2, the patients of the largest hospital, got 3"):
        without_small(data, rule="drop", fewest_patients=3)


def test_too_many_asked_for_names_the_most_and_that_works():
    data = of_sizes(3, 4)
    message = r"data\.fewest_patients must be at most 7, the patients of all hospitals together"
    with pytest.raises(ConfigError, match=message):
        without_small(data, rule="pool", fewest_patients=8)
    assert sizes(without_small(data, rule="pool", fewest_patients=7)) == {"h0 + h1": 7}


def test_without_hospitals_nothing_changes():
    data = dataset([0, 1, 2], None)
    assert without_small(data, rule="drop", fewest_patients=99) is data
    assert at_one_hospital(data) is data


@given(records)
def test_a_patient_stays_where_most_records_are(pairs):
    patients, hospitals = map(np.array, zip(*pairs, strict=True))
    kept = []
    for patient in set(patients.tolist()):
        counts = np.bincount(hospitals[patients == patient], minlength=7)
        home = int(counts.argmax())  # the first of several
        kept += np.flatnonzero((patients == patient) & (hospitals == home)).tolist()
    if len({record % 2 for record in kept}) == 1:
        with pytest.raises(DataError, match="classes"):
            at_one_hospital(dataset(patients, hospitals, 7))
        return
    after = at_one_hospital(dataset(patients, hospitals, 7))
    row = after.features[:, 0].astype(int)
    assert row.tolist() == sorted(kept)
    assert after.hospitals.tolist() == hospitals[row].tolist()
    assert len(after.hospital_names) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("merge", 1), r"data\.small_hospitals must be one of drop, pool, got 'merge'"),
        (("pool", 0), r"data\.fewest_patients must be a whole number >= 1, got 0"),
        (("drop", 2.5), r"data\.fewest_patients must be a whole number >= 1, got 2\.5"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ConfigError, match=message):
        check_rule(*settings)
