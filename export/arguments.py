"""Options that build_engine.py and export_onnx.py share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_checkpoint_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--revision", help="branch, tag or commit of a hub id")
    parser.add_argument("--image-size", type=int, help="side of the input, where the checkpoint is silent")
    parser.add_argument("--camera-distance", type=float, help="of OpenLRM's source camera; default: 2")
    parser.add_argument("--name", help="default: the checkpoint's")
    parser.add_argument("--license", help="of the weights, as an SPDX id; default: known for public ids")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="real pictures to compare on")


def add_tensorrt_arguments(parser: argparse.ArgumentParser) -> None:
    """TensorRTOptions of export/backends/tensorrt.py."""
    group = parser.add_argument_group("tensorrt and tensorrt-rtx")
    group.add_argument("--max-batch", type=int, default=4, help="pictures of one run; default: 4")
    group.add_argument("--stripped", action="store_true", help="weights come from the ONNX when it is loaded")
    group.add_argument("--refittable", action="store_true", help="weights can be replaced in a loaded engine")
    group.add_argument(
        "--version-compatible", action="store_true", help="newer TensorRT of the same major version runs it"
    )
    group.add_argument(
        "--compute-capabilities", nargs="+", default=[], metavar="X.Y",
        help="of the GPUs of one TensorRT-RTX engine, e.g. 8.6 12.0; default: its own list",
    )  # fmt: skip
