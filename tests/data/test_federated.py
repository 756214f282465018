"""A simulated federation: everything is somebody's, and one seed decides who."""

import numpy as np
import pytest

from fedpate.data.federated import federate
from fedpate.data.partition import Dirichlet, Iid, Natural
from fedpate.data.sklearn_sources import BreastCancer, Digits
from fedpate.data.tables import Csv
from fedpate.errors import ConfigError


def test_digits_for_ten_hospitals_of_five_teachers():
    federation = federate(Digits(), Iid(), 10, 5, 0)
    shards = [shard for hospital in range(10) for shard in federation.shards(hospital)]
    assert len(shards) == 50
    assert sum(map(len, shards)) == len(federation.private()) == 1077
    assert (len(federation.pool()), len(federation.test())) == (360, 360)
    assert federation.pool().query_ids.tolist() == list(range(360))
    assert federation.pool_labels().shape == (360,)
    assert federation.preprocessing().apply(federation.pool().features).max() == 1.0


def test_preprocessing_sees_the_pool_and_nothing_private():
    federation = federate(BreastCancer(), Iid(), 4, 2, 0)
    pool = federation.pool().features.astype(np.float64)
    np.testing.assert_allclose(federation.preprocessing().mean, pool.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(federation.preprocessing().scale, pool.std(axis=0), rtol=1e-6)


def test_one_seed_one_federation():
    first = federate(Digits(), Dirichlet(0.5), 10, 5, 0)
    assert federate(Digits(), Dirichlet(0.5), 10, 5, 0) is first
    federate.cache_clear()
    again = federate(Digits(), Dirichlet(0.5), 10, 5, 0)
    other = federate(Digits(), Dirichlet(0.5), 10, 5, 1)
    assert again is not first
    for mine, same, different in (
        (first.pool(), again.pool(), other.pool()),
        (first.shards(3)[1], again.shards(3)[1], other.shards(3)[1]),
    ):
        assert np.array_equal(mine.features, same.features)
        assert not np.array_equal(mine.features, different.features)


def test_patients_of_a_file_stay_together(tmp_path):
    path = tmp_path / "stays.csv"
    generator = np.random.default_rng(3)
    patient = generator.integers(0, 60, 300)
    lines = [f"{i},{p % 3},{p},{p % 2}\n" for i, p in enumerate(patient)]
    path.write_text("stay,outcome,person,site\n" + "".join(lines))
    source = Csv(str(path), "outcome", patient="person", hospital="site")
    federation = federate(source, Natural(), None, 4, 0)
    owner = federation.dataset.patients
    parts = [federation.split.pool_rows, federation.split.test_rows]
    for hospital in range(2):
        shards = federation.partition.shards(hospital)
        parts += [federation.split.private_rows[shard] for shard in shards]
    owners = [set(owner[rows].tolist()) for rows in parts]
    assert sum(map(len, owners)) == len(np.unique(patient))
    assert sum(map(len, parts)) == 300


def test_settings_that_do_not_fit_the_data():
    with pytest.raises(ConfigError, match="partition=natural needs data with hospitals"):
        federate(BreastCancer(), Natural(), None, 5, 0)
    with pytest.raises(ConfigError, match="teachers_per_hospital must be at most 34 for"):
        federate(BreastCancer(), Iid(), 10, 35, 0)
