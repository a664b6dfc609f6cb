"""Checkpoints of every family, from a hub or a folder -> a network, float32, in eval mode.

    source (hub id | folder) -> locate() -> config + tensors (mapped, not read) -> family -> network

Families are told apart by what is in the checkpoint, not by its name.
"""

from __future__ import annotations

import os

from torch import nn

from models.readers import openlrm, own, triposr
from models.readers.options import ReadOptions
from models.readers.tensors import read_tensors
from models.sources import CheckpointError, Source, locate

__all__ = ["CheckpointError", "ReadOptions", "Source", "load", "locate", "read"]

READERS = (own, triposr, openlrm)


def load(
    source: str | os.PathLike[str], *, revision: str | None = None, options: ReadOptions | None = None
) -> nn.Module:
    """The network of a checkpoint, weights mapped into memory where they are stored in float32.

    source: a hub id (`stabilityai/TripoSR`, `zxhezexin/openlrm-mix-base-1.1`; downloaded once, then
    cached) or a folder: config.yaml + model.ckpt, or config.json + model.safetensors.
    revision: branch, tag or commit, for a hub id. Raises CheckpointError.
    """
    return read(locate(source, revision=revision), options)


def read(source: Source, options: ReadOptions | None = None) -> nn.Module:
    """The network of a checkpoint that has been located. Raises CheckpointError."""
    tensors = read_tensors(source.weights)
    for reader in READERS:
        if reader.matches(source.config, tensors):
            return reader.read(source, tensors, options or ReadOptions()).eval()
    families = ", ".join(reader.DESCRIPTION for reader in READERS)
    first = ", ".join(sorted(tensors)[:3])
    raise CheckpointError(f"{source.name}: expected a checkpoint of {families}; got keys such as {first}")
