"""A picture grid for the eye: per object a row of input, target, render, target, render."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.camera import Camera
from models.render import RenderSpec, render
from models.training.dataset import PackedRenders, input_view

PREVIEW = RenderSpec(samples=64)  # enough to look at
SIDE = 96  # pixels


def save_grid(model: nn.Module, data: PackedRenders, objects: list[int], path: Path) -> None:
    with torch.no_grad():
        rows = [_row(model, data, o) for o in objects]
    picture = torch.cat(rows, dim=0).clamp(0, 1).mul(255).round().to(torch.uint8)
    Image.fromarray(picture.numpy()).save(path)


def _row(model: nn.Module, data: PackedRenders, obj: int) -> Tensor:
    """[SIDE, 5 SIDE, 3]"""
    config = model.config
    image, frame = input_view(data, obj, 0, config.image_size, config.foreground_ratio)
    field = model.field(model(image[None]))
    tiles = [_resize(image.permute(1, 2, 0))]
    for view in (1, data.views // 3):
        rgba = data.rgba(obj, view)
        tiles.append(_resize(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]))
        pose = frame.cameras(data.camera_to_world[obj, view, None])[0]
        focal = float(data.focal[obj, view]) * SIDE / rgba.shape[0]
        camera = Camera(pose, focal, focal, SIDE / 2, SIDE / 2, SIDE, SIDE)
        tiles.append(render(field, camera, PREVIEW)[0])
    return torch.cat(tiles, dim=1)


def _resize(picture: Tensor) -> Tensor:
    array = (picture.clamp(0, 1).numpy() * 255).astype(np.uint8)
    resized = Image.fromarray(array).resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(resized).astype(np.float32) / 255)
