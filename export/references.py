"""Fixed inputs and what the PyTorch model computes from them: verification.safetensors.

Every later form of the network, on every machine, is compared with these numbers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.camera import orbit
from models.field import Triplane
from models.render import render

POINTS = 4096
POINTS_REACH = 1.1  # in radii: some points lie outside the box
RENDER_SIDE = 64  # pixels


def procedural_picture(manifest: dict, index: int = 0) -> np.ndarray:
    """An object of the procedural source as this engine's network would see it, uint8 [S, S, 3]."""
    from lrm_sdk.engine_schema import InputSpec, read_section
    from lrm_sdk.preprocess import prepare
    from models.data.procedural.source import ProceduralObjects

    spec = read_section(InputSpec, manifest["input"], "input")
    views = ProceduralObjects(seed=0, size=spec.size, views=2).object(index).images
    return prepare(views[0].numpy(), spec).picture


def make_references(network: nn.Module, pictures: list[np.ndarray]) -> dict[str, np.ndarray]:
    """pictures: uint8 [S, S, 3], prepared as the network takes them. Shapes: docs/ENGINE.md.

    Points and camera are of the SDK frame; the reference field works in the native one.
    """
    images = np.stack(pictures)
    spec, radius = network.config.render, network.config.field.radius
    native_to_sdk = torch.tensor(network.conventions.native_to_sdk).double().reshape(4, 4)
    rotation = native_to_sdk[:3, :3]  # every family's frame is a turned SDK frame
    camera = orbit(30, 20, distance=3.0 * radius, fov=40, size=(RENDER_SIDE, RENDER_SIDE))
    native_camera = replace(camera, camera_to_world=native_to_sdk.T @ camera.camera_to_world)
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand((POINTS, 3), generator=generator) * 2 - 1) * POINTS_REACH * radius
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        planes = torch.cat([network(i[None]) for i in inputs])  # one by one, for the memory's sake
        decoder = network.decoder.double()
        fields = [Triplane(p[None].double(), decoder) for p in planes]
        queries = [f.query(points.double()[None] @ rotation) for f in fields]
        renders = [render(f, native_camera, spec)[0] for f in fields]
        network.decoder.float()
    tensors = {
        "planes": planes,
        "points": points,
        "density": torch.cat([q[0] for q in queries]),
        "rgb": torch.cat([q[1] for q in queries]),
        "camera_to_world": camera.camera_to_world,
        "intrinsics": torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy]),
        "render": torch.stack(renders),
    }
    arrays = {"image": images} | {k: v.float().numpy() for k, v in tensors.items()}
    # safetensors writes memory as it lies and takes no note of strides.
    return {k: np.ascontiguousarray(v) for k, v in arrays.items()}


def load_pictures(paths: list[Path], manifest: dict) -> list[np.ndarray]:
    """Pictures prepared exactly as the SDK prepares them for this engine."""
    from lrm_sdk.preprocess import prepare_file

    return [prepare_file(path, manifest["input"]) for path in paths]
