"""A run's state: weights, averaged weights, optimiser. Saved atomically, resumed exactly."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import torch
from torch import nn

from models.training.config import TrainConfig


class TrainState:
    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.model, self.config, self.step = model, config, 0
        self.average = copy.deepcopy(model).eval()
        self.optimizer = make_optimizer(model, config)

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a hundredth."""
        c = self.config
        if self.step < c.warmup:
            return c.learning_rate * (self.step + 1) / c.warmup
        done = min(1.0, (self.step - c.warmup) / max(1, c.steps - c.warmup))
        return c.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def update(self) -> float:
        """One optimiser step from the gradients at hand. Returns the norm before clipping."""
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._update_average()
        return float(norm)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)

    def save(self, path: Path) -> None:
        data = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        temporary = path.with_name(path.name + ".part")
        torch.save(data, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        data = torch.load(path, weights_only=True)
        self.step = data["step"]
        self.model.load_state_dict(data["model"])
        self.average.load_state_dict(data["average"])
        self.optimizer.load_state_dict(data["optimizer"])


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW; matrices and kernels decay, vectors (biases, norms) do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)
