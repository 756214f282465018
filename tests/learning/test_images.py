import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from fedpate.learning.images import moved
from fedpate.learning.motions import draw_motions
from fedpate.rng import stream

IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
sides = st.integers(1, 12)


def images(n: int, channels: int, rows: int, columns: int) -> torch.Tensor:
    values = stream(0, "images").random((n, channels, rows, columns), np.float32)
    return torch.from_numpy(values)


@given(st.integers(1, 4), st.integers(1, 3), sides, sides)
def test_the_identity_moves_nothing(n, channels, rows, columns):
    before = images(n, channels, rows, columns)
    assert torch.allclose(moved(before, IDENTITY.expand(n, 2, 3)), before, atol=1e-5)


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, 2), (-2, 1)])
def test_a_whole_pixel_shift_brings_in_background(down, right):
    before = images(1, 1, 6, 8)
    motion = IDENTITY.clone()
    motion[0, 2], motion[1, 2] = -2 * right / 8, -2 * down / 6
    expected = functional.pad(before, (right, -right, down, -down))
    assert torch.allclose(moved(before, motion[None]), expected, atol=1e-5)


@given(st.integers(1, 5), sides, sides, st.integers(0, 2**32))
def test_torchs_own_affine_grid_gives_the_same(n, rows, columns, seed):
    before = images(n, 2, rows, columns)
    motions = torch.from_numpy(draw_motions((n,), 0.3, 40.0, 0.4, 0.3, stream(seed)))
    grid = functional.affine_grid(motions, list(before.shape), align_corners=False)
    oracle = functional.grid_sample(before, grid, align_corners=False)
    assert torch.allclose(moved(before, motions), oracle, atol=1e-4)


@given(st.floats(0, 0.5), st.floats(0, 45), st.floats(0, 0.5), st.floats(0, 0.5))
def test_motions_stay_within_their_limits(shift, turn, zoom, shear):
    motions = draw_motions((50, 2), shift, turn, zoom, shear, stream(1)).astype(np.float64)
    assert motions.shape == (50, 2, 2, 3)
    assert np.abs(motions[..., 2]).max() <= 2 * shift + 1e-6
    area = np.abs(np.linalg.det(motions[..., :2]))  # of a pixel in the source
    sheared = 1 + shear * math.sin(math.radians(turn)) + 1e-5
    assert area.max() <= math.exp(2 * zoom) * sheared
    assert area.min() >= math.exp(-2 * zoom) * (2 - sheared)


def test_no_limits_no_motion():
    assert np.allclose(draw_motions((3,), 0, 0, 0, 0, stream(0)), IDENTITY.numpy())
