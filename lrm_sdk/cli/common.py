"""What several subcommands share: engine arguments and plain-text tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrm_sdk.backends import BACKENDS, DEVICES, PRECISIONS
from lrm_sdk.native.options import FIELD_PRECISIONS


def add_engine_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, metavar="ENGINE", help="engine directory, NAME.lrm")


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backend", default="auto", help=f"auto (default), {', '.join(BACKENDS)}")
    parser.add_argument("--device", default="auto", help=f"{', '.join(DEVICES)}; default: auto")
    parser.add_argument(
        "--precision", help=f"{', '.join(PRECISIONS)}; default: as tuned, else the most exact"
    )
    parser.add_argument(
        "--field-precision", default="float32",
        help=f"of a field on a GPU: {', '.join(FIELD_PRECISIONS)}; default: float32",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="default: all cores that the process may use")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell; the first is left-aligned, the others right.

    >>> print(table(["stage", "s"], [["network", "0.25"]]))
    stage       s
    network  0.25
    """
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for first, *others in cells:
        right = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *right]))
    return "\n".join(lines)


def network_options(args: argparse.Namespace) -> dict[str, Any]:
    """What add_network_arguments reads, as Reconstructor takes it."""
    names = ("backend", "device", "precision", "field_precision", "threads")
    return {name: getattr(args, name) for name in names}
