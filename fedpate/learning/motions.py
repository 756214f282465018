"""Random motions of images, as numbers: drawn before training, applied by `images.moved`."""

import math

import numpy as np
import numpy.typing as npt

Motions = npt.NDArray[np.float32]  # (..., 2, 3): where in the source each output pixel comes from


def draw_motions(
    shape: tuple[int, ...],
    max_shift: float,
    max_turn: float,
    max_zoom: float,
    max_shear: float,
    rng: np.random.Generator,
) -> Motions:
    """One random motion per image.

    Args:
      shape: of the result, before the (2, 3) of each motion.
      max_shift: share of the image's side, in each direction.
      max_turn: degrees, either way.
      max_zoom: each axis is scaled by exp(u), |u| <= max_zoom, on its own.
      max_shear: rows slide sideways by so much of their distance from the middle.
      rng: the model's own stream.
    """
    turn, zoom_x, zoom_y, shear, shift_x, shift_y = rng.uniform(-1, 1, (6, *shape))
    turn *= math.radians(max_turn)
    across, down = np.exp(-max_zoom * zoom_x), np.exp(-max_zoom * zoom_y)
    shift_x, shift_y = 2 * max_shift * shift_x, 2 * max_shift * shift_y  # images span [-1, 1]
    motions = np.empty((*shape, 2, 3), np.float32)
    motions[..., 0, 0] = np.cos(turn) * across
    motions[..., 0, 1] = (max_shear * shear - np.sin(turn)) * across
    motions[..., 1, 0], motions[..., 1, 1] = np.sin(turn) * down, np.cos(turn) * down
    motions[..., 0, 2], motions[..., 1, 2] = shift_x, shift_y
    return motions
