"""Training batches from packed renders (models/data/pack.py writes them).

A batch is a pure function of (seed, step), so that a resumed run sees what an unbroken one would.
The world is turned about +Y until the input camera stands at azimuth 0: the network reconstructs
what it sees facing +Z.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.camera import rotation_y
from models.training.config import TrainConfig
from models.training.occupancy import Points, sample_points

FOREGROUND_ALPHA = 13  # of 255: below it an edge pixel does not widen the subject's box
WHITE = 1.0  # input pictures are composited over white, as at inference


@dataclass(frozen=True)
class Batch:
    image: Tensor  # [B, 3, S, S] sRGB in [0, 1]
    rgba: Tensor  # [B, T, h, w, 4] target views, sRGB in [0, 1], straight alpha
    depth: Tensor  # [B, T, h, w] along the viewing axis; 0 = background
    camera_to_world: Tensor  # [B, T, 4, 4] native frame of this sample
    focal: Tensor  # [B, T] pixels
    points: Points  # [B, P, ...] native frame of this sample


class PackedRenders:
    """images [O, V, S, S, 4] uint8, depth [O, V, S, S] float16, cameras; all memory-mapped."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.images = np.lib.format.open_memmap(folder / "images.npy", "r")
        self.depth = np.lib.format.open_memmap(folder / "depth.npy", "r")
        cameras = np.load(folder / "cameras.npz", allow_pickle=False)  # noqa: TID251
        self.camera_to_world = torch.from_numpy(cameras["c2w"]).float()
        self.focal = torch.from_numpy(cameras["focal_px"]).float()
        self.names: list[str] = json.loads((folder / "names.json").read_text())

    @property
    def objects(self) -> int:
        return self.images.shape[0]

    @property
    def views(self) -> int:
        return self.images.shape[1]

    def rgba(self, obj: int, view: int) -> Tensor:
        return torch.from_numpy(self.images[obj, view].astype(np.float32) / 255)  # [S, S, 4]

    def all_views(self, obj: int) -> tuple[Tensor, Tensor]:
        """As stored: rgba uint8 [V, S, S, 4] and depth float16 [V, S, S]."""
        return torch.from_numpy(np.array(self.images[obj])), torch.from_numpy(np.array(self.depth[obj]))


def subject_box(alpha: Tensor) -> tuple[float, float, float]:
    """Centre column, centre row and larger side, in pixels, of alpha [S, S] in [0, 1]."""
    inside = alpha * 255 >= FOREGROUND_ALPHA
    columns, rows = inside.any(0).nonzero(), inside.any(1).nonzero()
    if not len(columns):
        side = float(alpha.shape[0])
        return side / 2, side / 2, side
    x0, x1 = columns[0].item(), columns[-1].item() + 1
    y0, y1 = rows[0].item(), rows[-1].item() + 1
    return (x0 + x1) / 2, (y0 + y1) / 2, float(max(x1 - x0, y1 - y0))


def crop_to_subject(rgba: Tensor, size: int, ratio: float) -> Tensor:
    """The subject of rgba [S, S, 4] over white, centred, its larger side `ratio` of the picture.

    Returns [3, size, size].
    """
    x, y, side = subject_box(rgba[..., 3])
    span = side / ratio
    line = (torch.arange(size) + 0.5) / size - 0.5
    source = torch.stack(torch.meshgrid(line * span + y, line * span + x, indexing="ij")[::-1], -1)
    grid = (source / rgba.shape[0] * 2 - 1)[None]
    color, alpha = rgba[..., :3], rgba[..., 3:]
    layers = torch.cat([color * alpha, alpha], -1).permute(2, 0, 1)[None]  # premultiplied
    layers = F.grid_sample(layers, grid, align_corners=False)[0]
    return layers[:3] + WHITE * (1 - layers[3:])


def make_batch(
    data: PackedRenders, config: TrainConfig, step: int, size: int, foreground_ratio: float
) -> Batch:
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    samples = [_sample(data, config, generator, size, foreground_ratio) for _ in range(config.batch)]
    *parts, points = zip(*samples, strict=True)
    fields = [torch.stack([getattr(p, n) for p in points]) for n in Points.__dataclass_fields__]
    return Batch(*(torch.stack(part) for part in parts), Points(*fields))


def _sample(data, config, generator, size, foreground_ratio) -> tuple:
    obj = int(torch.randint(data.objects, (), generator=generator))
    source = int(torch.randint(data.views // 2, (), generator=generator))  # an input-like view
    targets = torch.randint(data.views, (config.views,), generator=generator).tolist()
    ratio = foreground_ratio * (0.92 + 0.16 * float(torch.rand((), generator=generator)))
    rgba, depth = data.all_views(obj)
    image = crop_to_subject(rgba[source].float() / 255, size, min(ratio, 1.0))
    cameras = face_input(data.camera_to_world[obj, source], data.camera_to_world[obj])
    points = sample_points(rgba, depth, cameras, data.focal[obj], config, generator)
    views = (image, rgba[targets].float() / 255, depth[targets].float(), cameras[targets])
    if float(torch.rand((), generator=generator)) < config.mirror:
        views, points = mirror(*views), mirror_points(points)
    image, rgba, depth, cameras = views
    if float(torch.rand((), generator=generator)) < config.permute_channels:
        order = torch.randperm(3, generator=generator)
        image = image[order]
        rgba = torch.cat([rgba[..., :3][..., order], rgba[..., 3:]], -1)
        points = replace(points, colors=points.colors[:, order])
    return image, rgba, depth, cameras, data.focal[obj, targets], points


def face_input(source: Tensor, cameras: Tensor) -> Tensor:
    """Turns cameras [T, 4, 4] about +Y so that the camera `source` [4, 4] stands at azimuth 0."""
    return rotation_y(-torch.atan2(source[0, 3], source[2, 3])) @ cameras


def mirror(image: Tensor, rgba: Tensor, depth: Tensor, cameras: Tensor) -> tuple[Tensor, ...]:
    """The sample seen in a mirror standing in the plane x = 0."""
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    return image.flip(-1), rgba.flip(-2), depth.flip(-1), flip @ cameras @ flip


def mirror_points(points: Points) -> Points:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return replace(points, positions=points.positions * flip, surface=points.surface * flip)
