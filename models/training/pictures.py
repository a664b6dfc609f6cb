"""A picture grid for the eye: per object a row of the input, and twice target, render, depth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from models.camera import Camera
from models.render import RenderSpec, render
from models.training.objects import PicturedObject, Source
from models.training.samples import input_view

PREVIEW = RenderSpec(samples=64)  # enough to look at
SIDE = 96  # pixels
ROWS = 8


def save_grid(model: nn.Module, source: Source, path: Path) -> None:
    """Of objects evenly from the source."""
    count = min(ROWS, source.objects)
    with torch.no_grad():
        rows = [_row(model, source.object(i * source.objects // count)) for i in range(count)]
    picture = torch.cat(rows, dim=0).clamp(0, 1).mul(255).round().to(torch.uint8)
    temporary = path.with_name(path.name + ".part")
    Image.fromarray(picture.cpu().numpy()).save(temporary, format="PNG")
    temporary.replace(path)


def _row(model: nn.Module, obj: PicturedObject) -> Tensor:
    """[SIDE, 7 SIDE, 3]"""
    config, device = model.config, next(model.parameters()).device
    image, frame = input_view(obj, 0, config.image_size, config.foreground_ratio)
    field = model.field(model(image[None].to(device)))
    tiles = [_resize(image.permute(1, 2, 0))]
    for view in (1, obj.views // 3 + 1):
        rgba = obj.rgba(view)
        tiles.append(_resize(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]))
        pose = frame.cameras(obj.camera_to_world[view, None])[0].to(device)
        focal = float(obj.focal[view]) * SIDE / rgba.shape[0]
        camera = Camera(pose, focal, focal, SIDE / 2, SIDE / 2, SIDE, SIDE)
        rgb, alpha, depth = render(field, camera, PREVIEW)
        tiles += [rgb.cpu(), _gray(depth, alpha, pose[:3, 3].norm()).cpu()]
    return torch.cat(tiles, dim=1)


def _gray(depth: Tensor, alpha: Tensor, distance: Tensor) -> Tensor:
    """Depth [H, W] as nearness: white where the box begins, black where it ends or nothing is."""
    near = (1.2 - (depth - distance)) / 2.4
    return (near.clamp(0, 1) * alpha)[..., None].expand(-1, -1, 3)


def _resize(picture: Tensor) -> Tensor:
    array = (picture.clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)
    resized = Image.fromarray(array).resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(resized).astype(np.float32) / 255)
