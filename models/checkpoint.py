"""Writes this project's checkpoint folder: `config.json` (family + configuration) and `model.safetensors`.

Weights may be stored in float16 to halve a file that ships; models.load reads them as float32.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn


def save(model: nn.Module, folder: Path | str, *, dtype: torch.dtype = torch.float32) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().to(dtype).contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
    config = {"family": model.family, "config": model.config.to_json()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
