"""OpenLRM 1.1: DINOv2's image tokens -> camera-modulated decoder over triplane tokens -> upsampled planes.

Sources: He and Wang 2023, OpenLRM (after Hong et al., arXiv 2311.04400); the checkpoint's keys and the
numbers of the public code (3DTopia/OpenLRM @ 3108b69). models/readers/openlrm.py has the public keys.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from models.attention import Attention
from models.blocks import DecoderBlock, Mlp, camera_embedder, upsample_tokens
from models.conventions import Conventions
from models.field import FieldDecoder, FieldSpec, Triplane
from models.render import RenderSpec
from models.vit import ViT, ViTConfig

UPSAMPLE = 2  # kernel and stride of the transposed convolution
MLP_RATIO = 4
# The camera that the public models expect the picture to come from: fx, fy, cx, cy in picture units.
SOURCE_INTRINSICS = (0.75, 0.75, 0.5, 0.5)
CAMERA_DISTANCE = 2.0

DINOV2 = ViTConfig(
    width=768, depth=12, heads=12, patch_size=14, image_size=518, resampling="bicubic_antialias",
    layer_scale=True, registers=4,
)  # fmt: skip
FIELD = FieldSpec(
    radius=1.0, axes=("xy", "xz", "zy"), widths=(144, 64, 64, 64, 4), activation="relu",
    density_activation="softplus", density_bias=-1.0, color_widen=0.001, outside="empty",
)  # fmt: skip


@dataclass(frozen=True)
class OpenLRMConfig:
    image_size: int = 336
    encoder: ViTConfig = DINOV2
    width: int = 768  # of the triplane tokens
    depth: int = 12
    heads: int = 12
    camera_width: int = 1024
    camera_distance: float = (
        CAMERA_DISTANCE  # of the source camera from the object, if no other camera is given
    )
    plane_tokens: int = 32  # tokens along a plane's side
    plane_channels: int = 48
    field: FieldSpec = FIELD
    render: RenderSpec = dataclasses.field(default_factory=lambda: RenderSpec(samples=96))
    mesh_threshold: float = 3.0
    foreground_ratio: float = 0.85

    @staticmethod
    def from_json(data: dict) -> OpenLRMConfig:
        nested = {"encoder": ViTConfig, "field": FieldSpec, "render": RenderSpec}
        return OpenLRMConfig(**{k: nested[k](**v) if k in nested else v for k, v in data.items()})

    def to_json(self) -> dict:
        return asdict(self) | {"field": self.field.to_json(), "render": self.render.to_json()}

    @property
    def plane_resolution(self) -> int:
        return self.plane_tokens * UPSAMPLE


def source_camera(distance: float) -> Tensor:
    """[1, 16]: 3 x 4 camera-to-world, row-major, of a camera at (0, -distance, 0) that looks along +y
    with z up; then fx, fy, cx, cy in picture units."""
    pose = [1, 0, 0, 0, 0, 0, -1, -distance, 0, 1, 0, 0]
    return torch.tensor([[*pose, *SOURCE_INTRINSICS]], dtype=torch.float32, device="cpu")


class OpenLRM(nn.Module):
    """image [B, 3, S, S], sRGB in [0, 1], over white -> planes [B, 3, C, H, W], H = W = 2 * tokens.

    `camera` [B or 1, 16] is the picture's (see source_camera), by default at the configured distance.
    """

    family = "openlrm"
    # Native x points right as seen in the picture, y away from its camera, z up.
    conventions = Conventions(
        resize="bicubic_align_corners", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
        native_to_sdk=(1, 0, 0, 0, 0, 0, 1, 0, 0, -1, 0, 0, 0, 0, 0, 1),
    )  # fmt: skip

    def __init__(self, config: OpenLRMConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ViT(config.encoder)
        self.camera_embed = camera_embedder(config.camera_width)
        self.tokens = nn.Parameter(
            torch.randn(1, 3 * config.plane_tokens**2, config.width) * config.width**-0.5
        )
        self.blocks = nn.ModuleList(_decoder_block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.upsample = nn.ConvTranspose2d(config.width, config.plane_channels, UPSAMPLE, UPSAMPLE)
        self.decoder = FieldDecoder(config.field)

    def condition(self, camera: Tensor | None = None) -> Tensor:
        """Embedded source camera, [B or 1, camera_width]."""
        if camera is None:
            camera = source_camera(self.config.camera_distance).to(self.tokens)
        return self.camera_embed(camera)

    def forward(self, image: Tensor, camera: Tensor | None = None) -> Tensor:
        context = self.encoder(image)
        condition = self.condition(camera)
        x = self.tokens.expand(image.shape[0], -1, -1)
        for block in self.blocks:
            x = block(x, context, condition)
        return upsample_tokens(self.norm(x), self.config.plane_tokens, self.upsample)

    def field(self, planes: Tensor) -> Triplane:
        return Triplane(planes, self.decoder)


def _decoder_block(config: OpenLRMConfig) -> DecoderBlock:
    width, context = config.width, config.encoder.width
    # The public checkpoints pack the cross-attention where one width serves both sides.
    packing = "qkv" if width == context else "q+k+v"
    cross = Attention(
        width, config.heads, context_width=context, packing=packing, bias=False, proj_bias=False
    )
    attn = Attention(width, config.heads, bias=False, proj_bias=False)
    return DecoderBlock(cross, attn, Mlp(width, MLP_RATIO * width), config.camera_width)
