"""Training batches from packed renders (models/data/pack.py writes them).

A batch is a pure function of (seed, step), so that a resumed run sees what an unbroken one would.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.alignment import Crop, Similarity, frame_of, subject_crop
from models.training.config import TrainConfig
from models.training.occupancy import DepthViews, Points, SolidObject, sample_points

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
    """What models/data/pack.py wrote; arrays are memory-mapped."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        self.images = np.lib.format.open_memmap(folder / "images.npy", "r")  # [O, V, S, S, 4] uint8
        self.depth = np.lib.format.open_memmap(folder / "depth.npy", "r")  # [O, V, S, S] float16
        self.surface = np.lib.format.open_memmap(folder / "surface.npy", "r")  # [O, Q, 3] float16
        self.colors = np.lib.format.open_memmap(folder / "colors.npy", "r")  # [O, Q, 3] uint8
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

    def rgba(self, obj: int, view: int | list[int]) -> Tensor:
        """[S, S, 4] or [T, S, S, 4], sRGB and straight alpha in [0, 1]."""
        return torch.from_numpy(self.images[obj, view].astype(np.float32) / 255)

    def depths(self, obj: int) -> Tensor:
        """float16 [V, S, S], 0 = background, in the stored world's units."""
        return torch.from_numpy(np.array(self.depth[obj]))


def crop_to_subject(rgba: Tensor, size: int, crop: Crop) -> Tensor:
    """That square of rgba [S, S, 4] over white, as [3, size, size]."""
    line = ((torch.arange(size) + 0.5) / size - 0.5) * crop.side
    source = torch.stack(torch.meshgrid(line + crop.y, line + crop.x, indexing="ij")[::-1], -1)
    grid = (source / rgba.shape[0] * 2 - 1)[None]
    color, alpha = rgba[..., :3], rgba[..., 3:]
    layers = torch.cat([color * alpha, alpha], -1).permute(2, 0, 1)[None]  # premultiplied
    layers = F.grid_sample(layers, grid, align_corners=False)[0]
    return layers[:3] + WHITE * (1 - layers[3:])


def input_view(
    data: PackedRenders, obj: int, view: int, size: int, ratio: float
) -> tuple[Tensor, Similarity]:
    """The cropped picture [3, size, size] and the frame that belongs to it."""
    rgba = data.rgba(obj, view)
    crop = subject_crop(rgba[..., 3], ratio)
    surface = torch.from_numpy(data.surface[obj].astype(np.float32))
    frame = frame_of(
        crop, rgba.shape[0], data.camera_to_world[obj, view], float(data.focal[obj, view]), surface
    )
    return crop_to_subject(rgba, size, crop), frame


def make_batch(
    data: PackedRenders, config: TrainConfig, step: int, size: int, foreground_ratio: float
) -> Batch:
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    samples = [_sample(data, config, generator, size, foreground_ratio) for _ in range(config.batch)]
    *parts, points = zip(*samples, strict=True)
    stacked = [torch.stack([getattr(p, f.name) for p in points]) for f in fields(Points)]
    return Batch(*(torch.stack(part) for part in parts), Points(*stacked))


def _sample(data, config, generator, size, foreground_ratio) -> tuple:
    obj = int(torch.randint(data.objects, (), generator=generator))
    source = int(torch.randint(data.views // 2, (), generator=generator))  # an input-like view
    targets = torch.randint(data.views, (config.views,), generator=generator).tolist()
    ratio = foreground_ratio * (0.92 + 0.16 * float(torch.rand((), generator=generator)))
    image, frame = input_view(data, obj, source, size, min(ratio, 1.0))
    source_object = labelled_object(data, obj, frame)
    points = sample_points(source_object, config.points, generator)
    seen = source_object.views
    views = (image, data.rgba(obj, targets), seen.unit * seen.depth[targets].float(), seen.cameras[targets])
    if float(torch.rand((), generator=generator)) < config.mirror:
        views, points = mirror(*views), mirror_points(points)
    image, rgba, depth, cameras = views
    if float(torch.rand((), generator=generator)) < config.permute_channels:
        order = torch.randperm(3, generator=generator)
        image = image[order]
        rgba = torch.cat([rgba[..., :3][..., order], rgba[..., 3:]], -1)
        points = replace(points, colors=points.colors[:, order])
    return image, rgba, depth, cameras, data.focal[obj, targets], points


def labelled_object(data: PackedRenders, obj: int, frame: Similarity) -> SolidObject:
    surface = torch.from_numpy(data.surface[obj].astype(np.float32))
    colors = torch.from_numpy(data.colors[obj].astype(np.float32) / 255)
    cameras = frame.cameras(data.camera_to_world[obj])
    views = DepthViews(data.depths(obj), frame.scale, cameras, data.focal[obj])
    return SolidObject(frame.points(surface), colors, views)


def mirror(image: Tensor, rgba: Tensor, depth: Tensor, cameras: Tensor) -> tuple[Tensor, ...]:
    """The sample seen in a mirror standing in the plane x = 0."""
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0]))
    return image.flip(-1), rgba.flip(-2), depth.flip(-1), flip @ cameras @ flip


def mirror_points(points: Points) -> Points:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    return replace(points, positions=points.positions * flip, surface=points.surface * flip)
