"""LRM, the paper's network: image tokens -> cross-attention decoder over triplane tokens -> planes.

Learned triplane tokens attend to every image token (patches are kept; a global pooled vector, as in
the outline's sketch, is models/pooled.py), then a transposed convolution upsamples each plane.

Source: Hong et al. 2023, arXiv 2311.04400.
"""

from __future__ import annotations

import dataclasses
from dataclasses import asdict, dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from models.attention import Attention
from models.blocks import CrossAttention, DecoderBlock, Mlp, camera_embedder, upsample_tokens
from models.conventions import Conventions
from models.efficientnet import BLOCKS, EfficientNetLite0
from models.field import FieldDecoder, FieldSpec, Triplane
from models.lift import DetailLift, TokenLift
from models.normalize import ImageNormalize
from models.positions import triplane_code
from models.render import RenderSpec
from models.vit import ViT, ViTConfig

FEATURE_BLOCK, FEATURE_STRIDE = 10, 16  # the last block of EfficientNet-Lite0 at a sixteenth of the side


@dataclass(frozen=True)
class LRMConfig:
    image_size: int = 128
    encoder: ViTConfig = dataclasses.field(default_factory=ViTConfig)
    width: int = 256  # of the triplane tokens
    depth: int = 5
    heads: int = 4
    mlp_ratio: float = 4.0
    plane_tokens: int = 8  # tokens along a plane's side
    upsample: int = 4  # kernel and stride of the transposed convolution
    plane_channels: int = 24
    lift: bool = False  # patch tokens are also added to the triplane tokens at their place
    pretrained: bool = False  # ImageNet features are added to the patches (models/efficientnet.py)
    detail_width: int = 0  # > 0: so are convolutional features of this width to the planes
    camera_width: int = 0  # > 0: the decoder is modulated by an embedded source camera
    field: FieldSpec = dataclasses.field(default_factory=FieldSpec)
    render: RenderSpec = dataclasses.field(default_factory=RenderSpec)
    mesh_threshold: float = 10.0
    foreground_ratio: float = 0.85

    @staticmethod
    def from_json(data: dict) -> LRMConfig:
        nested = {"encoder": ViTConfig, "field": FieldSpec, "render": RenderSpec}
        parts = {k: nested[k](**v) if k in nested else v for k, v in data.items()}
        return LRMConfig(**parts)

    def to_json(self) -> dict:
        return asdict(self) | {"field": self.field.to_json(), "render": self.render.to_json()}

    @property
    def plane_resolution(self) -> int:
        return self.plane_tokens * self.upsample


class LRM(nn.Module):
    """image [B, 3, S, S], sRGB in [0, 1] -> planes [B, 3, C, H, W], H = W = tokens * upsample.

    `camera` [B, 16] (3 x 4 camera-to-world, row-major, then fx, fy, cx, cy in picture units) is
    needed exactly if the configuration has a camera_width.
    """

    family = "lrm"
    conventions = Conventions()

    def __init__(self, config: LRMConfig) -> None:
        super().__init__()
        self.config = config
        self.normalize = ImageNormalize()
        self.encoder = ViT(config.encoder)
        self.features = PatchFeatures(config.encoder) if config.pretrained else None
        code = triplane_code(config.field.axes, config.plane_tokens, config.width)
        self.tokens = nn.Parameter(code[None])
        self.camera_embed = camera_embedder(config.camera_width) if config.camera_width else None
        self.blocks = nn.ModuleList(_decoder_block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        k = config.upsample
        self.upsample = nn.ConvTranspose2d(config.width, config.plane_channels, k, k)
        nn.init.normal_(self.upsample.weight, std=config.width**-0.5)  # features of unit variance
        self.lift, self.detail = _lifts(config)
        self.decoder = FieldDecoder(config.field)

    def forward(self, image: Tensor, camera: Tensor | None = None) -> Tensor:
        if (camera is None) != (self.camera_embed is None):
            need = "no camera" if self.camera_embed is None else "a camera [B, 16]"
            raise ValueError(f"camera: this configuration takes {need}")
        condition = None if self.camera_embed is None else self.camera_embed(camera)
        features = None if self.features is None else self.features(image)
        image = self.normalize(image)
        context = self.encoder(image, features)
        x = self.tokens.expand(image.shape[0], -1, -1)
        if self.lift is not None:
            x = x + self.lift(context[:, 1:])
        for block in self.blocks:
            x = block(x, context, condition)
        planes = self._planes(self.norm(x))
        return planes if self.detail is None else planes + self.detail(image)

    def _planes(self, tokens: Tensor) -> Tensor:
        """[B, 3 n n, D] -> [B, 3, C, H, W]; token order is plane, row, column."""
        return upsample_tokens(tokens, self.config.plane_tokens, self.upsample)

    def field(self, planes: Tensor) -> Triplane:
        return Triplane(planes, self.decoder)


class PatchFeatures(nn.Module):
    """image [B, 3, S, S], sRGB in [0, 1] -> one row per patch [B, (S / patch)^2, width].

    The picture is enlarged until the network's stride is one patch.
    """

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.network = EfficientNetLite0((FEATURE_BLOCK,))
        self.proj = nn.Linear(BLOCKS[FEATURE_BLOCK].out, config.width)

    def forward(self, image: Tensor) -> Tensor:
        side = image.shape[-1] // self.patch_size * FEATURE_STRIDE
        large = F.interpolate(image, size=(side, side), mode="bilinear", align_corners=False)
        (features,) = self.network(large)
        return self.proj(features.flatten(2).transpose(1, 2))


def _decoder_block(config: LRMConfig) -> DecoderBlock:
    cross = CrossAttention(config.width, config.encoder.width, config.heads)
    attn = Attention(config.width, config.heads)
    mlp = Mlp(config.width, int(config.width * config.mlp_ratio))
    return DecoderBlock(cross, attn, mlp, config.camera_width)


def _lifts(config: LRMConfig) -> tuple[TokenLift | None, DetailLift | None]:
    """Raises ValueError where the picture's grid does not fit the planes'."""
    axes, patches = config.field.axes, config.image_size // config.encoder.patch_size
    if config.lift and patches != config.plane_tokens:
        raise ValueError(
            f"lift: needs as many tokens as patches a side, got {config.plane_tokens}, {patches}"
        )
    token_lift = TokenLift(config.encoder.width, config.width, axes) if config.lift else None
    side = config.plane_tokens * config.upsample
    halvings = (config.image_size // side).bit_length() - 1
    if config.detail_width and side << halvings != config.image_size:
        raise ValueError(
            f"detail_width: needs planes that halve the picture, got sides {side}, {config.image_size}"
        )
    if not config.detail_width:
        return token_lift, None
    return token_lift, DetailLift(halvings, config.detail_width, config.plane_channels, axes)
