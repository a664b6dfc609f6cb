"""The golden numbers of the public checkpoints and the weights that they were made from.

tests/data/golden holds, per model, NAME.json (configuration, every key with its shape, gains) and, for
the small ones, NAME.npz (what the public code computes). The weights follow from the keys alone.
"""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import save_file

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def describe(name: str) -> dict:
    return json.loads((GOLDEN / f"{name}.json").read_text())


def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:  # noqa: TID251, our own test data
        return dict(file)


def weight(key: str, shape: list[int], gains: dict, seed: int = 0) -> np.ndarray:
    """The recipe in NAME.json, in float32."""
    values = np.random.RandomState(zlib.crc32(key.encode()) ^ seed)
    x = values.standard_normal(shape).astype(np.float32)
    if key == "pos_embed":
        x *= np.float32(3)
    elif any(part in key for part in ("pos_embed", "position_embeddings", "cls_token", "register_tokens")):
        x *= np.float32(0.5)
    elif key == "tokenizer.embeddings":
        x /= np.float32(math.sqrt(shape[1]))
    elif len(shape) >= 2:
        x /= np.float32(math.sqrt(math.prod(shape[1:])))
    elif key.endswith(("weight", "gamma")):
        x = 1 + np.float32(0.05) * x
    else:
        x *= np.float32(0.05)
    gain = np.asarray(gains.get(key, 1), np.float32)
    return x * (gain.reshape(-1, *[1] * (x.ndim - 1)) if gain.ndim else gain)


def weights(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Every tensor of the public checkpoint."""
    about = describe(name)
    gains = about["gains"]
    return {k: torch.from_numpy(weight(k, s, gains, seed)) for k, s in about["keys"].items()}


def write_checkpoint(name: str, folder: Path, seed: int = 0) -> Path:
    """A checkpoint folder as on the hub; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    about = describe(name)
    if about["format"] == "triposr":
        (folder / "config.yaml").write_text(yaml.safe_dump(about["config"]))
        torch.save(weights(name, seed), folder / "model.ckpt")
    else:
        (folder / "config.json").write_text(json.dumps(about["config"]))
        save_file(weights(name, seed), folder / "model.safetensors")
    return folder
