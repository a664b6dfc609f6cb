"""Which optimiser moves which weights: AdamW all of them, or Muon the matrices and AdamW the rest."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.training.config import TrainConfig

FIELD = "decoder."  # the field's small MLP; its rows mean different things, density and colours


def make_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """Matrices and kernels decay, vectors (biases, norms) do not.

    Muon orthogonalises the step of a matrix; scaled to the size of AdamW's steps (Liu et al. 2025,
    arXiv 2502.16982), so that both take one learning rate. Source: Jordan et al. 2024, "Muon".
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if config.optimizer == "adamw":
        return [_adamw([p for _, p in named], config)]
    matrices = [p for name, p in named if p.ndim == 2 and not name.startswith(FIELD)]
    chosen = {id(p) for p in matrices}
    muon = torch.optim.Muon(
        matrices, lr=config.learning_rate, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw"
    )
    return [muon, _adamw([p for _, p in named if id(p) not in chosen], config)]


def _adamw(parameters: list[Tensor], config: TrainConfig) -> torch.optim.AdamW:
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas)
