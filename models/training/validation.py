"""How well a run does on pictures as they are: the terms of the loss on a fixed batch without augmentation.

On held-out objects beside training objects they show when a network begins to learn objects by heart.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from models.training.augment import Augmentation
from models.training.config import TrainConfig
from models.training.objective import Objective
from models.training.objects import Source
from models.training.samples import make_batch

OBJECTS, AT_ONCE, SEED = 64, 16, 0
AS_THEY_ARE = Augmentation(mirror=0.0, permute_channels=0.0, scale=0.0)


@torch.no_grad()
def validate(model: nn.Module, config: TrainConfig, source: Source) -> dict[str, float]:
    """Means over OBJECTS random objects, the same at every call."""
    config = dataclasses.replace(config, augment=AS_THEY_ARE, compile=False, lambda_perceptual=0.0)
    objective = Objective(model, config)
    generator = torch.Generator(source.device).manual_seed(SEED)
    picture = (model.config.image_size, model.config.foreground_ratio)
    device = next(model.parameters()).device
    total: dict[str, float] = {}
    for part in range(OBJECTS // AT_ONCE):
        batch = make_batch(source, config, *picture, AT_ONCE, generator).to(device)
        for name, value in objective(batch, config.stage(config.steps), part).items():
            total[name] = total.get(name, 0.0) + value.item() * AT_ONCE / OBJECTS
    return total
