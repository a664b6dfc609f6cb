"""This project's own checkpoints: config.json says family and configuration, keys are the modules'."""

from __future__ import annotations

from torch import Tensor, nn

from models.families import build
from models.readers.keys import KeyMap, assign
from models.sources import CheckpointError, Source

DESCRIPTION = 'lrm-sdk (config.json with a "family")'


def matches(config: dict, tensors: dict[str, Tensor]) -> bool:
    return "family" in config


def read(source: Source, tensors: dict[str, Tensor], image_size: int | None) -> nn.Module:
    if image_size not in (None, source.config.get("config", {}).get("image_size")):
        raise CheckpointError(f"{source.name}: image_size: its config.json says it; leave it out")

    def network() -> nn.Module:
        try:
            return build(source.config)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{source.name}: config.json: {error!r}") from error

    return assign(network, tensors, KeyMap([]), source.name)
