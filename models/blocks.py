"""Transformer parts shared by every network here. Batch first throughout; pre-norm."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention on projected tokens. q [B, N, D]; k, v [B, M, D] -> [B, N, D]."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """q, k, v in one matrix, in that order (DINO's layout)."""

    def __init__(self, width: int, heads: int, *, bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return self.proj(attend(q, k, v, self.heads))


class CrossAttention(nn.Module):
    """Queries from the triplane tokens, keys and values from the image tokens.

    Where both have one width, queries and keys start with one projection: a token first attends to
    what has a code like its own (models/positions.py), which training then refines.
    Source: Trockman and Kolter 2023, mimetic initialization (arXiv 2305.09828).
    """

    def __init__(self, width: int, context_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(context_width, 2 * width, bias=False)
        self.proj = nn.Linear(width, width)
        if width == context_width:
            nn.init.normal_(self.to_q.weight, std=width**-0.5)
            with torch.no_grad():
                self.to_kv.weight[:width] = self.to_q.weight

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        k, v = self.to_kv(context).chunk(2, dim=-1)
        return self.proj(attend(self.to_q(x), k, v, self.heads))


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
