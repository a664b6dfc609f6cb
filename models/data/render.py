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
from models.data.morph import morphed
from models.data.objects import Object, Unsuitable, load_object
from models.data.rasterizer import Rasterizer
from models.data.split import seed_of, split_of
from models.data.viewpoints import viewpoints

LEAST_COVER = 0.01  # of the picture; thinner than that there is nothing to learn from a view


def render_entry(
    entry: Entry, rasterizer: Rasterizer, views: int, folders: list[Path], seed: int = 0
) -> dict[str, str]:
    """Into the first folder as it is, into folder k as its morph k (models/data/morph.py); folders that exist
    are kept. Object and `seed` choose cameras and morphs. Returns the names of those left out, with the
    reason; an object left out has no morphs."""
    seed, left_out = (seed_of(entry.model) + seed) % 2**32, {}
    try:
        obj = load_object(entry)
        _render(obj, rasterizer, views, np.random.default_rng(seed), folders[0])
    except ValueError as reason:
        return {folder.name: str(reason) for folder in folders}
    for number, folder in enumerate(folders[1:], 1):
        rng = np.random.default_rng([seed, number])
        try:
            _render(morphed(obj, rng), rasterizer, views, rng, folder)
        except ValueError as reason:
            left_out[folder.name] = str(reason)
    return left_out


def _render(obj: Object, rasterizer: Rasterizer, views: int, rng: np.random.Generator, folder: Path) -> None:
    if folder.exists():
        return
    cameras = viewpoints(views, obj.sphere, rng)
    rgba, depth = rasterizer.draw(obj, cameras)
    if (rgba[..., 3] > 127).mean((1, 2)).min() < LEAST_COVER:
        raise Unsuitable("hardly visible from some side")
    write_object(folder, rgba, depth, cameras)


def folders_of(entry: Entry, out: Path, morphs: int) -> list[Path]:
    """Where an object goes, and its morphs if it is one to learn from."""
    split = split_of(entry.model)
    wanted = range(1, morphs + 1) if split == "train" else ()
    return [out / split / entry.name, *(out / "morphs" / f"{entry.name}~{number}" for number in wanted)]


def render_all(
    found: list[Entry], out: Path, size: int, views: int, morphs: int = 0, seed: int = 0
) -> dict[str, str]:
    """Renders into out/<split>/<name> and out/morphs/<name>~<k>; returns name -> reason of those left out."""
    dropped = {}
    with Rasterizer(size) as rasterizer:
        for number, entry in enumerate(found, 1):
            folders = folders_of(entry, out, morphs)
            if not all(folder.exists() for folder in folders):
                dropped |= render_entry(entry, rasterizer, views, folders, seed)
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
    parser.add_argument(
        "--morphs", type=int, default=0, help="more shapes of each training object; default: 0"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of cameras and morphs; another: views to test with; default: 0"
    )
    parser.add_argument("--only", nargs="*", help="names of objects")
    args = parser.parse_args()
    found = entries(args.objects or install(args.out.parent / "sweethome3d"))
    if args.only:
        found = [e for e in found if e.name in args.only]
    dropped = render_all(found, args.out, args.size, args.views, args.morphs, args.seed)
    (args.out / "dropped.json").write_text(json.dumps(dropped, indent=1) + "\n")
    wanted = sum(len(folders_of(entry, args.out, args.morphs)) for entry in found)
    print(f"{wanted - len(dropped)} objects in {args.out}, {len(dropped)} left out (dropped.json)")


if __name__ == "__main__":
    main()
