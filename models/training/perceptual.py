"""A perceptual distance: features of a network that knows natural pictures, compared at three depths.

LPIPS (Zhang et al. 2018, arXiv 1801.03924) does so with VGG and learned weights; here it is
EfficientNet-Lite0 without weights of its own (models/efficientnet.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.efficientnet import EfficientNetLite0

COMPARED = (0, 2, 4)  # blocks whose outputs are compared: a half, a quarter, an eighth of the picture's side


class PerceptualDistance(nn.Module):
    """Two batches of pictures [N, 3, h, w], sRGB in [0, 1] -> their mean distance, a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNetLite0(COMPARED).load_pretrained()

    def forward(self, got: Tensor, truth: Tensor) -> Tensor:
        pairs = zip(self.network(got), self.network(truth), strict=True)
        unit = [(F.normalize(a, dim=1), F.normalize(b, dim=1)) for a, b in pairs]
        return torch.stack([(a - b).square().sum(1).mean() for a, b in unit]).mean()
