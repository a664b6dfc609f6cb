"""The system's compilers, for tests of the header and of C programs."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "runtime" / "include" / "lrm.h"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{HEADER.parent}"]


def tool(variable: str, default: str) -> str:
    """$variable or the default; skips the test where neither can be run."""
    name = os.environ.get(variable, default)
    if shutil.which(name) is None:
        pytest.skip(f"{name} not found; install it or set {variable}")
    return name


def compile_c(source: Path, program: Path, *arguments: str) -> None:
    run([tool("CC", "cc"), "-std=c11", *STRICT, str(source), "-o", str(program), *arguments])


def run(command: list[str]) -> str:
    """Its output; fails the test with what the command said. Tools run without a sanitiser's preload."""
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout
