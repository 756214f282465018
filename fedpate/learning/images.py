"""Cheap augmentation: images turned, zoomed and shifted a little, in one bilinear resampling."""

import torch
from torch.nn import functional


def moved(images: torch.Tensor, motions: torch.Tensor) -> torch.Tensor:
    """Resample each image by its own motion.

    Args:
      images: (n, channels, rows, columns); what moves in is 0, the background.
      motions: (n, 2, 3), from `fedpate.learning.motions`.

    Returns:
      Like `images`.
    """
    n, _, rows, columns = images.shape
    x = _centres(columns, images.device)
    y = _centres(rows, images.device)
    grid = images.new_empty(n, rows, columns, 2)
    for axis in (0, 1):  # an affine map is a sum of a part per column and a part per row
        along, across, shift = motions[:, axis].unbind(dim=1)
        by_row = torch.addcmul(shift[:, None], across[:, None], y)
        torch.add((along[:, None] * x)[:, None, :], by_row[:, :, None], out=grid[..., axis])
    return functional.grid_sample(images, grid, align_corners=False)


def _centres(n: int, device: torch.device) -> torch.Tensor:
    """Pixel centres of an axis that spans [-1, 1]."""
    return (torch.arange(n, dtype=torch.float32, device=device) * 2 + 1) / n - 1
