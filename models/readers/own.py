"""This project's own checkpoints: config.json says family and configuration, keys are the modules'."""

from __future__ import annotations

from torch import Tensor, nn

from models.families import build
from models.readers.keys import KeyMap, assign
from models.readers.options import ReadOptions
from models.sources import CheckpointError, Source

DESCRIPTION = 'lrm-sdk (config.json with a "family")'


def matches(config: dict, tensors: dict[str, Tensor]) -> bool:
    return "family" in config


def read(source: Source, tensors: dict[str, Tensor], options: ReadOptions) -> nn.Module:
    for name, value in vars(options).items():
        if value is not None:
            raise CheckpointError(f"{source.name}: {name}: its config.json says what it takes; leave it out")

    def network() -> nn.Module:
        try:
            return build(source.config)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source.name}: config.json: {error!r}") from error

    return assign(network, tensors, KeyMap([]), source.name)
