"""TripoSR: DINO's image tokens -> transformer over learned triplane tokens -> upsampled planes.

Sources: Tochilkin et al. 2024 (arXiv 2403.02151); the checkpoint's keys and the numbers of the public
code (VAST-AI-Research/TripoSR @ d26e331). models/readers/triposr.py has the names of the public keys.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from models.attention import Attention
from models.blocks import GatedMlp, upsample_tokens
from models.conventions import Conventions
from models.field import FieldDecoder, FieldSpec, Triplane
from models.normalize import ImageNormalize
from models.render import RenderSpec
from models.vit import ViT, ViTConfig

UPSAMPLE = 2  # kernel and stride of the transposed convolution
GROUPS = 32  # of the norm in front of the transformer
GATED_MLP_RATIO = 4

# DINO ViT-B/16 as transformers 4.35 runs it.
DINO = ViTConfig(
    width=768, depth=12, heads=12, patch_size=16, image_size=224, norm_eps=1e-12, packing="q+k+v",
    resampling="bicubic_offset",
)  # fmt: skip
FIELD = FieldSpec(
    radius=0.87, axes=("xy", "xz", "yz"), widths=(120, *[64] * 9, 4), activation="silu",
    density_activation="exp", density_bias=-1.0,
)  # fmt: skip


@dataclass(frozen=True)
class TripoSRConfig:
    image_size: int = 512
    encoder: ViTConfig = DINO
    width: int = 1024  # of the triplane tokens
    heads: int = 16
    head_width: int = 64  # heads * head_width is the width inside the transformer
    depth: int = 16
    plane_tokens: int = 32  # tokens along a plane's side
    plane_channels: int = 40
    field: FieldSpec = FIELD
    render: RenderSpec = dataclasses.field(
        default_factory=lambda: RenderSpec(step="unit", samples=128, box_scale=0.999)
    )
    mesh_threshold: float = 25.0
    foreground_ratio: float = 0.85

    @staticmethod
    def from_json(data: dict) -> TripoSRConfig:
        nested = {"encoder": ViTConfig, "field": FieldSpec, "render": RenderSpec}
        return TripoSRConfig(**{k: nested[k](**v) if k in nested else v for k, v in data.items()})

    def to_json(self) -> dict:
        return asdict(self) | {"field": self.field.to_json(), "render": self.render.to_json()}

    @property
    def plane_resolution(self) -> int:
        return self.plane_tokens * UPSAMPLE


class Block(nn.Module):
    """Self-attention, cross-attention to the image tokens, gated MLP; layer norm before each."""

    def __init__(self, config: TripoSRConfig) -> None:
        super().__init__()
        width, heads, context = config.heads * config.head_width, config.heads, config.encoder.width
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads, packing="q+k+v", bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.cross = Attention(width, heads, context_width=context, packing="q+k+v", bias=False)
        self.norm3 = nn.LayerNorm(width)
        self.mlp = GatedMlp(width, GATED_MLP_RATIO * width)

    def attend_self(self, x: Tensor) -> Tensor:
        """x [B, N, D] -> [B, N, D]; no picture in it yet."""
        return x + self.attn(self.norm1(x))

    def attend_picture(self, x: Tensor, context: Tensor) -> Tensor:
        """x [B or 1, N, D]; context [B, M, E] -> [B, N, D]."""
        x = x + self.cross(self.norm2(x).expand(context.shape[0], -1, -1), context)
        return x + self.mlp(self.norm3(x))


class TripoSR(nn.Module):
    """image [B, 3, S, S], sRGB in [0, 1], on grey -> planes [B, 3, C, H, W], H = W = 2 * tokens."""

    family = "triposr"
    # Native x points back to the camera of the picture, y right, z up.
    conventions = Conventions(
        background=(0.5, 0.5, 0.5), resize="bilinear_antialias", framing="triposr",
        native_to_sdk=(0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1),
    )  # fmt: skip

    def __init__(self, config: TripoSRConfig) -> None:
        super().__init__()
        self.config = config
        inner = config.heads * config.head_width
        self.normalize = ImageNormalize()
        self.encoder = ViT(config.encoder)
        self.tokens = nn.Parameter(
            torch.randn(3, config.width, config.plane_tokens, config.plane_tokens) * config.width**-0.5
        )
        self.norm = nn.GroupNorm(GROUPS, config.width, eps=1e-6)
        self.proj_in = nn.Linear(config.width, inner)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.proj_out = nn.Linear(inner, config.width)
        self.upsample = nn.ConvTranspose2d(config.width, config.plane_channels, UPSAMPLE, UPSAMPLE)
        self.decoder = FieldDecoder(config.field)

    def start(self) -> Tensor:
        """The tokens up to their first look at a picture, [1, N, heads * head_width]: a constant."""
        learned = self._learned()  # [1, D, N]
        return self.blocks[0].attend_self(self.proj_in(self.norm(learned).transpose(1, 2)))

    def forward(self, image: Tensor, start: Tensor | None = None) -> Tensor:
        """`start`: what start() gives, where it has been computed before."""
        context = self.encoder(self.normalize(image))
        x = self.start() if start is None else start
        for k, block in enumerate(self.blocks):
            x = block.attend_picture(block.attend_self(x) if k else x, context)
        tokens = self.proj_out(x) + self._learned().transpose(1, 2)
        return upsample_tokens(tokens, self.config.plane_tokens, self.upsample)

    def _learned(self) -> Tensor:
        """[1, D, 3 n n], in the order plane, row, column."""
        return self.tokens.transpose(0, 1).flatten(1)[None]

    def field(self, planes: Tensor) -> Triplane:
        return Triplane(planes, self.decoder)
