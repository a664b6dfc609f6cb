"""Multi-head attention over tokens, batch first, with the packings that checkpoints store.

Source: Vaswani et al. 2017 (arXiv 1706.03762).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Which projections share one matrix, rows in this order. Weights are used as they are stored, so that a
# checkpoint that is mapped into memory is not copied to be repacked.
PACKINGS = ("qkv", "q+kv", "q+k+v")


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Multi-head attention on projected tokens. q [B, N, D]; k, v [B, M, D] -> [B, N, D]."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    trains_on_cpu = q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled()
    attention = explicit_attention if trains_on_cpu else F.scaled_dot_product_attention
    return attention(q, k, v).transpose(1, 2).flatten(2)


def explicit_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Two matrix products and a softmax. q [B, h, N, d]; k, v [B, h, M, d] -> [B, h, N, d].

    PyTorch's fused one is slow to differentiate in bfloat16 on a CPU: forward and backward pass of a network
    of 7 million parameters took 512 ms with it, 266 ms with this (one core with AMX).
    """
    return ((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)).softmax(-1) @ v


class Attention(nn.Module):
    """x [B, N, width] attends to context [B, M, context_width], or to itself -> [B, N, width].

    Raises ValueError if the heads do not divide the width, or if one matrix is to project tokens of
    two widths.
    """

    def __init__(
        self, width: int, heads: int, *, context_width: int | None = None, packing: str = "qkv",
        bias: bool = True, proj_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        context_width = context_width or width
        if width % heads:
            raise ValueError(f"heads: expected a divisor of the width {width}, got {heads}")
        if packing not in PACKINGS:
            raise ValueError(f"packing: expected one of {', '.join(PACKINGS)}, got {packing!r}")
        if packing == "qkv" and context_width != width:
            raise ValueError(f"packing qkv: needs a context of width {width}, got {context_width}")
        self.heads = heads
        self.packing = packing
        if packing == "qkv":
            self.qkv = nn.Linear(width, 3 * width, bias=bias)
        else:
            self.to_q = nn.Linear(width, width, bias=bias)
            if packing == "q+kv":
                self.to_kv = nn.Linear(context_width, 2 * width, bias=bias)
            else:
                self.to_k = nn.Linear(context_width, width, bias=bias)
                self.to_v = nn.Linear(context_width, width, bias=bias)
        self.proj = nn.Linear(width, width, bias=proj_bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.proj(attend(*self._project(x, context), self.heads))

    def _project(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        if self.packing == "qkv":
            return self._project_packed(x, context)
        context = x if context is None else context
        if self.packing == "q+kv":
            return self.to_q(x), *self.to_kv(context).chunk(2, dim=-1)
        return self.to_q(x), self.to_k(context), self.to_v(context)

    def _project_packed(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        if context is None:
            return self.qkv(x).chunk(3, dim=-1)
        rows = [x.shape[-1], 2 * x.shape[-1]]
        q_weight, kv_weight = self.qkv.weight.split(rows)
        q_bias, kv_bias = (None, None) if self.qkv.bias is None else self.qkv.bias.split(rows)
        return F.linear(x, q_weight, q_bias), *F.linear(context, kv_weight, kv_bias).chunk(2, dim=-1)
