"""A run's state: weights, averaged weights, optimiser, scaler. Saved atomically, resumed exactly."""

from __future__ import annotations

import contextlib
import copy
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from models.training.config import TrainConfig
from models.training.objective import Objective
from models.training.optimizers import make_optimizers
from models.training.samples import Sample


class TrainState:
    """`wrap` turns the objective into a distributed one (models/training/processes.py)."""

    def __init__(self, model: nn.Module, config: TrainConfig, wrap=lambda objective: objective) -> None:
        self.model, self.config, self.step = model, config, 0
        self.average = copy.deepcopy(model).eval()
        self.optimizers = make_optimizers(model, config)
        device = next(model.parameters()).device
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")
        self.objective = wrap(Objective(model, config).to(device))

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine to a hundredth."""
        c = self.config
        if self.step < c.warmup:
            return c.learning_rate * (self.step + 1) / c.warmup
        done = min(1.0, (self.step - c.warmup) / max(1, c.steps - c.warmup))
        return c.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def accumulate(self, batches: list[Sample], seeds: list[int]) -> dict[str, Tensor]:
        """Gradients of the mean loss over the micro-batches; returns the mean of every term."""
        stage, total = self.config.stage(self.step), {}
        for number, (batch, seed) in enumerate(zip(batches, seeds, strict=True), 1):
            with self._local(number < len(batches)):
                terms = self.objective(batch, stage, seed)
                self.scaler.scale(terms["loss"] / len(batches)).backward()
            for name, value in terms.items():
                total[name] = total.get(name, 0) + value.detach() / len(batches)
        return total

    def _local(self, wanted: bool):
        """Processes exchange gradients once per step, with the last micro-batch."""
        no_sync = getattr(self.objective, "no_sync", None)
        return no_sync() if wanted and no_sync else contextlib.nullcontext()

    def update(self) -> Tensor:
        """One optimiser step from the gradients at hand. Returns the norm before clipping."""
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate()
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()
        self.step += 1
        self._update_average()
        return norm

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
        means, values = zip(*pairs, strict=True)
        torch._foreach_lerp_(means, values, 1 - decay)

    def save(self, path: Path) -> None:
        data = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
        }
        temporary = path.with_name(path.name + ".part")
        torch.save(data, temporary)
        temporary.replace(path)

    def load(self, path: Path) -> None:
        data = torch.load(path, weights_only=True, map_location="cpu")
        self.step = data["step"]
        for name in ("model", "average", "scaler"):
            getattr(self, name).load_state_dict(data[name])
        for optimizer, state in zip(self.optimizers, data["optimizers"], strict=True):
            optimizer.load_state_dict(state)
