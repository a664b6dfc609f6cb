"""Objects to learn from: pictures of each from known cameras, and points of its surface."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.training.occupancy import is_solid


@dataclass(frozen=True)
class PicturedObject:
    """The first half of the views are like input pictures. World: +Y up."""

    images: Tensor  # uint8 [V, S, S, 4], sRGB with straight alpha
    depth: Tensor  # any float [V, S, S] along the viewing axis, world units; 0 = background
    camera_to_world: Tensor  # [V, 4, 4]
    focal: Tensor  # [V] pixels
    surface: Tensor  # any float [Q, 3] world
    colors: Tensor  # uint8 [Q, 3] sRGB of those points
    inside: Callable[[Tensor], Tensor] | None = None  # world [P, 3] -> bool [P]; None: read off the depth

    @property
    def views(self) -> int:
        return len(self.images)

    def rgba(self, view: int | list[int]) -> Tensor:
        """[S, S, 4] or [T, S, S, 4], in [0, 1]."""
        return self.images[view].float() / 255

    def is_inside(self, points: Tensor) -> Tensor:
        """World [P, 3] -> bool [P]."""
        if self.inside is not None:
            return self.inside(points)
        views = (self.depth[None], self.camera_to_world[None], self.focal[None])
        return is_solid(points[None], *views)[0]


@dataclass(frozen=True)
class Picked:
    """A batch: of each object K views, and all of its shape. World units as in PicturedObject."""

    images: Tensor  # uint8 [B, K, S, S, 4]
    depth: Tensor  # [B, K, S, S]
    camera_to_world: Tensor  # [B, K, 4, 4]
    focal: Tensor  # [B, K]
    surface: Tensor  # [B, Q, 3]
    colors: Tensor  # uint8 [B, Q, 3]
    inside: Callable[[Tensor], Tensor]  # world [B, P, 3] -> bool [B, P]


class Source(Protocol):
    """Where objects come from; `object(i)` is the same whenever it is asked for."""

    objects: int
    views: int  # of each
    side: int  # of their square pictures, pixels
    device: torch.device

    def object(self, index: int) -> PicturedObject: ...

    def pick(self, objects: Tensor, views: Tensor) -> Picked:
        """objects int [B], views int [B, K], on the source's device."""


def pick_views(objects: list[PicturedObject], views: Tensor) -> Picked:
    """views int [B, K] of objects that are at hand."""

    def stack(name: str) -> Tensor:
        return torch.stack([getattr(obj, name)[v] for obj, v in zip(objects, views, strict=True)])

    return Picked(
        stack("images"), stack("depth").float(), stack("camera_to_world"), stack("focal"),
        torch.stack([obj.surface for obj in objects]).float(), torch.stack([obj.colors for obj in objects]),
        lambda points: torch.stack([o.is_inside(p) for o, p in zip(objects, points, strict=True)]),
    )  # fmt: skip


class PackedRenders:
    """What models/data/pack.py wrote; arrays are memory-mapped and read as they are touched, or on a GPU."""

    def __init__(self, folder: Path | str, device: torch.device | str = "cpu") -> None:
        folder = Path(folder)
        if not (folder / "images.npy").is_file():
            raise FileNotFoundError(f"{folder}: expected packed renders (python -m models.data.pack)")
        self.device = torch.device(device)
        self._images = self._read(folder / "images.npy")  # [O, V, S, S, 4] uint8
        self._depth = self._read(folder / "depth.npy")  # [O, V, S, S] float16
        self._surface = self._read(folder / "surface.npy")  # [O, Q, 3] float16
        self._colors = self._read(folder / "colors.npy")  # [O, Q, 3] uint8
        cameras = np.load(folder / "cameras.npz", allow_pickle=False)  # noqa: TID251
        self._camera_to_world = torch.from_numpy(cameras["c2w"]).float().to(self.device)
        self._focal = torch.from_numpy(cameras["focal_px"]).float().to(self.device)
        self.names: list[str] = json.loads((folder / "names.json").read_text())
        self.objects, self.views, self.side = self._images.shape[:3]

    def _read(self, path: Path) -> Tensor:
        """Mapped copy on write: PyTorch refuses memory that it may not write to, and nothing here writes."""
        return torch.from_numpy(np.lib.format.open_memmap(path, "c")).to(self.device)

    def object(self, index: int) -> PicturedObject:
        return PicturedObject(
            self._images[index], self._depth[index], self._camera_to_world[index], self._focal[index],
            self._surface[index], self._colors[index],
        )  # fmt: skip

    def pick(self, objects: Tensor, views: Tensor) -> Picked:
        rows = objects[:, None]
        cameras, focal = self._camera_to_world[objects], self._focal[objects]
        return Picked(
            self._images[rows, views], self._depth[rows, views].float(),
            self._camera_to_world[rows, views], self._focal[rows, views],
            self._surface[objects].float(), self._colors[objects],
            partial(is_solid, depth=self._depth[objects], cameras=cameras, focal=focal),
        )  # fmt: skip
