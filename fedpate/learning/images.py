"""Cheap augmentation: images moved by a few whole pixels, zeros coming in at the edges."""

import torch


def shifted(images: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """Move each image by its own whole number of pixels.

    Args:
      images: (n, channels, rows, columns).
      shifts: (n, 2) integers, pixels down and right.

    Returns:
      Like `images`; what moves in is 0, which is the background after preprocessing.
    """
    n, _, rows, columns = images.shape
    down, right = shifts.long().unbind(dim=1)
    row = torch.arange(rows, device=images.device) - down[:, None]  # (n, rows), where from
    column = torch.arange(columns, device=images.device) - right[:, None]
    row_in, column_in = (row >= 0) & (row < rows), (column >= 0) & (column < columns)
    row, column = row.clamp(0, rows - 1), column.clamp(0, columns - 1)
    picked = torch.arange(n, device=images.device)[:, None, None]
    moved = images[picked, :, row[:, :, None], column[:, None, :]].permute(0, 3, 1, 2)
    return moved * (row_in[:, None, :, None] & column_in[:, None, None, :])
