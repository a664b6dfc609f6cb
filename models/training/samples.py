"""Training samples: objects as their cropped pictures show them, targets around them, labelled points.

A batch is a pure function of (source, options, generator), so that a resumed run sees what an unbroken one
would. It is made on the source's device in one go. Objects may be deformed: the rays of their targets are
those of the stored pictures, moved like the object; the input is resampled (models/training/photograph.py).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from models.training import augment
from models.training.alignment import (
    Crop,
    Similarity,
    affine,
    exact_products,
    frame_of,
    inverse,
    subject_crop,
    transform,
)
from models.training.config import TrainConfig
from models.training.objects import Picked, PicturedObject, Source
from models.training.occupancy import Points, SolidObjects, sample_points
from models.training.photograph import (
    Photograph,
    crop_grid,
    crop_to_subject,
    over,
    photographed,
    resampled,
    stored_places,
)


@dataclass(frozen=True)
class Sample:
    """A batch."""

    image: Tensor  # [B, 3, S, S] sRGB in [0, 1]
    rgba: Tensor  # [B, T, h, w, 4] target views, sRGB in [0, 1], straight alpha
    depth: Tensor  # [B, T, h, w] along the viewing axis, stored world units; 0 = background
    camera_to_world: Tensor  # [B, T, 4, 4] affine, from stored camera space to the sample's native frame
    focal: Tensor  # [B, T] pixels
    points: Points  # native frame of this sample

    def to(self, device: torch.device) -> Sample:
        points = Points(*(getattr(self.points, f.name).to(device) for f in fields(Points)))
        return Sample(*(getattr(self, f.name).to(device) for f in fields(Sample)[:-1]), points)


def combine(batches: list[Sample]) -> Sample:
    """One batch of several; the very one of one."""
    if len(batches) == 1:
        return batches[0]
    points = [torch.cat([getattr(s.points, f.name) for s in batches]) for f in fields(Points)]
    parts = [torch.cat([getattr(s, f.name) for s in batches]) for f in fields(Sample)[:-1]]
    return Sample(*parts, Points(*points))


@exact_products()
def make_batch(
    source: Source, config: TrainConfig, size: int, foreground_ratio: float, count: int,
    generator: torch.Generator,
) -> Sample:  # fmt: skip
    """A random view each of `count` random objects, its input picture [3, size, size], and `config.views`
    targets."""
    picked, options = _pick(source, config.views, count, generator), config.augment
    recolor = augment.random_recolor(options, count, generator)
    rgba = picked.images.float() / 255
    rgba = torch.cat([recolor(rgba[..., :3]), rgba[..., 3:]], -1)
    deformation = affine(augment.random_deformation(options, count, generator))
    mirrored = augment.random_mirror(options, count, generator)
    photograph = photographed(deformation, picked.camera_to_world[:, 0])
    ratio = foreground_ratio * (1 + options.scale * augment.spread((count,), generator))
    crop, frame = _crop_and_frame(picked, photograph, deformation, ratio.clamp(max=1.0), options.growth)
    grid = crop_grid(crop, size, augment.random_roll(options, count, generator))
    places = stored_places(photograph, grid, rgba.shape[2], picked.focal[:, 0], 1 / options.growth)
    image = over(rgba[:, 0], places, augment.random_background(options, count, generator))
    image = torch.where(mirrored[:, None, None, None], image.flip(-1), image)
    matrix = _reflection(mirrored) @ frame.matrix @ deformation
    solid = solid_objects(picked, matrix, recolor)
    return Sample(
        image, rgba[:, 1:], picked.depth[:, 1:], matrix[:, None] @ picked.camera_to_world[:, 1:],
        picked.focal[:, 1:], sample_points(solid, config.points, generator),
    )  # fmt: skip


def _pick(source: Source, targets: int, count: int, generator: torch.Generator) -> Picked:
    """Random objects: first an input-like view, then the targets."""
    draw = {"generator": generator, "device": generator.device}
    objects = torch.randint(source.objects, (count,), **draw)
    first = torch.randint(max(1, source.views // 2), (count, 1), **draw)
    return source.pick(objects, torch.cat([first, torch.randint(source.views, (count, targets), **draw)], 1))


def _crop_and_frame(
    picked: Picked, photograph: Photograph, deformation: Tensor, ratio: Tensor, growth: float
) -> tuple[Crop, Similarity]:
    """Of the photograph, which has the size of the stored picture and 1 / growth of its focal length."""
    alpha = picked.images[:, 0, None, ..., 3].float() / 255
    side, focal = alpha.shape[-1], picked.focal[:, 0]
    middle = torch.full_like(ratio, side / 2)
    grid = crop_grid(Crop(middle, middle, 2 * middle), side, torch.zeros_like(ratio))
    seen = resampled(alpha, stored_places(photograph, grid, side, focal, 1 / growth))
    crop = subject_crop(seen[:, 0], ratio)
    surface = transform(deformation, picked.surface)
    return crop, frame_of(crop, side, photograph.camera_to_world, focal / growth, surface)


def _reflection(mirrored: Tensor) -> Tensor:
    """[B, 4, 4]: x -> -x where `mirrored` [B]."""
    matrix = torch.eye(4, device=mirrored.device).repeat(len(mirrored), 1, 1)
    matrix[:, 0, 0] = 1 - 2 * mirrored.float()
    return matrix


def solid_objects(picked: Picked, matrix: Tensor, recolor=lambda rgb: rgb) -> SolidObjects:
    """Moved by matrix [B, 4, 4] into the frames of their samples."""
    back = inverse(matrix)
    return SolidObjects(
        transform(matrix, picked.surface), recolor(picked.colors.float() / 255),
        lambda points: picked.inside(transform(back, points)),
    )  # fmt: skip


def input_frame(obj: PicturedObject, view: int, ratio: float) -> tuple[Crop, Similarity]:
    """The crop of a view in which the subject fills `ratio`, and the frame that belongs to it."""
    alpha = obj.images[view, ..., 3].float() / 255
    crop = subject_crop(alpha, ratio)
    pose, focal = obj.camera_to_world[view], obj.focal[view]
    return crop, frame_of(crop, alpha.shape[0], pose, focal, obj.surface.float())


def input_view(obj: PicturedObject, view: int, size: int, ratio: float) -> tuple[Tensor, Similarity]:
    """The cropped picture [3, size, size] as inference makes it, and its frame."""
    crop, frame = input_frame(obj, view, ratio)
    return crop_to_subject(obj.rgba(view), size, crop), frame
