"""Sine-cosine codes of positions, to start learned embeddings from.

Tokens that start as small noise are all alike after the first attention, and a network trained from
scratch spends its first thousand steps telling them apart. One layout for pictures and planes: a
third of the width for each of x, y and z (the SDK frame; the picture lies in z = 0), zeros for a
coordinate that a token does not have. So a token of plane xy starts with the code of the patch that
shows it, one of xz with that of its column, one of zy with that of its row.

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


def picture_code(rows: int, columns: int, width: int) -> Tensor:
    """[rows * columns, width]; the first row is the upper one, where y is greatest."""
    x, y = line_code(columns, _third(width)), line_code(rows, _third(width)).flip(0)
    return _arranged({"x": x[None].expand(rows, -1, -1), "y": y[:, None].expand(-1, columns, -1)}, width)


def triplane_code(axes: tuple[str, str, str], count: int, width: int) -> Tensor:
    """[3 * count^2, width]; token order is plane, row, column; axes: across, along, per plane."""
    line = line_code(count, _third(width))
    across, along = line[None].expand(count, -1, -1), line[:, None].expand(-1, count, -1)
    return torch.cat([_arranged({pair[0]: across, pair[1]: along}, width) for pair in axes])


def _third(width: int) -> int:
    return width // 6 * 2


def _arranged(codes: dict[str, Tensor], width: int) -> Tensor:
    """[h, w, third] per coordinate -> [h * w, width]."""
    (like, *_) = codes.values()
    joined = torch.cat([codes.get(axis, torch.zeros_like(like)) for axis in "xyz"], dim=-1)
    return torch.nn.functional.pad(joined, (0, width - joined.shape[-1])).flatten(0, 1)
