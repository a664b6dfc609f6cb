"""What bench_end_to_end.py tells each of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def peer_arguments(description: str | None) -> argparse.Namespace:
    """The checkout is where its code is imported from afterwards."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("--checkout", "--checkpoint", "--picture"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--made", type=Path, required=True, help="planes and vertices go there, .npz")
    parser.add_argument("--side", type=int, required=True, help="points of the grid along an axis")
    parser.add_argument("--warm-up-side", type=int, required=True, help="the same for the first call")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--threshold", type=float, required=True, help="density on the surface")
    args = parser.parse_args()
    # Before this folder, which Python puts first: its scripts have the names of their peers.
    sys.path.insert(0, str(args.checkout))
    return args
