"""compute-sanitizer over a small run of the checks: memory errors, races, lanes that wait for others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

TOOLS = ("memcheck", "racecheck", "synccheck")
ERRORS_FOUND = 99  # exit status that compute-sanitizer is asked for
PLACES = (Path("/usr/local/cuda/bin/compute-sanitizer"),)  # where it is when it is not on PATH


def find_sanitizer() -> str | None:
    found = shutil.which("compute-sanitizer")
    return found or next((str(path) for path in PLACES if path.is_file()), None)


def missing_sanitizer() -> str | None:
    if find_sanitizer() is None:
        return "compute-sanitizer is not installed; it is a part of the CUDA toolkit"
    return None


def sanitize(index: int, timeout: float = 1100) -> dict[str, Any]:
    """Tool -> {"passed", "summary"}."""
    return {tool: _run(tool, index, timeout) for tool in TOOLS}


def _run(tool: str, index: int, timeout: float) -> dict[str, Any]:
    command = [
        str(find_sanitizer()), "--tool", tool, "--error-exitcode", str(ERRORS_FOUND),
        sys.executable, "-m", "benchmarks.gpu_check", "--part", "small checks", "--device", str(index),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=Path(__file__).parents[2]
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "summary": f"not finished after {timeout:g} s"}
    lines = (done.stdout + done.stderr).splitlines()
    said = [line.lstrip("= ") for line in lines if "SUMMARY" in line or line.startswith("gpu_check:")]
    summary = "; ".join(said) or "; ".join(lines[-3:])
    return {"passed": done.returncode == 0, "summary": summary or f"status {done.returncode}"}
