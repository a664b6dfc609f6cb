"""TripoSR's public checkpoints: config.yaml + model.ckpt (VAST-AI-Research/TripoSR @ d26e331).

The image encoder's sizes are not in the checkpoint folder (config.yaml names a second repository that
has them), so they are read off its tensors; the width of its heads is 64 in every DINO.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace

from torch import Tensor, nn

from models.readers.keys import KeyMap, assign, count, field_rules, shape_of
from models.readers.options import ReadOptions
from models.sources import CheckpointError, Source
from models.triposr import DINO, FIELD, TripoSR, TripoSRConfig
from models.vit import ViTConfig

DESCRIPTION = "TripoSR (config.yaml + model.ckpt)"
ENCODER_HEAD_WIDTH = 64

_ENCODER = "image_tokenizer.model"
_LAYER = f"{_ENCODER}.encoder.layer.{{}}"
_BLOCK = "backbone.transformer_blocks.{}"
KEYS = KeyMap(
    [
        (f"{_ENCODER}.embeddings.cls_token", "encoder.cls_token"),
        (f"{_ENCODER}.embeddings.position_embeddings", "encoder.pos_embed"),
        (f"{_ENCODER}.embeddings.patch_embeddings.projection", "encoder.patch_embed"),
        (f"{_LAYER}.attention.attention.query", "encoder.blocks.{}.attn.to_q"),
        (f"{_LAYER}.attention.attention.key", "encoder.blocks.{}.attn.to_k"),
        (f"{_LAYER}.attention.attention.value", "encoder.blocks.{}.attn.to_v"),
        (f"{_LAYER}.attention.output.dense", "encoder.blocks.{}.attn.proj"),
        (f"{_LAYER}.intermediate.dense", "encoder.blocks.{}.mlp.fc1"),
        (f"{_LAYER}.output.dense", "encoder.blocks.{}.mlp.fc2"),
        (f"{_LAYER}.layernorm_before", "encoder.blocks.{}.norm1"),
        (f"{_LAYER}.layernorm_after", "encoder.blocks.{}.norm2"),
        (f"{_ENCODER}.layernorm", "encoder.norm"),
        ("tokenizer.embeddings", "tokens"),
        ("backbone.norm", "norm"),
        ("backbone.proj_in", "proj_in"),
        (f"{_BLOCK}.norm1", "blocks.{}.norm1"),
        (f"{_BLOCK}.attn1.to_q", "blocks.{}.attn.to_q"),
        (f"{_BLOCK}.attn1.to_k", "blocks.{}.attn.to_k"),
        (f"{_BLOCK}.attn1.to_v", "blocks.{}.attn.to_v"),
        (f"{_BLOCK}.attn1.to_out.0", "blocks.{}.attn.proj"),
        (f"{_BLOCK}.norm2", "blocks.{}.norm2"),
        (f"{_BLOCK}.attn2.to_q", "blocks.{}.cross.to_q"),
        (f"{_BLOCK}.attn2.to_k", "blocks.{}.cross.to_k"),
        (f"{_BLOCK}.attn2.to_v", "blocks.{}.cross.to_v"),
        (f"{_BLOCK}.attn2.to_out.0", "blocks.{}.cross.proj"),
        (f"{_BLOCK}.norm3", "blocks.{}.norm3"),
        (f"{_BLOCK}.ff.net.0.proj", "blocks.{}.mlp.fc1"),
        (f"{_BLOCK}.ff.net.2", "blocks.{}.mlp.fc2"),
        ("backbone.proj_out", "proj_out"),
        ("post_processor.upsample", "upsample"),
        *field_rules("decoder.layers"),
    ]
)
UNUSED = r"image_tokenizer\.model\.pooler\.dense\.(weight|bias)"


def matches(config: dict, tensors: dict[str, Tensor]) -> bool:
    return "tokenizer.embeddings" in tensors or "image_tokenizer_cls" in config


def read(source: Source, tensors: dict[str, Tensor], options: ReadOptions) -> nn.Module:
    config = _configuration(source, tensors)
    if options.camera_distance is not None:
        raise CheckpointError(f"{source.name}: camera_distance: TripoSR takes no camera; leave it out")
    if options.image_size is not None:
        config = replace(config, image_size=options.image_size)
    return assign(lambda: TripoSR(config), tensors, KEYS, source.name, unused=UNUSED)


def _configuration(source: Source, tensors: dict[str, Tensor]) -> TripoSRConfig:
    values = resolve_references(source.config)

    def get(place: str):
        value = _lookup(values, place)
        if value is None:
            raise CheckpointError(f"{source.name}: config.yaml: {place} is missing")
        return value

    try:
        hidden = [int(get("decoder.n_neurons"))] * int(get("decoder.n_hidden_layers"))
        field = replace(
            FIELD,
            radius=float(get("renderer.radius")),
            reduction=get("renderer.feature_reduction"),
            widths=(int(get("decoder.in_channels")), *hidden, 4),
            activation=get("decoder.activation"),
            density_activation=get("renderer.density_activation"),
            density_bias=float(get("renderer.density_bias")),
        )
        return TripoSRConfig(
            image_size=int(get("cond_image_size")),
            encoder=_encoder(tensors, source.name),
            width=int(get("tokenizer.num_channels")),
            heads=int(get("backbone.num_attention_heads")),
            head_width=int(get("backbone.attention_head_dim")),
            depth=int(get("backbone.num_layers")),
            plane_tokens=int(get("tokenizer.plane_size")),
            plane_channels=int(get("post_processor.out_channels")),
            field=field,
            render=replace(TripoSRConfig().render, samples=int(get("renderer.num_samples_per_ray"))),
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{source.name}: config.yaml: {error}") from error


def _encoder(tensors: dict[str, Tensor], source: str) -> ViTConfig:
    prefix = "image_tokenizer.model."
    patch = shape_of(tensors, prefix + "embeddings.patch_embeddings.projection.weight", 4, source)
    tokens = shape_of(tensors, prefix + "embeddings.position_embeddings", 3, source)[1]
    hidden = shape_of(tensors, prefix + "encoder.layer.0.intermediate.dense.weight", 2, source)[0]
    return replace(
        DINO,
        width=patch[0],
        depth=count(tensors, r"image_tokenizer\.model\.encoder\.layer\.(\d+)\..*"),
        heads=max(1, patch[0] // ENCODER_HEAD_WIDTH),
        patch_size=patch[2],
        image_size=math.isqrt(tokens - 1) * patch[2],
        mlp_ratio=hidden / patch[0],
    )


def _lookup(values: dict, place: str):
    for name in place.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def resolve_references(values: dict) -> dict:
    """Replaces `${section.key}` (OmegaConf's interpolation, which YAML readers leave as text)."""

    def resolve(value, depth: int = 0):
        if isinstance(value, dict):
            return {k: resolve(v) for k, v in value.items()}
        match = re.fullmatch(r"\$\{([\w.]+)\}", value) if isinstance(value, str) else None
        # A chain longer than there are values goes in a circle.
        return resolve(_lookup(values, match[1]), depth + 1) if match and depth < len(values) else value

    return resolve(values)
