"""Packed renders small enough to travel, and back: a fiftieth of their size.

    python -m models.data.compact --in data/packed --out data/compact
    python -m models.data.compact --unpack --in data/compact --out data/packed

Pictures are lossy WebP with exact alpha. Depth is kept in LEVELS steps between a view's nearest and farthest
surface, as lossless WebP. Per split: pictures.bin and depth.bin (files one after another, views.npz says
where), cameras.npz, names.json. Unpacking chooses visible points anew.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from models.data.blender_layout import Views
from models.data.pack import write_split

QUALITY = 60  # of WebP's colours
LEVELS = 127  # of depth; more cost more than they tell


def encode_picture(rgba: np.ndarray) -> bytes:
    """uint8 [S, S, 4]"""
    return _webp(rgba, quality=QUALITY, alpha_quality=100)


def encode_depth(depth: np.ndarray, near: float, far: float) -> bytes:
    """float [S, S], 0 = background."""
    level = 1 + np.rint((depth - near) / max(far - near, 1e-6) * (LEVELS - 1))
    return _webp(np.where(depth > 0, level, 0).astype(np.uint8), lossless=True)


def decode_depth(data: bytes, near: float, far: float) -> np.ndarray:
    """float32 [S, S], 0 = background."""
    level = np.asarray(Image.open(io.BytesIO(data)).convert("L")).astype(np.float32)
    return np.where(level > 0, near + (level - 1) / (LEVELS - 1) * (far - near), 0).astype(np.float32)


def _webp(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()


def compact(packed: Path, out: Path, objects: int | None = None) -> None:
    """One split; complete or absent. Only the first `objects` if that is given."""
    images, depth = (
        np.lib.format.open_memmap(packed / f"{name}.npy", "r")[:objects] for name in ("images", "depth")
    )
    cameras = _load(packed / "cameras.npz")
    far = depth.max((2, 3)).astype(np.float32)
    near = np.where(depth > 0, depth, np.float16(np.inf)).min((2, 3)).astype(np.float32)
    stage = out.with_name(out.name + ".part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    views = [(o, v) for o in range(images.shape[0]) for v in range(images.shape[1])]
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(lambda at: encode_picture(images[at]), views))
        depths = list(
            pool.map(lambda at: encode_depth(depth[at].astype(np.float32), near[at], far[at]), views)
        )
    (stage / "pictures.bin").write_bytes(b"".join(pictures))
    (stage / "depth.bin").write_bytes(b"".join(depths))
    sizes = {"pictures": [len(p) for p in pictures], "depths": [len(d) for d in depths]}
    np.savez(stage / "views.npz", near=near, far=far, **sizes)
    np.savez(stage / "cameras.npz", **{name: cameras[name][:objects] for name in ("c2w", "focal_px")})
    names = json.loads((packed / "names.json").read_text())
    (stage / "names.json").write_text(json.dumps(names[:objects]))
    shutil.rmtree(out, ignore_errors=True)
    stage.rename(out)


def _load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:  # noqa: TID251, nothing is unpickled
        return dict(file)


def unpack(folder: Path, out: Path) -> None:
    """One split, as models/data/pack.py writes it."""
    names = json.loads((folder / "names.json").read_text())
    with ThreadPoolExecutor() as pool:
        write_split(names, pool.map(lambda read: read(), _objects(folder)), out)


def _objects(folder: Path) -> Iterator:
    """Per object a function that reads its views."""
    views, cameras = (_load(folder / f"{name}.npz") for name in ("views", "cameras"))
    pictures, depths = ((folder / f"{name}.bin").read_bytes() for name in ("pictures", "depth"))
    near, far = views["near"], views["far"]
    picture_at, depth_at = (np.concatenate([[0], views[n].cumsum()]) for n in ("pictures", "depths"))
    count = near.shape[1]

    def read(o: int) -> Views:
        numbers = range(o * count, (o + 1) * count)
        rgba = [
            np.asarray(Image.open(io.BytesIO(pictures[picture_at[n] : picture_at[n + 1]])).convert("RGBA"))
            for n in numbers
        ]
        depth = [
            decode_depth(depths[depth_at[n] : depth_at[n + 1]], near[o, v], far[o, v])
            for v, n in enumerate(numbers)
        ]
        return Views(np.stack(rgba), np.stack(depth), matrices[o], focal[o])

    matrices, focal = cameras["c2w"], cameras["focal_px"]
    for o in range(len(near)):
        yield lambda o=o: read(o)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--in", dest="source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--unpack", action="store_true")
    parser.add_argument("--splits", nargs="+", default=["train", "heldout"])
    parser.add_argument("--objects", type=int, help="only the first N of each split")
    args = parser.parse_args()
    for split in args.splits:
        source, out = args.source / split, args.out / split
        if args.unpack:
            unpack(source, out)
        else:
            compact(source, out, args.objects)
        size = sum(file.stat().st_size for file in out.iterdir())
        print(f"{out}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
