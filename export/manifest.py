"""The part of engine.json that a checkpoint alone determines (docs/ENGINE.md)."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from export.hashing import sha256
from models.openlrm import source_camera
from models.sources import Source

# Of the public weights, by the beginning of their hub ids.
LICENSES = {"stabilityai/TripoSR": "MIT", "zxhezexin/openlrm-": "CC-BY-NC-4.0"}


def manifest_from_network(
    network: nn.Module, source: Source, *, name: str | None = None, license: str | None = None
) -> dict:
    """name: default the last part of the source's; license: default that of the public weights."""
    config, conventions = network.config, network.conventions
    return {
        "format": "lrm-engine",
        "format_version": 1,
        "model": {
            "name": name or Path(source.name).name,
            "family": network.family,
            "license": license or license_of(source.name),
            "source": {"checkpoint": checkpoint_name(source), "sha256": sha256(source.weights)},
        },
        "input": {
            "size": config.image_size,
            "normalization": "folded",
            "mean": list(conventions.mean),
            "std": list(conventions.std),
            "background": list(conventions.background),
            "foreground_ratio": config.foreground_ratio,
            "framing": conventions.framing,
            "resize": conventions.resize,
            "camera": camera_of(network),
        },
        "triplane": triplane_section(network),
        "field": config.field.to_json(),
        "render": config.render.to_json(),
        "mesh": {"resolution": 256, "threshold": config.mesh_threshold},
        "frame": {"native_to_sdk": [float(x) for x in conventions.native_to_sdk]},
    }


def license_of(source: str) -> str:
    return next((text for start, text in LICENSES.items() if source.startswith(start)), "unknown")


def checkpoint_name(source: Source) -> str:
    """The hub id, or the folder's own name: where it lay is nobody's business."""
    return Path(source.name).name if Path(source.name).exists() else source.name


def camera_of(network: nn.Module) -> list[float] | None:
    """The source camera that the network is exported for, or None where it takes none."""
    distance = getattr(network.config, "camera_distance", None)
    return None if distance is None else source_camera(distance)[0].tolist()


def triplane_section(network: nn.Module) -> dict:
    config = network.config
    side = config.plane_resolution
    return {
        "channels": config.plane_channels, "height": side, "width": side,
        "dtype": "float32", "layout": "[3, C, H, W]",
    }  # fmt: skip
