"""Augmentation: mirrored objects, changed colours, input pictures that are rolled or stand on a tint.

A change that belongs to the object (mirror, colours) is made to pictures, cameras and points alike; one
that belongs to the photographer (roll, background, scale of the crop) to the input picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from models.training.samples import Sample

Recolor = Callable[[Tensor], Tensor]  # [..., 3] sRGB in [0, 1] -> the same


@dataclass(frozen=True)
class Augmentation:
    mirror: float = 0.5  # probability
    permute_channels: float = 0.2  # probability
    gain: float = 0.0  # each channel times 1 +- this
    gamma: float = 0.0  # all channels to the power 2^(+- this)
    scale: float = 0.08  # the subject fills foreground_ratio times 1 +- this of its crop
    roll: float = 0.0  # degrees, +- : in-plane
    tint: float = 0.0  # probability that the input stands on a light colour instead of white


def random_recolor(options: Augmentation, generator: torch.Generator) -> Recolor:
    """One change of colours, to be made to every picture and point of a sample."""
    permuted = _uniform(generator) < options.permute_channels
    order = torch.randperm(3, generator=generator) if permuted else torch.arange(3)
    gain = 1 + options.gain * (2 * torch.rand(3, generator=generator) - 1)
    power = 2 ** (options.gamma * (2 * _uniform(generator) - 1))

    def recolor(rgb: Tensor) -> Tensor:
        if permuted:
            rgb = rgb[..., order.to(rgb.device)]
        if options.gain:
            rgb = rgb * gain.to(rgb.device)
        return (rgb.pow(power) if options.gamma else rgb).clamp(0, 1)

    return recolor


def random_roll(options: Augmentation, generator: torch.Generator) -> float:
    """Radians."""
    return math.radians(options.roll) * (2 * _uniform(generator) - 1)


def random_background(options: Augmentation, generator: torch.Generator) -> Tensor:
    """[3]: white, or a light colour."""
    tinted = _uniform(generator) < options.tint
    return 1 - 0.5 * torch.rand(3, generator=generator) if tinted else torch.ones(3)


def mirror(sample: Sample) -> Sample:
    """The sample seen in a mirror standing in the plane x = 0."""
    flip = torch.tensor([-1.0, 1.0, 1.0], device=sample.image.device)
    turn = torch.diag(torch.cat([flip, flip.new_ones(1)]))
    points = replace(
        sample.points, positions=sample.points.positions * flip, surface=sample.points.surface * flip
    )
    return replace(
        sample, image=sample.image.flip(-1), rgba=sample.rgba.flip(-2), depth=sample.depth.flip(-1),
        camera_to_world=turn @ sample.camera_to_world @ turn, points=points,
    )  # fmt: skip


def _uniform(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))
