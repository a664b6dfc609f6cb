"""Objects to learn from: pictures of each from known cameras, and points of its surface."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


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


class Source(Protocol):
    """Where objects come from; `object(i)` is the same whenever it is asked for."""

    objects: int

    def object(self, index: int) -> PicturedObject: ...


class PackedRenders:
    """What models/data/pack.py wrote; arrays are memory-mapped and read as they are touched."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        if not (folder / "images.npy").is_file():
            raise FileNotFoundError(f"{folder}: expected packed renders (python -m models.data.pack)")
        self._images = _map(folder / "images.npy")  # [O, V, S, S, 4] uint8
        self._depth = _map(folder / "depth.npy")  # [O, V, S, S] float16
        self._surface = _map(folder / "surface.npy")  # [O, Q, 3] float16
        self._colors = _map(folder / "colors.npy")  # [O, Q, 3] uint8
        cameras = np.load(folder / "cameras.npz", allow_pickle=False)  # noqa: TID251
        self._camera_to_world = torch.from_numpy(cameras["c2w"]).float()
        self._focal = torch.from_numpy(cameras["focal_px"]).float()
        self.names: list[str] = json.loads((folder / "names.json").read_text())
        self.objects = len(self.names)

    def object(self, index: int) -> PicturedObject:
        return PicturedObject(
            self._images[index], self._depth[index], self._camera_to_world[index], self._focal[index],
            self._surface[index], self._colors[index],
        )  # fmt: skip


def _map(path: Path) -> Tensor:
    """Copy on write: PyTorch refuses memory that it may not write to, and nothing here writes."""
    return torch.from_numpy(np.lib.format.open_memmap(path, "c"))
