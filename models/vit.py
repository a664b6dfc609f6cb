"""Vision transformer with DINO's layout: class token, learned positions, all tokens returned.

Source: Dosovitskiy et al. 2021 (arXiv 2010.11929); Caron et al. 2021 (DINO, arXiv 2104.14294).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.blocks import Mlp, SelfAttention
from models.positions import picture_code


@dataclass(frozen=True)
class ViTConfig:
    width: int = 192
    depth: int = 4
    heads: int = 3
    patch_size: int = 16
    image_size: int = 128  # the size that the position embedding is learned at
    mlp_ratio: float = 4.0


class Block(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = SelfAttention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Mlp(config.width, int(config.width * config.mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """image [B, 3, S, S], normalised -> tokens [B, 1 + (S / patch)^2, width], class token first."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = config
        self.grid = config.image_size // config.patch_size
        self.patch_embed = nn.Conv2d(3, config.width, config.patch_size, config.patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        code = picture_code(self.grid, self.grid, config.width)
        self.pos_embed = nn.Parameter(torch.cat([torch.zeros(1, config.width), code])[None])
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"image: expected sides divisible by {patch}, got {height} x {width}")
        x = self.patch_embed(image)  # [B, D, h, w]
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)  # [B, h w, D]
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + resample_positions(self.pos_embed, self.grid, (rows, columns))
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def resample_positions(pos_embed: Tensor, grid: int, size: tuple[int, int]) -> Tensor:
    """[1, 1 + grid^2, D] -> [1, 1 + rows * columns, D], bicubic; the class token's stays."""
    if size == (grid, grid):
        return pos_embed
    first, rest = pos_embed[:, :1], pos_embed[:, 1:]
    table = rest.reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    table = F.interpolate(table, size=size, mode="bicubic", align_corners=False)
    return torch.cat([first, table.flatten(2).transpose(1, 2)], dim=1)
