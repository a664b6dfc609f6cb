"""Transformer parts shared by every network here. Batch first throughout; pre-norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attention


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class GatedMlp(nn.Module):
    """Linear to values and gates (in that order), values times exact GELU of the gates, linear.

    Source: GEGLU of Shazeer 2020 (arXiv 2002.05202).
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 2 * hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        values, gates = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(values * F.gelu(gates))


class LayerScale(nn.Module):
    """A learned factor per channel on a residual branch. Source: Touvron et al. 2021 (arXiv 2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class CrossAttention(Attention):
    """Queries from the triplane tokens, keys and values from the image tokens; to be trained from scratch.

    Where both have one width, queries and keys start with one projection: a token first attends to
    what has a code like its own (models/positions.py), which training then refines.
    Source: Trockman and Kolter 2023, mimetic initialization (arXiv 2305.09828).
    """

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__(width, heads, context_width=context_width, packing="q+kv", bias=False)
        if width == context_width:
            nn.init.normal_(self.to_q.weight, std=width**-0.5)
            with torch.no_grad():
                self.to_kv.weight[:width] = self.to_q.weight


class ModulatedNorm(nn.Module):
    """Layer norm, shifted and scaled by a condition when there is one (adaptive layer norm)."""

    def __init__(self, width: int, condition_width: int = 0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.modulation = nn.Linear(condition_width, 2 * width) if condition_width else None

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """x [B, N, D]; condition [B, K], needed exactly if the module was built with a width."""
        x = self.norm(x)
        if self.modulation is None:
            return x
        shift, scale = self.modulation(F.silu(condition))[:, None].chunk(2, dim=-1)
        return x * (1 + scale) + shift


class DecoderBlock(nn.Module):
    """Triplane tokens attend to the image tokens, then to each other, then an MLP (LRM's order).

    Every norm is modulated where there is a condition.
    """

    def __init__(self, cross: Attention, attn: Attention, mlp: Mlp, condition_width: int = 0) -> None:
        super().__init__()
        width = mlp.fc1.in_features
        self.norm1 = ModulatedNorm(width, condition_width)
        self.cross = cross
        self.norm2 = ModulatedNorm(width, condition_width)
        self.attn = attn
        self.norm3 = ModulatedNorm(width, condition_width)
        self.mlp = mlp

    def forward(self, x: Tensor, context: Tensor, condition: Tensor | None) -> Tensor:
        """x [B, N, D]; context [B, M, E]; condition [B, K] or None -> [B, N, D]."""
        x = x + self.cross(self.norm1(x, condition), context)
        x = x + self.attn(self.norm2(x, condition))
        return x + self.mlp(self.norm3(x, condition))


def camera_embedder(width: int) -> nn.Sequential:
    """Source camera [B, 16] -> condition [B, width]."""
    return nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))


def upsample_tokens(tokens: Tensor, side: int, upsample: nn.ConvTranspose2d) -> Tensor:
    """[B, 3 side side, D], in the order plane, row, column -> planes [B, 3, C, H, W]."""
    maps = tokens.unflatten(1, (3, side, side)).permute(0, 1, 4, 2, 3)  # [B, 3, D, side, side]
    return upsample(maps.flatten(0, 1)).unflatten(0, (-1, 3))
