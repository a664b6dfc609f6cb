"""What does not depend on the picture, computed once before a network is exported.

Bicubic resampling of position embeddings, TripoSR's first self-attention (learned tokens only) and
OpenLRM's modulation by a source camera that stays the same become constants of the graph. Batch norms become
part of the convolutions before them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.blocks import ModulatedNorm
from models.efficientnet import EfficientNetLite0
from models.vit import ViT


@contextlib.contextmanager
def folded(network: nn.Module) -> Iterator[nn.Module]:
    """A module image -> planes with the constants in place; `network` is as before afterwards."""
    with contextlib.ExitStack() as stack, torch.no_grad():
        for module in list(network.modules()):
            if isinstance(module, ViT):
                stack.enter_context(_fixed_positions(module, network.config.image_size))
            elif isinstance(module, EfficientNetLite0):
                stack.enter_context(_fused_norms(module))
        if hasattr(network, "condition"):
            stack.enter_context(_fixed_modulation(network, network.condition()))
        yield _FixedStart(network).eval() if hasattr(network, "start") else network


class _FixedStart(nn.Module):
    """TripoSR from its first look at the picture on."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("start", network.start())

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image, self.start)


@contextlib.contextmanager
def _fixed_positions(encoder: ViT, size: int) -> Iterator[None]:
    before = encoder.pos_embed, encoder.grid
    grid = size // encoder.config.patch_size
    try:
        encoder.pos_embed, encoder.grid = nn.Parameter(encoder.positions((grid, grid))), grid
        yield
    finally:
        encoder.pos_embed, encoder.grid = before


@contextlib.contextmanager
def _fused_norms(network: nn.Module) -> Iterator[None]:
    """ONNX's own tools would do it, but make float32 of a bfloat16 graph's weights."""
    found = [
        (parent, pair)
        for parent in network.modules()
        for pair in itertools.pairwise(parent.named_children())
        if isinstance(pair[1][1], nn.BatchNorm2d)
    ]
    try:
        for parent, ((conv_name, conv), (norm_name, norm)) in found:
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, nn.Identity())
        yield
    finally:
        for parent, pair in found:
            for name, module in pair:
                setattr(parent, name, module)


class _FixedNorm(nn.Module):
    """(LN(x) w + b) (1 + scale) + shift is a layer norm with other weights."""

    def __init__(self, norm: ModulatedNorm, condition: Tensor) -> None:
        super().__init__()
        shift, scale = norm.modulation(F.silu(condition))[0].chunk(2)
        self.eps = norm.norm.eps
        self.weight = nn.Parameter(norm.norm.weight * (1 + scale))
        self.bias = nn.Parameter(norm.norm.bias * (1 + scale) + shift)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@contextlib.contextmanager
def _fixed_modulation(network: nn.Module, condition: Tensor) -> Iterator[None]:
    found = [
        (p, n, m) for p in network.modules() for n, m in p.named_children() if isinstance(m, ModulatedNorm)
    ]
    try:
        for parent, name, norm in found:
            setattr(parent, name, _FixedNorm(norm, condition))
        yield
    finally:
        for parent, name, norm in found:
            setattr(parent, name, norm)
