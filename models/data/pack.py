"""Blender-layout folders -> arrays that the trainer maps: python -m models.data.pack --in DIR --out DIR.

Per split: images.npy uint8 [O, V, S, S, 4] (sRGB, straight alpha), depth.npy float16 [O, V, S, S]
(world units, 0 = background), cameras.npz (c2w [O, V, 4, 4], focal_px [O, V]), names.json; and points
that the views see: surface.npy float16 [O, Q, 3] (world) with colors.npy uint8 [O, Q, 3] (sRGB).
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from models.data.blender_layout import Views, read_object

POINTS = 16384  # visible surface points kept per object
SOLID_ALPHA = 252  # of 255: pixels less covered than this have no trustworthy depth


def pack(folders: list[Path], out: Path) -> None:
    """Of Blender-layout folders. Raises ValueError where their views are not alike."""
    write_split([folder.name for folder in folders], map(read_object, folders), out)


def write_split(names: list[str], objects: Iterable[Views], out: Path) -> None:
    """Complete or absent: written beside `out`, then renamed. Raises ValueError if views differ in shape."""
    stage = out.with_name(out.name + ".part")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    arrays: dict[str, np.memmap] = {}
    matrices, focal = [], []
    for index, (name, views) in enumerate(zip(names, objects, strict=True)):
        arrays = arrays or _make_arrays(stage, len(names), views.rgba.shape)
        if views.rgba.shape != arrays["images"].shape[1:]:
            expected = arrays["images"].shape[1:]
            raise ValueError(f"{name}: expected views {expected}, got {views.rgba.shape}")
        arrays["images"][index], arrays["depth"][index] = views.rgba, views.depth
        matrices.append(views.camera_to_world)
        focal.append(views.focal)
        points = visible_points(views, np.random.default_rng(index))
        arrays["surface"][index], arrays["colors"][index] = points
    for array in arrays.values():
        array.flush()
    np.savez(stage / "cameras.npz", c2w=np.stack(matrices), focal_px=np.stack(focal))
    (stage / "names.json").write_text(json.dumps(names))
    shutil.rmtree(out, ignore_errors=True)
    stage.rename(out)


def _make_arrays(folder: Path, objects: int, views: tuple[int, ...]) -> dict[str, np.memmap]:
    """views: the shape of an object's pictures."""
    kinds = {
        "images": (np.uint8, views), "depth": (np.float16, views[:-1]),
        "surface": (np.float16, (POINTS, 3)), "colors": (np.uint8, (POINTS, 3)),
    }  # fmt: skip
    return {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (objects, *shape))
        for name, (kind, shape) in kinds.items()
    }


def visible_points(views: Views, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """POINTS random pixels with a surface, all views alike: world positions and colours."""
    size = views.depth.shape[-1]
    candidates = np.flatnonzero((views.depth > 0) & (views.rgba[..., 3] > SOLID_ALPHA))
    pixel = rng.choice(candidates, POINTS)
    view, row, column = np.unravel_index(pixel, views.depth.shape)
    z, focal = views.depth.reshape(-1)[pixel], views.focal[view]
    right, up = (column + 0.5 - size / 2) / focal * z, -(row + 0.5 - size / 2) / focal * z
    local = np.stack([right, up, -z, np.ones_like(z)], axis=-1)
    world = np.einsum("pij,pj->pi", views.camera_to_world[view, :3], local)
    return world, views.rgba.reshape(-1, 4)[pixel, :3]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--in", dest="source", type=Path, required=True, help="models.data.render's --out")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for split in sorted(p for p in args.source.iterdir() if p.is_dir()):
        folders = sorted(
            f for f in split.iterdir() if (f / "transforms.json").is_file() and f.suffix != ".part"
        )
        if folders:
            pack(folders, args.out / split.name)
            print(f"{split.name}: {len(folders)} objects")


if __name__ == "__main__":
    main()
