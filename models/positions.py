"""Sine-cosine codes of positions, to start learned embeddings from.

Tokens that start as small noise are all alike after the first attention, and a network trained from
scratch spends its first thousand steps telling them apart.

Source: Vaswani et al. 2017 (arXiv 1706.03762); in two dimensions He et al. 2022 (MAE, arXiv 2111.06377).
"""

from __future__ import annotations

import torch
from torch import Tensor

SLOWEST = 64.0  # ratio of the fastest frequency to the slowest


def line_code(count: int, width: int) -> Tensor:
    """[count, width] for `count` cell centres on [-1, 1]; width even."""
    center = (torch.arange(count) + 0.5) / count * 2 - 1
    octave = torch.arange(width // 2) / max(1, width // 2 - 1)
    angle = center[:, None] * count * torch.pi / 2 * SLOWEST**-octave
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def grid_code(rows: int, columns: int, width: int) -> Tensor:
    """[rows * columns, width]: half of the width for the row, half for the column."""
    row, column = _half(rows, width), _half(columns, width)
    code = torch.cat([row[:, None].expand(-1, columns, -1), column[None].expand(rows, -1, -1)], dim=-1)
    return _padded(code.flatten(0, 1), width)


def triplane_code(axes: tuple[str, str, str], count: int, width: int) -> Tensor:
    """[3 * count^2, width]: a third of the width for each of x, y, z; zeros for the axis a plane lacks.

    A coordinate has one code in both planes that share it. Token order is plane, row, column.
    """
    third = width // 6 * 2
    line = line_code(count, third)
    planes = []
    for across, along in axes:
        parts = {axis: line.new_zeros(count, count, third) for axis in "xyz"}
        parts[along] = line[:, None].expand(-1, count, -1)
        parts[across] = line[None].expand(count, -1, -1)
        planes.append(torch.cat([parts[a] for a in "xyz"], dim=-1).flatten(0, 1))
    return _padded(torch.cat(planes), width)


def _half(count: int, width: int) -> Tensor:
    return line_code(count, width // 4 * 2)


def _padded(code: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(code, (0, width - code.shape[-1]))
