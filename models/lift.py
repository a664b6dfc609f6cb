"""Shortcuts from the picture to the planes: what a patch shows is added where it stands in the box.

Cross-attention can learn this, but from scratch it takes it thousands of steps to tell places apart.
The picture faces the box (models/training/alignment.py), so its column is x and its row is y; a plane
that has only one of the two gets the mean over the other. Compare the pixel-aligned features of PIFu
(Saito et al. 2019, arXiv 1905.05172).
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def spread(picture: Tensor, axes: str) -> Tensor:
    """[B, D, n, n], rows along y and columns along x, both growing -> the same shape on the plane `axes`.

    axes: two of x, y, z: what runs along the plane's columns, then what along its rows.
    """
    if set(axes) == set("xy"):
        return picture if axes == "xy" else picture.transpose(-1, -2)
    lines = {"x": picture.mean(-2), "y": picture.mean(-1)}  # [B, D, n]
    across, along = axes
    line = lines[across][..., None, :] if across in lines else lines[along][..., :, None]
    return line.expand_as(picture)


class TokenLift(nn.Module):
    """Patch tokens [B, n n, E], upper row first -> additions to triplane tokens [B, 3 n n, D]."""

    def __init__(self, encoder_width: int, width: int, axes: tuple[str, str, str]) -> None:
        super().__init__()
        self.axes = axes
        self.proj = nn.Linear(encoder_width, width)

    def forward(self, patches: Tensor) -> Tensor:
        side = round(patches.shape[1] ** 0.5)
        grid = self.proj(patches).transpose(1, 2).unflatten(2, (side, side)).flip(-2)
        planes = torch.stack([spread(grid, pair) for pair in self.axes], dim=1)  # [B, 3, D, n, n]
        return planes.permute(0, 1, 3, 4, 2).flatten(1, 3)


class DetailLift(nn.Module):
    """Picture [B, 3, S, S] -> additions to planes [B, 3, C, H, H]: a small convolutional pyramid."""

    def __init__(self, halvings: int, width: int, channels: int, axes: tuple[str, str, str]) -> None:
        super().__init__()
        self.axes = axes
        widths = [3, *(max(width >> (halvings - 1 - i), 8) for i in range(halvings))]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise(widths))
        self.mix = nn.Conv2d(width, width, 3, 1, 1)
        self.proj = nn.Conv2d(width, 3 * channels, 1)

    def forward(self, picture: Tensor) -> Tensor:
        x = picture
        for conv in (*self.down, self.mix):
            x = F.gelu(conv(x))
        maps = self.proj(x).flip(-2).chunk(3, dim=1)
        return torch.stack([spread(m, pair) for m, pair in zip(maps, self.axes, strict=True)], dim=1)
