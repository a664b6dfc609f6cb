"""Compares an engine, on this machine, with the numbers that the PyTorch model computed."""

from __future__ import annotations

import argparse

from lrm_sdk.cli.common import add_engine_argument, add_network_arguments, network_options
from lrm_sdk.verify import verify_engine

HELP = "is the engine right on this machine?"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_argument(parser)
    add_network_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Status 1 if a figure is past its limit."""
    report = verify_engine(args.engine, **network_options(args))
    print(report)
    return 0 if report.passed else 1
