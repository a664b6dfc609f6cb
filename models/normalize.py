"""ImageNet mean and standard deviation, as a module so that an export folds them in."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageNormalize(nn.Module):
    """image [B, 3, H, W] in [0, 1] -> zero mean, unit deviation over ImageNet. Holds no weights."""

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            # On the CPU also where weights are built on the meta device: checkpoints do not hold it.
            constant = torch.tensor(values, device="cpu").reshape(1, 3, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        return (image - self.mean) / self.std
