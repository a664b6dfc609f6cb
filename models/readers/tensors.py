"""Weight files -> tensors that are mapped into memory, so that only what is used is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.sources import CheckpointError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of model.safetensors or model.ckpt (torch.save of a plain dictionary), as stored.

    Raises CheckpointError for a damaged file and for a pickle that holds anything but tensors.
    """
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dictionary
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or cut short ({error}); download it again") from error


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: holds more than tensors, which can run code when it is read, so it is refused; "
            "save its state dictionary of tensors alone"
        ) from error
    except (RuntimeError, OSError, EOFError) as error:
        cause = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{path}: not a whole file of torch.save's zip format ({cause}); download it again"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, got {type(content).__name__}")
    others = [str(k) for k, v in content.items() if not isinstance(v, Tensor)]
    if others:
        raise CheckpointError(
            f"{path}: expected tensors only, got {', '.join(others[:5])}; save the state dictionary alone"
        )
    return content
