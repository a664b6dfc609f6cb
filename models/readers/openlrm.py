"""OpenLRM 1.1's public checkpoints: flat config.json + model.safetensors (3DTopia/OpenLRM @ 3108b69).

The encoder's sizes are read off its tensors, so that any DINOv2 will do; heads are 64 wide in all.
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn

from models.openlrm import CAMERA_DISTANCE, DINOV2, FIELD, OpenLRM, OpenLRMConfig
from models.readers.keys import KeyMap, assign, count, field_rules, shape_of
from models.readers.options import ReadOptions
from models.sources import CheckpointError, Source
from models.vit import ViTConfig

DESCRIPTION = "OpenLRM 1.1 (config.json + model.safetensors)"
ENCODER_HEAD_WIDTH = 64
# Transformer width -> side of the source picture; the public code has it in its inference settings
# (configs/infer-s.yaml, -b, -l), not in the checkpoint.
IMAGE_SIZES = {512: 224, 768: 336, 1024: 448}
DEFAULT_IMAGE_SIZE = 224

_BLOCK = "encoder.model.blocks.{}"
_LAYER = "transformer.layers.{}"
KEYS = KeyMap(
    [
        ("encoder.model.cls_token", "encoder.cls_token"),
        ("encoder.model.pos_embed", "encoder.pos_embed"),
        ("encoder.model.register_tokens", "encoder.register_tokens"),
        ("encoder.model.patch_embed.proj", "encoder.patch_embed"),
        (f"{_BLOCK}.norm1", "encoder.blocks.{}.norm1"),
        (f"{_BLOCK}.attn.qkv", "encoder.blocks.{}.attn.qkv"),
        (f"{_BLOCK}.attn.proj", "encoder.blocks.{}.attn.proj"),
        (f"{_BLOCK}.ls1.gamma", "encoder.blocks.{}.scale1.gamma"),
        (f"{_BLOCK}.norm2", "encoder.blocks.{}.norm2"),
        (f"{_BLOCK}.mlp.fc1", "encoder.blocks.{}.mlp.fc1"),
        (f"{_BLOCK}.mlp.fc2", "encoder.blocks.{}.mlp.fc2"),
        (f"{_BLOCK}.ls2.gamma", "encoder.blocks.{}.scale2.gamma"),
        ("encoder.model.norm", "encoder.norm"),
        ("camera_embedder.mlp.0", "camera_embed.0"),
        ("camera_embedder.mlp.2", "camera_embed.2"),
        ("pos_embed", "tokens"),
        (f"{_LAYER}.norm1.norm", "blocks.{}.norm1.norm"),
        (f"{_LAYER}.norm1.mlp.1", "blocks.{}.norm1.modulation"),
        (f"{_LAYER}.cross_attn.q_proj_weight", "blocks.{}.cross.to_q.weight"),
        (f"{_LAYER}.cross_attn.k_proj_weight", "blocks.{}.cross.to_k.weight"),
        (f"{_LAYER}.cross_attn.v_proj_weight", "blocks.{}.cross.to_v.weight"),
        (f"{_LAYER}.cross_attn.in_proj_weight", "blocks.{}.cross.qkv.weight"),
        (f"{_LAYER}.cross_attn.out_proj", "blocks.{}.cross.proj"),
        (f"{_LAYER}.norm2.norm", "blocks.{}.norm2.norm"),
        (f"{_LAYER}.norm2.mlp.1", "blocks.{}.norm2.modulation"),
        (f"{_LAYER}.self_attn.in_proj_weight", "blocks.{}.attn.qkv.weight"),
        (f"{_LAYER}.self_attn.out_proj", "blocks.{}.attn.proj"),
        (f"{_LAYER}.norm3.norm", "blocks.{}.norm3.norm"),
        (f"{_LAYER}.norm3.mlp.1", "blocks.{}.norm3.modulation"),
        (f"{_LAYER}.mlp.0", "blocks.{}.mlp.fc1"),
        (f"{_LAYER}.mlp.3", "blocks.{}.mlp.fc2"),
        ("transformer.norm", "norm"),
        ("upsampler", "upsample"),
        *field_rules("synthesizer.decoder.net"),
    ]
)


def matches(config: dict, tensors: dict[str, Tensor]) -> bool:
    return "upsampler.weight" in tensors or "encoder_model_name" in config


def read(source: Source, tensors: dict[str, Tensor], options: ReadOptions) -> nn.Module:
    config = _configuration(source, tensors, options)
    return assign(lambda: OpenLRM(config), tensors, KEYS, source.name)


def _configuration(source: Source, tensors: dict[str, Tensor], options: ReadOptions) -> OpenLRMConfig:
    values = source.config

    def get(name: str) -> int:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(
                f"{source.name}: config.json: {name}: expected a positive integer, got {value!r}"
            )
        return value

    if values.get("encoder_type", "dinov2") != "dinov2":
        raise CheckpointError(
            f"{source.name}: config.json: encoder_type: expected dinov2, got {values['encoder_type']!r}"
        )
    channels = get("triplane_dim")
    encoder = _encoder(tensors, source.name)
    if get("encoder_feat_dim") != encoder.width:
        raise CheckpointError(
            f"{source.name}: config.json: encoder_feat_dim: its weights have {encoder.width}, "
            f"got {get('encoder_feat_dim')}"
        )
    try:
        return OpenLRMConfig(
            image_size=options.image_size or IMAGE_SIZES.get(get("transformer_dim"), DEFAULT_IMAGE_SIZE),
            encoder=encoder,
            width=get("transformer_dim"),
            depth=get("transformer_layers"),
            heads=get("transformer_heads"),
            camera_width=get("camera_embed_dim"),
            camera_distance=options.camera_distance or CAMERA_DISTANCE,
            plane_tokens=get("triplane_low_res"),
            plane_channels=channels,
            field=replace(FIELD, widths=(3 * channels, *_hidden(tensors), 4)),
            render=replace(OpenLRMConfig().render, samples=get("rendering_samples_per_ray")),
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source.name}: config.json: {error}") from error


def _encoder(tensors: dict[str, Tensor], source: str) -> ViTConfig:
    patch = shape_of(tensors, "encoder.model.patch_embed.proj.weight", 4, source)
    tokens = shape_of(tensors, "encoder.model.pos_embed", 3, source)[1]
    hidden = shape_of(tensors, "encoder.model.blocks.0.mlp.fc1.weight", 2, source)[0]
    registers = tensors.get("encoder.model.register_tokens")
    return replace(
        DINOV2,
        width=patch[0],
        depth=count(tensors, r"encoder\.model\.blocks\.(\d+)\..*"),
        heads=max(1, patch[0] // ENCODER_HEAD_WIDTH),
        patch_size=patch[2],
        image_size=math.isqrt(tokens - 1) * patch[2],
        mlp_ratio=hidden / patch[0],
        registers=0 if registers is None else registers.shape[1],
    )


def _hidden(tensors: dict[str, Tensor]) -> list[int]:
    """Widths of the field's hidden layers, which config.json does not tell."""
    prefix = "synthesizer.decoder.net."
    layers = count(tensors, r"synthesizer\.decoder\.net\.(\d+)\.weight")
    weights = [tensors.get(f"{prefix}{2 * k}.weight") for k in range(layers - 1)]
    return [w.shape[0] for w in weights if w is not None]
