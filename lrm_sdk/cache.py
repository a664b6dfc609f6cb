"""Where this user's caches lie: what can be made again at the cost of some time."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(kind: str) -> Path:
    """$LRM_CACHE/KIND, or lrm-sdk/KIND under the user's cache folder. It need not exist."""
    chosen = os.environ.get("LRM_CACHE")
    if chosen:
        return Path(chosen) / kind
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "lrm-sdk" / kind


def writable_cache_folder(kind: str) -> Path | None:
    """cache_folder, made if need be; None where there is no place to write."""
    folder = cache_folder(kind)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
