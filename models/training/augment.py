"""Augmentation: deformed and mirrored objects, changed colours, input pictures that are rolled or stand on
a tint. Everything is drawn for a batch at once.

A change that belongs to the object (deformation, mirror, colours) is made to pictures, cameras and points
alike; one that belongs to the photographer (roll, background, scale of the crop) to the input picture alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from models.camera import rotation_y


@dataclass(frozen=True)
class Augmentation:
    mirror: float = 0.5  # probability
    stretch: float = 0.0  # along the vertical and two level axes, each times e^(+- this)
    lean: float = 0.0  # what is 1 higher stands up to this further aside
    permute_channels: float = 0.2  # probability
    gain: float = 0.0  # each channel times 1 +- this
    gamma: float = 0.0  # all channels to the power 2^(+- this)
    scale: float = 0.08  # the subject fills foreground_ratio times 1 +- this of its crop
    roll: float = 0.0  # degrees, +- : in-plane
    tint: float = 0.0  # probability that the input stands on a light colour instead of white

    @property
    def growth(self) -> float:
        """How much larger a deformed object may look than the one that was pictured: wider, and nearer."""
        return math.exp(2 * self.stretch) * (1 + self.lean)


@dataclass(frozen=True)
class Recolor:
    """A change of colours for each object of a batch, to be made to all its pictures and points."""

    order: Tensor  # int [B, 3] of the channels
    gain: Tensor  # [B, 3]
    power: Tensor  # [B, 1]

    def __call__(self, rgb: Tensor) -> Tensor:
        """[B, ..., 3] sRGB in [0, 1] -> the same."""
        order, gain, power = (
            t.view(len(t), *[1] * (rgb.ndim - 2), -1) for t in (self.order, self.gain, self.power)
        )
        return (rgb.gather(-1, order.expand_as(rgb)) * gain).pow(power).clamp(0, 1)


def random_recolor(options: Augmentation, count: int, generator: torch.Generator) -> Recolor:
    order = torch.rand((count, 3), generator=generator, device=generator.device).argsort(-1)
    permuted = chance(options.permute_channels, count, generator)[:, None]
    order = torch.where(permuted, order, torch.arange(3, device=generator.device))
    gain = 1 + options.gain * spread((count, 3), generator)
    return Recolor(order, gain, 2 ** (options.gamma * spread((count, 1), generator)))


def random_deformation(options: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """[B, 3, 3]: x -> matrix x; upright things stay upright, or lean a little."""
    turn = rotation_y(math.pi * spread((count,), generator))[:, :3, :3]
    stretch = torch.exp(options.stretch * spread((count, 3), generator))
    matrix = turn.mT @ (stretch[..., None] * turn)
    aside = options.lean * spread((count, 2), generator)
    shear = torch.eye(3, device=generator.device).repeat(count, 1, 1)
    shear[:, 0, 1], shear[:, 2, 1] = aside[:, 0], aside[:, 1]
    return shear @ matrix


def random_mirror(options: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """bool [B]: whether the object is seen in a mirror standing in the plane x = 0 of its sample."""
    return chance(options.mirror, count, generator)


def random_roll(options: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """Radians [B]."""
    return math.radians(options.roll) * spread((count,), generator)


def random_background(options: Augmentation, count: int, generator: torch.Generator) -> Tensor:
    """[B, 3]: white, or a light colour."""
    tint = 0.75 + 0.25 * spread((count, 3), generator)
    return torch.where(chance(options.tint, count, generator)[:, None], tint, torch.ones_like(tint))


def chance(probability: float, count: int, generator: torch.Generator) -> Tensor:
    """bool [count]"""
    return torch.rand(count, generator=generator, device=generator.device) < probability


def spread(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Evenly in [-1, 1)."""
    return 2 * torch.rand(shape, generator=generator, device=generator.device) - 1
