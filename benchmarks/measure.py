"""Timing and the facts that a figure is worthless without."""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Timing:
    seconds: list[float]
    result: Any  # of the last run

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """Of few runs: the slowest but for one in twenty."""
        return sorted(self.seconds)[max(0, round(0.95 * len(self.seconds)) - 1)]


def timed(call: Callable[[], Any], *, warmup: int = 1, repeats: int = 3) -> Timing:
    """Runs `call` warmup + repeats times; keeps the result of the last, so that it can be checked."""
    for _ in range(warmup):
        call()
    seconds, result = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return Timing(seconds, result)


def environment(**versions: str) -> dict:
    return {
        "command": " ".join(["python", *sys.argv]),
        "commit": _commit(),
        "machine": platform.machine(),
        "processor": _processor(),
        "python": platform.python_version(),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **versions,
    }


def _commit() -> str:
    """Empty where there is no git, or no repository."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "")


def save(name: str, data: dict) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(data, indent=2) + "\n")
    return path
