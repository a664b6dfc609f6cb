"""PooledLRM: the literal network of the LRM outline.

Image tokens (all of them, not only the class token) -> transformer encoder (batch first) -> global
mean -> one linear head per plane to C x 64 x 64 -> bilinear upsampling. Features are summed, a
3-layer ReLU MLP gives density and colour, planes are sampled with align_corners, density is a relu,
and rays run from near to far. The paper's own network is models/lrm.py.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.conventions import Conventions
from models.field import FieldDecoder, FieldSpec, Triplane
from models.normalize import ImageNormalize
from models.render import RenderSpec
from models.vit import ViT, ViTConfig

PLANE_RESOLUTIONS = (128, 256, 512)
HEAD_RESOLUTION = 64  # of each linear head, before upsampling


def _outline_field() -> FieldSpec:
    return FieldSpec(
        align_corners=True, reduction="sum", widths=(32, 64, 64, 4), activation="relu",
        density_activation="relu",
    )  # fmt: skip


def _outline_render() -> RenderSpec:
    return RenderSpec(
        ray_range="near_far", samples=64, near=1.0, far=5.0, last_delta=1e10, background=(0, 0, 0)
    )


@dataclass(frozen=True)
class PooledLRMConfig:
    image_size: int = 256
    encoder: ViTConfig = dataclasses.field(default_factory=lambda: ViTConfig(768, 12, 12, 16, 256))
    depth: int = 12
    heads: int = 12
    plane_channels: int = 32
    plane_resolution: int = 256
    field: FieldSpec = dataclasses.field(default_factory=_outline_field)
    render: RenderSpec = dataclasses.field(default_factory=_outline_render)
    mesh_threshold: float = 10.0
    foreground_ratio: float = 0.85

    def __post_init__(self) -> None:
        if self.plane_resolution not in PLANE_RESOLUTIONS:
            allowed = ", ".join(map(str, PLANE_RESOLUTIONS))
            raise ValueError(f"plane_resolution: expected {allowed}, got {self.plane_resolution}")

    @staticmethod
    def from_json(data: dict) -> PooledLRMConfig:
        nested = {"encoder": ViTConfig, "field": FieldSpec, "render": RenderSpec}
        parts = {k: nested[k](**v) if k in nested else v for k, v in data.items()}
        return PooledLRMConfig(**parts)

    def to_json(self) -> dict:
        return asdict(self) | {"field": self.field.to_json(), "render": self.render.to_json()}


class PooledLRM(nn.Module):
    """image [B, 3, S, S], sRGB in [0, 1] -> planes [B, 3, C, R, R]."""

    family = "pooled-lrm"
    conventions = Conventions()

    def __init__(self, config: PooledLRMConfig) -> None:
        super().__init__()
        self.config = config
        self.normalize = ImageNormalize()
        self.encoder = ViT(config.encoder)
        width = config.encoder.width
        layer = nn.TransformerEncoderLayer(width, config.heads, 4 * width, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        size = config.plane_channels * HEAD_RESOLUTION**2
        self.heads = nn.ModuleDict({plane: nn.Linear(width, size) for plane in config.field.axes})
        self.decoder = FieldDecoder(config.field)

    def forward(self, image: Tensor) -> Tensor:
        pooled = self.transformer(self.encoder(self.normalize(image))).mean(dim=1)  # [B, D]
        shape = (self.config.plane_channels, HEAD_RESOLUTION, HEAD_RESOLUTION)
        size = (self.config.plane_resolution,) * 2
        planes = [head(pooled).unflatten(1, shape) for head in self.heads.values()]
        planes = [F.interpolate(p, size, mode="bilinear", align_corners=False) for p in planes]
        return torch.stack(planes, dim=1)

    def field(self, planes: Tensor) -> Triplane:
        return Triplane(planes, self.decoder)
