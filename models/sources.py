"""Where a checkpoint lies: a folder, or a repository of the Hugging Face hub in the local cache.

Needs no PyTorch, so that a build can fetch and refuse before it starts.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

CONFIGS = ("config.json", "config.yaml")
WEIGHTS = ("model.safetensors", "model.ckpt")
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message says what was expected, what came, what to do."""


@dataclass(frozen=True)
class Source:
    """name: as the user gave it; config: the parsed config.json or config.yaml; weights: the file."""

    name: str
    config: dict
    weights: Path


def locate(source: str | os.PathLike[str], *, revision: str | None = None) -> Source:
    """The files of a checkpoint; downloads them if `source` is a hub id and they are not cached.

    Raises CheckpointError.
    """
    name = os.fspath(source)
    folder = Path(name)
    if not folder.exists() and HUB_ID.fullmatch(name):
        folder = _download(name, revision)
    elif revision is not None:
        raise CheckpointError(f"{name}: a revision belongs to a hub id, and this is a folder")
    if not folder.is_dir():
        raise CheckpointError(
            f"{name}: no such folder; expected a folder or a hub id such as stabilityai/TripoSR"
        )
    config, weights = _only(folder, CONFIGS, name), _only(folder, WEIGHTS, name)
    return Source(name, _read_config(config), weights)


def _only(folder: Path, names: tuple[str, ...], source: str) -> Path:
    found = [folder / n for n in names if (folder / n).is_file()]
    if len(found) == 1:
        return found[0]
    got = " and ".join(p.name for p in found) or ", ".join(sorted(p.name for p in folder.iterdir())[:8])
    raise CheckpointError(f"{source}: expected one of {' or '.join(names)} in it, got {got or 'nothing'}")


def _download(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=[*CONFIGS, *WEIGHTS]))
    except Exception as error:  # the client's and its transport's errors share no base class
        cause = str(error).strip().split("\n")[0]
        raise CheckpointError(
            f"{hub_id}: no such folder here, and it cannot be fetched from the hub ({cause}); check the "
            "name, the revision and the network, or give the folder of a downloaded checkpoint"
        ) from error


def _read_config(path: Path) -> dict:
    import yaml

    try:
        text = path.read_text()
        config = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); download it again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path}: expected keys and values, got {type(config).__name__}")
    return config
