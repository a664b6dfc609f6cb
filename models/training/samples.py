"""One training sample: an object as its cropped picture shows it, targets around it, labelled points.

A sample is a pure function of (source, options, generator), so that a resumed run sees what an
unbroken one would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from models.training.alignment import Crop, Similarity, frame_of, subject_crop
from models.training.augment import Recolor, mirror, random_background, random_recolor, random_roll
from models.training.config import TrainConfig
from models.training.objects import PicturedObject, Source
from models.training.occupancy import DepthViews, Points, SolidObject, is_solid, sample_points

WHITE = 1.0  # input pictures are composited over white, as at inference


@dataclass(frozen=True)
class Sample:
    """With a leading B everywhere it is a batch."""

    image: Tensor  # [3, S, S] sRGB in [0, 1]
    rgba: Tensor  # [T, h, w, 4] target views, sRGB in [0, 1], straight alpha
    depth: Tensor  # [T, h, w] along the viewing axis; 0 = background
    camera_to_world: Tensor  # [T, 4, 4] native frame of this sample
    focal: Tensor  # [T] pixels
    points: Points  # native frame of this sample

    def to(self, device: torch.device) -> Sample:
        points = Points(*(getattr(self.points, f.name).to(device) for f in fields(Points)))
        return Sample(*(getattr(self, f.name).to(device) for f in fields(Sample)[:-1]), points)


def combine(samples: list[Sample], join: Callable[[list[Tensor]], Tensor]) -> Sample:
    """One batch: of samples with torch.stack, of batches with torch.cat."""
    points = [join([getattr(s.points, f.name) for s in samples]) for f in fields(Points)]
    parts = [join([getattr(s, f.name) for s in samples]) for f in fields(Sample)[:-1]]
    return Sample(*parts, Points(*points))


def make_sample(
    source: Source, config: TrainConfig, size: int, foreground_ratio: float, generator: torch.Generator
) -> Sample:
    """A random view of a random object, its input picture [3, size, size], and `config.views` targets."""
    obj = source.object(int(torch.randint(source.objects, (), generator=generator)))
    view = int(torch.randint(max(1, obj.views // 2), (), generator=generator))  # an input-like one
    targets = torch.randint(obj.views, (config.views,), generator=generator).tolist()
    augment = config.augment
    jitter = 1 + augment.scale * (2 * float(torch.rand((), generator=generator)) - 1)
    crop, frame = input_frame(obj, view, min(foreground_ratio * jitter, 1.0))
    recolor = random_recolor(augment, generator)
    picture = _recolored(obj.rgba(view), recolor)
    background = random_background(augment, generator).to(picture.device)
    angle = random_roll(augment, generator)
    image = crop_to_subject(picture, size, crop, background=background, angle=angle)
    solid = labelled_object(obj, frame)
    points = sample_points(solid, config.points, generator)
    sample = Sample(
        image, _recolored(obj.rgba(targets), recolor), obj.depth[targets].float() * frame.scale,
        frame.cameras(obj.camera_to_world[targets]), obj.focal[targets],
        Points(points.positions, points.solid, points.surface, recolor(points.colors)),
    )  # fmt: skip
    return mirror(sample) if float(torch.rand((), generator=generator)) < augment.mirror else sample


def _recolored(rgba: Tensor, recolor: Recolor) -> Tensor:
    return torch.cat([recolor(rgba[..., :3]), rgba[..., 3:]], -1)


def input_frame(obj: PicturedObject, view: int, ratio: float) -> tuple[Crop, Similarity]:
    """The crop of a view in which the subject fills `ratio`, and the frame that belongs to it."""
    alpha = obj.images[view, ..., 3].float() / 255
    crop = subject_crop(alpha, ratio)
    pose, focal = obj.camera_to_world[view], float(obj.focal[view])
    return crop, frame_of(crop, alpha.shape[0], pose, focal, obj.surface.float())


def input_view(obj: PicturedObject, view: int, size: int, ratio: float) -> tuple[Tensor, Similarity]:
    """The cropped picture [3, size, size] as inference makes it, and its frame."""
    crop, frame = input_frame(obj, view, ratio)
    return crop_to_subject(obj.rgba(view), size, crop), frame


def crop_to_subject(
    rgba: Tensor, size: int, crop: Crop, *, background: Tensor | float = WHITE, angle: float = 0.0
) -> Tensor:
    """That square of rgba [S, S, 4], turned by `angle` (radians), over a background -> [3, size, size]."""
    line = ((torch.arange(size, device=rgba.device) + 0.5) / size - 0.5) * crop.side
    y, x = torch.meshgrid(line, line, indexing="ij")
    cosine, sine = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    place = torch.stack([cosine * x - sine * y + crop.x, sine * x + cosine * y + crop.y], -1)
    grid = (place / rgba.shape[0] * 2 - 1)[None]
    color, alpha = rgba[..., :3], rgba[..., 3:]
    layers = torch.cat([color * alpha, alpha], -1).permute(2, 0, 1)[None]  # premultiplied
    layers = F.grid_sample(layers, grid, align_corners=False)[0]
    behind = torch.as_tensor(background, device=rgba.device).expand(3)[:, None, None]
    return layers[:3] + behind * (1 - layers[3:])


def labelled_object(obj: PicturedObject, frame: Similarity) -> SolidObject:
    """The object moved into a sample's frame."""
    if obj.inside is None:
        cameras = frame.cameras(obj.camera_to_world)
        inside = partial(is_solid, views=DepthViews(obj.depth, frame.scale, cameras, obj.focal))
    else:
        inside = partial(_inside_before, obj.inside, frame)
    return SolidObject(frame.points(obj.surface.float()), obj.colors.float() / 255, inside)


def _inside_before(inside, frame: Similarity, points: Tensor) -> Tensor:
    return inside(frame.inverse(points))
