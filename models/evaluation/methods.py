"""What is judged: an engine through the SDK, and two baselines that know nothing about shapes.

A method gets an input picture (uint8 RGBA [S, S, 4]) and gives something that can be drawn and has a
surface, in the frame of models/training/alignment.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import trimesh
from skimage.measure import marching_cubes

from lrm_sdk import Camera, EmptySurfaceError, Reconstructor, Scene
from models.evaluation.measures import Picture
from models.training.alignment import inverse, subject_crop, transform
from models.training.objects import PackedRenders
from models.training.photograph import crop_to_subject
from models.training.samples import input_frame

SURFACE_POINTS = 16384
MEAN_RESOLUTION = 48  # voxels a side of the mean object
MEAN_OBJECTS = 64  # that it is the mean of
SAMPLES = 96  # on a ray through the mean object


class Reconstruction(Protocol):
    def draw(self, camera_to_world: np.ndarray, focal: float, side: int) -> Picture: ...

    def surface(self) -> np.ndarray:
        """Points [N, 3] on it; N = 0 if it has none."""


class EngineMethod:
    """An engine directory through lrm_sdk, as users run it."""

    def __init__(self, folder: Path) -> None:
        self.reconstructor = Reconstructor(folder)

    def __call__(self, picture: np.ndarray) -> EngineReconstruction:
        return EngineReconstruction(self.reconstructor.run(picture))


class EngineReconstruction:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def draw(self, camera_to_world: np.ndarray, focal: float, side: int) -> Picture:
        camera = Camera(camera_to_world, intrinsics=(focal, focal, side / 2, side / 2))
        frame = self.scene.render(camera, size=(side, side), background=(1, 1, 1))
        return Picture(frame.rgb, frame.alpha, frame.depth)

    def surface(self) -> np.ndarray:
        try:
            mesh = self.scene.mesh(normals=False, colors=False)
        except EmptySurfaceError:
            return np.zeros((0, 3))
        return sample_surface(mesh.vertices, mesh.faces)


class CardMethod:
    """The input picture on a card that stands in the middle of the box and faces +Z."""

    def __init__(self, size: int, foreground_ratio: float) -> None:
        self.size, self.ratio = size, foreground_ratio

    def __call__(self, picture: np.ndarray) -> CardReconstruction:
        rgba = torch.from_numpy(picture.astype(np.float32) / 255)
        crop = subject_crop(rgba[..., 3], self.ratio)
        hole = torch.cat([torch.zeros_like(rgba[..., :3]), rgba[..., 3:]], -1)  # black on white
        color, opacity = crop_to_subject(rgba, self.size, crop), 1 - crop_to_subject(hole, self.size, crop)
        return CardReconstruction(color.permute(1, 2, 0).numpy(), opacity[0].numpy())


class CardReconstruction:
    """color [S, S, 3] over white, alpha [S, S]; the card spans [-1, 1]^2."""

    def __init__(self, color: np.ndarray, alpha: np.ndarray) -> None:
        self.color, self.alpha = color, alpha

    def draw(self, camera_to_world: np.ndarray, focal: float, side: int) -> Picture:
        origins, directions = camera_rays(camera_to_world, focal, side)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = -origins[..., 2] / directions[..., 2]
            x, y = (origins + t[..., None] * directions)[..., :2].transpose(2, 0, 1)
        met = (t > 0) & (np.abs(x) < 1) & (np.abs(y) < 1)
        n = len(self.alpha)
        column = ((np.where(met, x, 0) + 1) / 2 * n).astype(int)
        row = ((1 - np.where(met, y, 0)) / 2 * n).astype(int).clip(0, n - 1)
        rgb = np.where(met[..., None], self.color[row, column], 1.0)
        alpha = np.where(met, self.alpha[row, column], 0.0)
        forward = -camera_to_world[:3, 2]
        return Picture(rgb, alpha, np.where(alpha > 0, t * (directions @ forward), 0.0))

    def surface(self) -> np.ndarray:
        n = len(self.alpha)
        row, column = np.nonzero(self.alpha > 0.5)
        x, y = (column + 0.5) / n * 2 - 1, 1 - (row + 0.5) / n * 2
        return np.stack([x, y, np.zeros_like(x)], axis=-1)


class MeanMethod:
    """The mean of training objects, each in the frame of its first view, whatever the picture shows."""

    def __init__(self, training: Path, foreground_ratio: float) -> None:
        data = PackedRenders(training)
        chosen = np.linspace(0, data.objects - 1, min(MEAN_OBJECTS, data.objects)).astype(int)
        line = (torch.arange(MEAN_RESOLUTION) + 0.5) / MEAN_RESOLUTION * 2 - 1
        points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
        total, color = torch.zeros(len(points)), torch.zeros(3)
        for index in chosen.tolist():
            obj = data.object(index)
            _, frame = input_frame(obj, 0, foreground_ratio)
            total += obj.is_inside(transform(inverse(frame.matrix), points))
            color += obj.colors.float().mean(0) / 255
        share = (total / len(chosen)).reshape((MEAN_RESOLUTION,) * 3)
        self.mean = MeanReconstruction(share.numpy(), (color / len(chosen)).numpy())

    def __call__(self, picture: np.ndarray) -> MeanReconstruction:
        return self.mean


class MeanReconstruction:
    """share [n, n, n]: how many of the objects are solid there; color [3]: their mean."""

    def __init__(self, share: np.ndarray, color: np.ndarray) -> None:
        self.share, self.color = share, color

    def draw(self, camera_to_world: np.ndarray, focal: float, side: int) -> Picture:
        """Solid where the share on the ray reaches a half of its greatest: the mean's likeliest shape."""
        origins, directions = camera_rays(camera_to_world, focal, side)
        middle = -(origins * directions).sum(-1)
        t = middle[..., None] + np.linspace(-np.sqrt(3), np.sqrt(3), SAMPLES)
        points = origins[..., None, :] + t[..., None] * directions[..., None, :]
        cell = np.floor((points + 1) / 2 * len(self.share)).astype(int)
        inside = ((cell >= 0) & (cell < len(self.share))).all(-1)
        x, y, z = np.moveaxis(cell.clip(0, len(self.share) - 1), -1, 0)
        solid = inside & (self.share[x, y, z] > self.level)
        alpha = solid.any(-1).astype(np.float64)
        first = np.take_along_axis(t, solid.argmax(-1)[..., None], -1)[..., 0]
        rgb = alpha[..., None] * self.color + (1 - alpha[..., None])
        return Picture(rgb, alpha, alpha * first * (directions @ -camera_to_world[:3, 2]))

    @property
    def level(self) -> float:
        return float(self.share.max()) / 2

    def surface(self) -> np.ndarray:
        vertices, faces, _, _ = marching_cubes(np.pad(self.share, 1), self.level)
        return sample_surface((vertices - 0.5) / len(self.share) * 2 - 1, faces)


def camera_rays(camera_to_world: np.ndarray, focal: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins and unit directions, both [side, side, 3]."""
    line = (np.arange(side) + 0.5 - side / 2) / focal
    x, y = np.meshgrid(line, -line)
    local = np.stack([x, y, -np.ones_like(x)], axis=-1)
    directions = local / np.linalg.norm(local, axis=-1, keepdims=True) @ camera_to_world[:3, :3].T
    return np.broadcast_to(camera_to_world[:3, 3], directions.shape), directions


def sample_surface(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """SURFACE_POINTS points [N, 3], evenly by area."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    return np.asarray(trimesh.sample.sample_surface(mesh, SURFACE_POINTS, seed=0)[0])
