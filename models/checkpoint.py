"""Our checkpoint folder: `config.json` (family + configuration) and `model.safetensors`.

Weights may be stored in float16 to halve a file that ships; they are read as float32.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.lrm import LRM, LRMConfig
from models.pooled import PooledLRM, PooledLRMConfig

FAMILIES = {"lrm": (LRM, LRMConfig), "pooled-lrm": (PooledLRM, PooledLRMConfig)}


def save(model: nn.Module, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    config = {"family": model.family, "config": model.config.to_json()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def build(config: dict) -> nn.Module:
    """A freshly initialised network from {"family": ..., "config": {...}}."""
    family = config.get("family")
    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    network, configuration = FAMILIES[family]
    return network(configuration.from_json(config["config"]))


def load(folder: Path | str) -> nn.Module:
    """The network of a checkpoint folder, float32, in eval mode.

    Raises FileNotFoundError if the folder lacks a file, ValueError if the weights do not fit the
    configuration (every missing, unexpected and wrongly shaped key is listed).
    """
    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder}: expected a checkpoint folder with {name}")
    model = build(json.loads((folder / "config.json").read_text()))
    tensors = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
    _check_keys(model, tensors, folder)
    model.load_state_dict(tensors)
    return model.eval()


def _check_keys(model: nn.Module, tensors: dict, folder: Path) -> None:
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    got = {k: tuple(v.shape) for k, v in tensors.items()}
    problems = [f"missing {k} {s}" for k, s in expected.items() if k not in got]
    problems += [f"unexpected {k} {s}" for k, s in got.items() if k not in expected]
    both = [k for k in expected if k in got and expected[k] != got[k]]
    problems += [f"{k}: expected {expected[k]}, got {got[k]}" for k in both]
    if problems:
        raise ValueError(f"{folder}: weights do not fit config.json:\n  " + "\n  ".join(problems))
