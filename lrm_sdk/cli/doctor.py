"""Tells what this machine can run, and how to get the rest."""

from __future__ import annotations

import argparse
import os
import platform
from importlib import metadata

from lrm_sdk import __version__, native
from lrm_sdk.backends import BACKENDS, backend_module, onnxruntime_gpu
from lrm_sdk.backends.cores import usable_cores
from lrm_sdk.errors import LrmError

HELP = "what this machine can run, and how to get the rest"
# package -> what it is for, how to get it
OPTIONAL = {
    "av": ("turntables as mp4", "pip install 'lrm-sdk[video]'"),
    "fast_simplification": ("meshes of fewer triangles", "pip install 'lrm-sdk[mesh]'"),
    "rembg": ("subjects in front of busy backgrounds", "pip install rembg"),
    "PIL": ("pictures given as PIL images", "pip install pillow"),
}
DISTRIBUTIONS = {
    "native": "lrm-sdk",
    "PIL": "pillow",
    "fast_simplification": "fast-simplification",
    "tensorrt": "tensorrt-cu13-bindings",
    "tensorrt-rtx": "tensorrt-rtx-cu13",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:
    """Status 1 if no engine can run here at all."""
    rows = [("lrm-sdk", __version__), ("Python", f"{platform.python_version()}, {platform.platform()}")]
    rows.append(("cores", f"{usable_cores()} usable of {os.cpu_count()}"))
    library, works = _library()
    rows.append(("liblrm", library))
    runs = False
    for name in BACKENDS:
        why = backend_module(name).available(None)
        runs = runs or why is None
        rows.append((name, _version(DISTRIBUTIONS.get(name, name)) if why is None else why))
    why = onnxruntime_gpu.available(None)
    rows.append(("onnxruntime, GPU", onnxruntime_gpu.PROVIDER if why is None else why))
    for name, (purpose, how) in OPTIONAL.items():
        version = _version(DISTRIBUTIONS.get(name, name))
        rows.append((name, f"{version} ({purpose})" if version else f"not installed; for {purpose}: {how}"))
    print("\n".join(f"{key:20}{value}" for key, value in rows))
    return 0 if works and runs else 1


def _library() -> tuple[str, bool]:
    try:
        return f"{native.version()}, {native.instruction_set()}", True
    except LrmError as error:
        return str(error), False


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
