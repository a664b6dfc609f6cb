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
