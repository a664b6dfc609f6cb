"""What `lrm tune` found out about an engine on this machine; backend="auto" goes by it."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lrm_sdk.backends.cores import usable_cores
from lrm_sdk.cache import cache_folder
from lrm_sdk.engine import Engine
from lrm_sdk.errors import SaveError
from lrm_sdk.files import write_atomically


@dataclass(frozen=True)
class Measurement:
    """Of one network: median seconds per picture; the PSNR of its renders against the PyTorch model's."""

    backend: str
    precision: str
    seconds: float
    render_psnr_db: float
    good: bool  # close enough to the model to be chosen


def fastest_first(measurements: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """Those that are good enough."""
    return tuple(sorted((m for m in measurements if m.good), key=lambda m: m.seconds))


def record_path(engine: Engine, threads: int | None) -> Path:
    """One file for each engine, processor and number of threads."""
    manifest = engine.manifest.to_json()
    names = json.dumps([manifest["networks"], manifest["files"], _processor(), threads or usable_cores()])
    return cache_folder("tuning") / f"{hashlib.sha256(names.encode()).hexdigest()[:32]}.json"


def write_record(engine: Engine, threads: int | None, measurements: Sequence[Measurement]) -> Path:
    """Raises SaveError."""
    path = record_path(engine, threads)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{path.parent}: cannot be made ({error.strerror}); set LRM_CACHE") from error
    text = json.dumps([asdict(m) for m in measurements], indent=2) + "\n"
    return write_atomically(path, text.encode())


def read_record(engine: Engine, threads: int | None) -> tuple[Measurement, ...]:
    """Nothing where nothing was measured, or where the file is no such record."""
    try:
        rows: Any = json.loads(record_path(engine, threads).read_bytes())
        return tuple(Measurement(**row) for row in rows)
    except (OSError, ValueError, TypeError):
        return ()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x for x in lines if x.startswith("model name")), platform.machine())
