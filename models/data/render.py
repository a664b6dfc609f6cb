"""Objects -> pictures: python -m models.data.render --out DIR [--size 192] [--views 24].

Downloads the objects on first use. Finished objects are skipped, so that a run can be interrupted
and started again. Objects that are left out go to DIR/dropped.json with the reason.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from models.data.blender_layout import write_object
from models.data.furniture import Entry, entries, install
from models.data.objects import Unsuitable, load_object
from models.data.rasterizer import Rasterizer
from models.data.split import seed_of, split_of
from models.data.viewpoints import viewpoints

LEAST_COVER = 0.01  # of the picture; thinner than that there is nothing to learn from a view


def render_entry(entry: Entry, rasterizer: Rasterizer, views: int, folder: Path) -> None:
    """Raises Unsuitable with the reason the object is left out."""
    obj = load_object(entry)
    rng = np.random.default_rng(seed_of(entry.model) % 2**32)
    cameras = viewpoints(views, obj.sphere, rng)
    rgba, depth = rasterizer.draw(obj, cameras)
    if (rgba[..., 3] > 127).mean((1, 2)).min() < LEAST_COVER:
        raise Unsuitable("hardly visible from some side")
    write_object(folder, rgba, depth, cameras)


def render_all(found: list[Entry], out: Path, size: int, views: int) -> dict[str, str]:
    """Renders into out/<split>/<name>; returns name -> reason of those left out."""
    dropped = {}
    with Rasterizer(size) as rasterizer:
        for number, entry in enumerate(found, 1):
            folder = out / split_of(entry.model) / entry.name
            if not folder.exists():
                try:
                    render_entry(entry, rasterizer, views, folder)
                except ValueError as reason:
                    dropped[entry.name] = str(reason)
            print(f"\r{number}/{len(found)} {entry.name:50.50s}", end="", flush=True)
    print()
    return dropped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--objects", type=Path, help="unpacked catalogues; default: downloaded to DIR/../sweethome3d"
    )
    parser.add_argument("--size", type=int, default=192, help="pixels")
    parser.add_argument("--views", type=int, default=24, help="per object, even")
    parser.add_argument("--only", nargs="*", help="names of objects")
    args = parser.parse_args()
    found = entries(args.objects or install(args.out.parent / "sweethome3d"))
    if args.only:
        found = [e for e in found if e.name in args.only]
    dropped = render_all(found, args.out, args.size, args.views)
    (args.out / "dropped.json").write_text(json.dumps(dropped, indent=1) + "\n")
    print(f"{len(found) - len(dropped)} objects in {args.out}, {len(dropped)} left out (dropped.json)")


if __name__ == "__main__":
    main()
