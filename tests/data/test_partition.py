"""What each partition is for: the skew that it makes, and how alpha steers it."""

import numpy as np
import pytest

from fedpate.data.partition import PARTITIONS, Dirichlet, Iid, Natural, Patients, Quantity
from fedpate.errors import ConfigError
from fedpate.rng import stream

N, H, K = 6000, 10, 3  # patients, hospitals, classes
LABELS = np.arange(N) % K


def homes(how, labels=LABELS, minimum=5, seed=0):
    patients = Patients(labels, np.arange(len(labels)) % H, H, minimum)
    return how.homes(patients, stream(seed, "partition"))


def class_shares(home):
    """(H, K) share of each class at each hospital."""
    counts = np.bincount(home * K + LABELS, minlength=H * K).reshape(H, K)
    return counts / counts.sum(axis=1, keepdims=True)


def test_iid_hospitals_have_equal_sizes_and_random_members():
    home = homes(Iid())
    assert np.bincount(home).tolist() == [N // H] * H
    assert np.abs(class_shares(home) - 1 / K).max() < 0.12  # 6 standard deviations
    assert not np.array_equal(home, homes(Iid(), seed=1))


def test_dirichlet_with_large_alpha_is_uniform():
    home = homes(Dirichlet(1e6))
    assert np.abs(np.bincount(home) - N / H).max() < 5
    assert np.abs(class_shares(home) - 1 / K).max() < 0.01


def test_dirichlet_with_small_alpha_has_hospitals_of_few_classes():
    shares = [class_shares(homes(Dirichlet(0.05), seed=seed)).max(axis=1) for seed in range(5)]
    assert np.median(shares) > 0.95
    middling = [class_shares(homes(Dirichlet(1.0), seed=seed)).max(axis=1) for seed in range(5)]
    assert 0.4 < np.median(middling) < 0.8  # iid: 1/3


def test_dirichlet_variance_follows_alpha():
    # Var of one Dirichlet(alpha, ..., alpha) share of H: (1/H)(1 - 1/H) / (alpha H + 1).
    alpha = 0.7
    shares = [
        np.bincount(homes(Dirichlet(alpha), minimum=1, seed=seed)[label == LABELS], minlength=H)
        / (N / K)
        for seed in range(60)
        for label in range(K)
    ]
    expected = (1 / H) * (1 - 1 / H) / (alpha * H + 1)
    assert np.var(shares) == pytest.approx(expected, rel=0.2)


def test_dirichlet_fills_hospitals_up_from_the_largest():
    sizes = np.bincount(homes(Dirichlet(1e-3), minimum=40), minlength=H)
    assert sizes.min() == 40
    assert sizes.sum() == N


def test_quantity_skews_sizes_and_not_labels():
    sizes = np.bincount(homes(Quantity(0.3), minimum=5), minlength=H)
    assert sizes.min() >= 5
    assert sizes.max() > 2 * N / H
    even = np.bincount(homes(Quantity(1e6), minimum=5), minlength=H)
    assert np.abs(even - N / H).max() < 5
    home = homes(Quantity(0.3), minimum=100)
    assert np.abs(class_shares(home) - 1 / K).max() < 0.3  # 6 standard deviations of 100 patients


def test_natural_takes_hospitals_as_they_are():
    assert homes(Natural()).tolist() == (np.arange(N) % H).tolist()
    with pytest.raises(ConfigError, match="partition=natural needs data with hospitals"):
        Natural().homes(Patients(LABELS, None, H, 1), stream(0, "partition"))


@pytest.mark.parametrize("name", ["dirichlet", "quantity"])
@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_alpha_is_checked_by_name(name, alpha):
    with pytest.raises(ConfigError, match=r"partition\.alpha must be finite and > 0"):
        PARTITIONS[name](alpha=alpha)


def test_the_registry_is_closed_and_named():
    assert list(PARTITIONS) == ["iid", "dirichlet", "quantity", "natural"]
    assert [how for how, cls in PARTITIONS.items() if cls.real_hospitals] == ["natural"]
