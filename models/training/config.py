"""The options of a training run, with defaults; the `train` section of models/configs/*.json."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 4000
    batch: int = 8  # objects per step
    views: int = 2  # target views per object
    rays: int = 128  # per target view
    points: int = 4096  # with a known inside or outside, per object (models/training/occupancy.py)
    coarse_samples: int = 12  # stratified over the whole ray
    fine_samples: int = 12  # around the known surface
    foreground_share: float = 0.6  # of the rays; the rest fall anywhere in the picture
    learning_rate: float = 6e-4
    warmup: int = 150  # steps
    weight_decay: float = 0.05  # of matrices only
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    ema: float = 0.998
    lambda_mask: float = 0.5
    lambda_depth: float = 0.1
    lambda_solid: float = 0.3
    lambda_color: float = 0.5
    lambda_haze: float = 0.03
    mirror: float = 0.5  # probability
    permute_channels: float = 0.2  # probability
    seed: int = 0
    log_every: int = 20
    save_every: int = 100
    picture_every: int = 250

    @staticmethod
    def from_json(data: dict) -> TrainConfig:
        known = {f.name for f in dataclasses.fields(TrainConfig)}
        unknown = sorted(set(data) - known)
        if unknown:
            raise ValueError(f"train: unknown option(s) {', '.join(unknown)}")
        return TrainConfig(**data | {"betas": tuple(data.get("betas", TrainConfig.betas))})


def read_config(path: Path | str) -> tuple[dict, TrainConfig]:
    """A file with `family`, `config` (the network) and `train` -> network part, training part."""
    data = json.loads(Path(path).read_text())
    return {k: data[k] for k in ("family", "config")}, TrainConfig.from_json(data["train"])
