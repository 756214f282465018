"""Imputation and scaling come from the public pool only, and survive the wire bit by bit."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import DataError

POOL = np.array([[1, 10, 5], [2, 20, 5], [4, 60, 5]], np.float32)


def test_against_numbers_by_hand():
    fitted = Preprocessing.fit(POOL)
    assert fitted.n_features == 3
    # mean 7/3, 30; standard deviation sqrt(14/9), sqrt(1400/3); the third is constant.
    out = fitted.apply(np.array([[7 / 3, 30 + np.sqrt(1400 / 3), 6]], np.float32))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[0, 1, 1]], atol=1e-6)


def test_missing_values_are_filled_and_flagged():
    pool = POOL.copy()
    pool[0, 0] = np.nan
    fitted = Preprocessing.fit(pool, missing_allowed=True)
    assert fitted.median.tolist() == [3, 20, 5]
    out = fitted.apply(np.array([[np.nan, 20, np.nan], [3, 20, 5]], np.float32))
    assert out.shape == (2, 6)
    np.testing.assert_array_equal(out[0, :3], out[1, :3])  # filled with the pool's medians
    # Flag 0 has mean 1/3 in the pool; flag 2 never occurs there, so it stays 0 or 1.
    np.testing.assert_allclose(out[:, 3], np.array([2 / 3, -1 / 3]) / np.sqrt(2 / 9), rtol=1e-6)
    np.testing.assert_array_equal(out[:, 5], [1, 0])


def test_flags_depend_on_the_schema_and_not_on_what_happens_to_be_missing():
    complete = Preprocessing.fit(POOL, missing_allowed=True)
    assert complete.apply(POOL).shape == (3, 6)


def test_a_feature_that_nobody_in_the_pool_has_is_zero():
    pool = POOL.copy()
    pool[:, 1] = np.nan
    out = Preprocessing.fit(pool, missing_allowed=True).apply(pool)
    assert np.isfinite(out).all()
    assert out[:, 1].tolist() == [0, 0, 0]


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 30), st.integers(1, 5)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_the_pool_itself_comes_out_standardized(pool):
    out = Preprocessing.fit(pool).apply(pool).astype(np.float64)
    varied = np.ptp(pool, axis=0) > 1e-3 * (1 + np.abs(pool).max(axis=0))
    np.testing.assert_allclose(out[:, varied].mean(axis=0), 0, atol=1e-2)
    np.testing.assert_allclose(out[:, varied].std(axis=0), 1, atol=1e-2)
    assert np.isfinite(out).all()


def test_images_are_divided_by_their_full_scale_and_keep_their_shape():
    images = np.array([0, 8, 16], np.uint8).reshape(3, 1, 1, 1)
    fitted = Preprocessing.fit(images, full_scale=16.0)
    out = fitted.apply(images)
    assert (out.dtype, out.shape) == (np.float32, (3, 1, 1, 1))
    assert out.ravel().tolist() == [0, 0.5, 1]
    assert fitted.n_features is None


@pytest.mark.parametrize(
    "fitted",
    [
        Preprocessing.fit(POOL),
        Preprocessing.fit(POOL, missing_allowed=True),
        Preprocessing.fit(POOL, full_scale=255.0),
    ],
)
def test_it_survives_the_wire(fitted):
    wire = {}
    for name, array in fitted.to_arrays().items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        buffer.seek(0)
        wire[name] = np.load(buffer)
    back = Preprocessing.from_arrays(wire)
    assert back.hash() == fitted.hash()
    np.testing.assert_array_equal(back.apply(POOL), fitted.apply(POOL))


def test_different_pools_have_different_hashes():
    hashes = {
        Preprocessing.fit(POOL).hash(),
        Preprocessing.fit(POOL + 1).hash(),
        Preprocessing.fit(POOL, missing_allowed=True).hash(),
    }
    assert len(hashes) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"scale": np.zeros(3, np.float32)},
        {"scale": np.full(3, np.nan, np.float32)},
        {"scale": np.ones(3)},
        {"scale": np.ones(2, np.float32)},
        {"mean": np.ones((3, 1), np.float32), "scale": np.ones((3, 1), np.float32)},
        {"median": np.ones(3, np.float32)},
    ],
)
def test_what_a_peer_sends_is_checked(change):
    with pytest.raises(DataError, match="preprocessing must be finite float32 arrays"):
        Preprocessing.from_arrays(Preprocessing.fit(POOL).to_arrays() | change)


def test_other_names_are_refused():
    with pytest.raises(DataError, match="preprocessing must have mean, scale and perhaps median"):
        Preprocessing.from_arrays({"mean": np.zeros(3, np.float32)})
    with pytest.raises(DataError, match="preprocessing must have"):
        Preprocessing.from_arrays(Preprocessing.fit(POOL).to_arrays() | {"hook": np.zeros(1)})


def test_features_that_do_not_fit_are_refused_without_a_value():
    fitted = Preprocessing.fit(POOL)
    with pytest.raises(
        DataError, match=r"must have 3 columns as in the public pool, got .*\(3, 2\)"
    ):
        fitted.apply(POOL[:, :2])
    flagged = Preprocessing.fit(POOL, missing_allowed=True)
    with pytest.raises(DataError, match="must have 3 columns"):
        flagged.apply(np.concatenate([POOL, POOL], axis=1))
    gap = POOL.copy()
    gap[1, 1] = np.nan
    with pytest.raises(DataError, match="1 of 3 records have values that are not"):
        fitted.apply(gap)
    with pytest.raises(DataError, match="the public pool must be a table with records"):
        Preprocessing.fit(POOL[:0])


def test_it_cannot_be_changed_after_it_was_fitted():
    with pytest.raises(ValueError, match="read-only"):
        Preprocessing.fit(POOL).mean[0] = 1
