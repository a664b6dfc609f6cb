"""Times every network of an engine on this machine once; backend "auto" then takes the fastest good one."""

from __future__ import annotations

import argparse

from lrm_sdk.cli.common import add_engine_argument, table
from lrm_sdk.engine import load_engine
from lrm_sdk.tune import MIN_PSNR_DB, tune_engine
from lrm_sdk.tuning import fastest_first, record_path

HELP = "find the fastest network for this machine, and remember it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_argument(parser)
    parser.add_argument("--threads", type=int, help="default: all cores that the process may use")
    parser.add_argument("--repeats", type=int, default=3, help="default: 3")
    parser.add_argument(
        "--min-psnr", type=float, default=MIN_PSNR_DB, metavar="DB",
        help=f"least PSNR of renders against the PyTorch model; default: {MIN_PSNR_DB:g}",
    )  # fmt: skip


def main(args: argparse.Namespace) -> int:
    """Status 1 if no network is good enough, which leaves "auto" as it was."""
    found = tune_engine(
        args.engine, threads=args.threads, min_psnr_db=args.min_psnr, repeats=args.repeats, progress=True
    )
    rows = [
        [
            f"{m.backend} {m.precision}",
            f"{m.seconds:.4f}",
            f"{m.render_psnr_db:.1f}",
            "yes" if m.good else "no",
        ]
        for m in found
    ]
    print(table(["network", "median, s", "PSNR, dB", "good"], rows))
    best = fastest_first(found)
    if not best:
        print(f"none reaches {args.min_psnr:g} dB and passes lrm verify; auto stays as it was")
        return 1
    record = record_path(load_engine(args.engine, check_hashes=False), args.threads)
    print(f"auto takes {best[0].backend} {best[0].precision} from now on ({record})")
    return 0
