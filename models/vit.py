"""Vision transformer with the layout of DINO and DINOv2: class token, learned positions, all tokens returned.

Sources: Dosovitskiy et al. 2021 (arXiv 2010.11929); Caron et al. 2021 (DINO, arXiv 2104.14294); Oquab
et al. 2023 (DINOv2, arXiv 2304.07193); Darcet et al. 2023 (registers, arXiv 2309.16588).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attention
from models.blocks import LayerScale, Mlp
from models.positions import picture_code

# How learned positions are resampled to another grid, all bicubic with half-pixel centres: to the size;
# to the size with the scale that transformers 4.35 takes (see POSITION_OFFSET); to the size, antialiased.
RESAMPLINGS = ("bicubic", "bicubic_offset", "bicubic_antialias")
# DINO's guard against a size that rounds down: it makes the scale (n + 0.1) / grid, which moves every
# sample position, and so is part of what networks trained on it expect.
POSITION_OFFSET = 0.1


@dataclass(frozen=True)
class ViTConfig:
    width: int = 192
    depth: int = 4
    heads: int = 3
    patch_size: int = 16
    image_size: int = 128  # the size that the position embedding is learned at
    mlp_ratio: float = 4.0
    norm_eps: float = 1e-6
    packing: str = "qkv"  # of the attention's projections (models/attention.py)
    resampling: str = "bicubic"  # of the position embedding, one of RESAMPLINGS
    layer_scale: bool = False
    registers: int = 0  # extra tokens, without position; not returned

    def __post_init__(self) -> None:
        if self.resampling not in RESAMPLINGS:
            raise ValueError(f"resampling: expected one of {', '.join(RESAMPLINGS)}, got {self.resampling!r}")


class Block(nn.Module):
    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        width, eps = config.width, config.norm_eps
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(width, config.heads, packing=config.packing)
        self.scale1 = LayerScale(width) if config.layer_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = Mlp(width, round(width * config.mlp_ratio))
        self.scale2 = LayerScale(width) if config.layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.scale1(self.attn(self.norm1(x)))
        return x + self.scale2(self.mlp(self.norm2(x)))


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
        self.register_tokens = (
            nn.Parameter(torch.zeros(1, config.registers, config.width)) if config.registers else None
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=config.norm_eps)

    def forward(self, image: Tensor, features: Tensor | None = None) -> Tensor:
        """features [B, (S / patch)^2, width], upper row first, are added to the patches."""
        height, width = image.shape[-2:]
        patch = self.config.patch_size
        if height % patch or width % patch:
            raise ValueError(f"image: expected sides divisible by {patch}, got {height} x {width}")
        x = self.patch_embed(image)  # [B, D, h, w]
        rows, columns = x.shape[-2:]
        x = x.flatten(2).transpose(1, 2)  # [B, h w, D]
        if features is not None:
            x = x + features
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
        x = x + self.positions((rows, columns))
        if self.register_tokens is not None:
            x = torch.cat([x[:, :1], self.register_tokens.expand(x.shape[0], -1, -1), x[:, 1:]], dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return torch.cat([x[:, :1], x[:, 1 + self.config.registers :]], dim=1) if self.config.registers else x

    def positions(self, size: tuple[int, int]) -> Tensor:
        """The position embedding [1, 1 + rows * columns, D] for a grid of patches (rows, columns)."""
        return resample_positions(self.pos_embed, self.grid, size, self.config.resampling)


def resample_positions(
    pos_embed: Tensor, grid: int, size: tuple[int, int], resampling: str = "bicubic"
) -> Tensor:
    """[1, 1 + grid^2, D] -> [1, 1 + rows * columns, D]; the class token's stays."""
    if size == (grid, grid):
        return pos_embed
    first, rest = pos_embed[:, :1], pos_embed[:, 1:]
    table = rest.reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    if resampling == "bicubic_offset":
        scale = [(n + POSITION_OFFSET) / grid for n in size]
        table = F.interpolate(table, scale_factor=scale, mode="bicubic", align_corners=False)
    else:
        antialias = resampling == "bicubic_antialias"
        table = F.interpolate(table, size=size, mode="bicubic", align_corners=False, antialias=antialias)
    return torch.cat([first, table.flatten(2).transpose(1, 2)], dim=1)
