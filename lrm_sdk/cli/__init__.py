"""The `lrm` command: one module per subcommand, with HELP, add_arguments(parser), main(args) -> status."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from lrm_sdk import __version__
from lrm_sdk.errors import CancelledError, LrmError

COMMANDS = ("run", "info", "verify", "tune", "bench", "doctor")
INTERRUPTED = 130  # what a shell reports after Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done; 1 an error, printed as one line on stderr; 2 wrong usage; 130 Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="lrm", description="Single picture -> 3D, from an engine directory."
    )
    parser.add_argument("--version", action="version", version=f"lrm-sdk {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: importlib.import_module(f"lrm_sdk.cli.{name}") for name in COMMANDS}
    for name, module in modules.items():
        module.add_arguments(subparsers.add_parser(name, help=module.HELP, description=module.__doc__))
    args = parser.parse_args(arguments)
    try:
        status: int = modules[args.command].main(args)
        return status
    except (KeyboardInterrupt, CancelledError):
        print("lrm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except LrmError as error:
        print(f"lrm: {error}", file=sys.stderr)
        return 1
