"""compute-sanitizer over a small run of the checks: memory errors, races, lanes that wait for others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

TOOLS = ("memcheck", "racecheck", "synccheck")
SAID_LINES = 40  # of its report, from the beginning and from the end
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
    """Tool -> {"passed", "summary"}, and "said" where it did not pass. The tools run side by side."""
    with ThreadPoolExecutor(len(TOOLS)) as threads:
        return dict(zip(TOOLS, threads.map(lambda tool: _run(tool, index, timeout), TOOLS), strict=True))


def _run(tool: str, index: int, timeout: float) -> dict[str, Any]:
    command = [
        str(find_sanitizer()), "--tool", tool, "--error-exitcode", str(ERRORS_FOUND),
        sys.executable, "-m", "benchmarks.gpu_check", "--part", "small checks", "--device", str(index),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, cwd=Path(__file__).parents[2]
        )
    except subprocess.TimeoutExpired as late:
        output = (late.stdout or b"") + (late.stderr or b"")  # bytes, whatever was asked for
        said = output.decode(errors="replace").splitlines()[:SAID_LINES]
        return {"passed": False, "summary": f"not finished after {timeout:g} s", "said": said}
    lines = (done.stdout + done.stderr).splitlines()
    said = [line.lstrip("= ") for line in lines if "SUMMARY" in line or line.startswith("gpu_check:")]
    summary = "; ".join(said) or "; ".join(lines[-3:])
    row = {"passed": done.returncode == 0, "summary": summary or f"status {done.returncode}"}
    return row if row["passed"] else row | {"said": lines[:SAID_LINES] + lines[-SAID_LINES:]}
