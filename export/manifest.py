"""The part of engine.json that a checkpoint alone determines (docs/ENGINE.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import nn

from export.hashing import sha256
from models.normalize import IMAGENET_MEAN, IMAGENET_STD


def manifest_from_network(network: nn.Module, *, name: str, license: str, source: Path) -> dict:
    config = network.config
    return {
        "format": "lrm-engine",
        "format_version": 1,
        "model": {
            "name": name,
            "family": network.family,
            "license": license,
            "source": {"checkpoint": source.name, "sha256": sha256(source / "model.safetensors")},
        },
        "input": {
            "size": config.image_size,
            "normalization": "folded",
            "mean": list(IMAGENET_MEAN),
            "std": list(IMAGENET_STD),
            "background": [1.0, 1.0, 1.0],
            "foreground_ratio": config.foreground_ratio,
            "resize": "area",
            "camera": None,
        },
        "triplane": triplane_section(network),
        "field": config.field.to_json(),
        "render": config.render.to_json(),
        "mesh": {"resolution": 256, "threshold": config.mesh_threshold},
        "frame": {"native_to_sdk": np.eye(4).reshape(-1).tolist()},
    }


def triplane_section(network: nn.Module) -> dict:
    config = network.config
    if network.family == "lrm":
        side = config.plane_tokens * config.upsample
    else:
        side = config.plane_resolution
    return {
        "channels": config.plane_channels, "height": side, "width": side,
        "dtype": "float32", "layout": "[3, C, H, W]",
    }  # fmt: skip
