"""What the coarse look of surface extraction misses, against the exhaustive extraction of the same grid.

    python benchmarks/bench_seeding.py [--engine lrm-tiny.lrm --pictures examples/*.png]

Wires and sheets of a few tenths of a cell to four cells, each a component of its own, at random places
of a 256^3 grid; the fitted chair of bench_field.py; the scenes of an engine. A component is missed if
none of its vertices is in the default extraction; "share" is its part of all vertices.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save
from benchmarks.surfaces import FIELD, SIDE, STEEPNESS, THRESHOLD, level_field, texel_places
from lrm_sdk import EmptySurfaceError, Reconstructor, native
from lrm_sdk.mesh_topology import connected_parts
from models.evaluation.fitted import load_field, native_field

CELL = 2 / (SIDE - 1)
THICKNESSES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)  # cells, from side to side
HALF_LENGTH = 0.6
GAP = 0.2  # between wires, or sheets


def wires(thickness: float, seed: int) -> native.Field:
    """Upright, one in each square of a checkered pattern."""
    random = np.random.default_rng(seed)
    width, height = texel_places()
    ticks = np.arange(-0.8, 0.81, GAP)
    square = np.full_like(width, np.inf)
    for x in ticks:
        for y in ticks:
            dx, dy = random.uniform(-GAP / 8, GAP / 8, 2)
            np.minimum(square, (width - x - dx) ** 2 + (height - y - dy) ** 2, out=square)
    return upright(square, thickness)


def sheets(thickness: float, seed: int) -> native.Field:
    """Upright and slanting a little against the grid."""
    random = np.random.default_rng(seed)
    width, height = texel_places()
    square = np.full_like(width, np.inf)
    for x in np.arange(-0.8, 0.81, GAP):
        offset, slope = random.uniform(-GAP / 8, GAP / 8), random.uniform(-0.05, 0.05)
        across = (width - x - offset - slope * height) ** 2 / (1 + slope**2)
        beyond = np.maximum(np.abs(height) - HALF_LENGTH, 0) ** 2
        np.minimum(square, across + beyond, out=square)
    return upright(square, thickness)


def upright(square: np.ndarray, thickness: float) -> native.Field:
    """All within thickness / 2 cells of where `square`, a squared distance in the xy plane, is 0; the
    ends are round."""
    radius = 0.5 * thickness * CELL
    slope = STEEPNESS / CELL / (2 * radius)
    ends = np.maximum(np.abs(texel_places()[1]) - HALF_LENGTH, 0) ** 2
    level = radius**2
    limit = 100 * level  # farther away density is nothing anyway
    planes = np.stack([np.minimum(square, limit), np.minimum(ends, limit), np.zeros_like(square)])
    return level_field(planes, level, slope, 2)


def compare(name: str, field: native.Field, side: int, threshold: float) -> dict:
    every = field.mesh(native.MeshOptions(side, threshold, exhaustive=True, colors=False, normals=False))
    seen = default_vertices(field, native.MeshOptions(side, threshold, colors=False, normals=False))
    part = np.unique(connected_parts(every.faces, len(every.vertices)), return_inverse=True)[1]
    found = np.zeros(part.max() + 1, bool)
    found[part[shared_rows(every.vertices, seen)]] = True
    sizes = np.bincount(part)
    return {
        "field": name, "components": len(sizes), "missed": int((~found).sum()),
        "missed_share": float(sizes[~found].sum() / sizes.sum()),
    }  # fmt: skip


def default_vertices(field: native.Field, options: native.MeshOptions) -> np.ndarray:
    try:
        return field.mesh(options).vertices
    except EmptySurfaceError:
        return np.zeros((0, 3), np.float32)


def shared_rows(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each row of float32 [N, 3] is among the others, bit for bit."""
    kind = np.dtype((np.void, 12))
    a, b = (np.ascontiguousarray(x).view(kind).ravel() for x in (rows, others))
    found: np.ndarray = np.isin(a, b)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", type=Path)
    parser.add_argument("--pictures", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    rows = []
    for make in (wires, sheets):
        for thickness in THICKNESSES:
            name = f"{make.__name__}, {thickness:g} cells"
            rows.append(compare(name, make(thickness, seed=0), SIDE, THRESHOLD))
    rows.append(compare("fitted chair", native_field(load_field(FIELD), 2), SIDE, THRESHOLD))
    if args.engine is not None:
        with Reconstructor(args.engine) as rec:
            mesh = rec.engine.manifest.mesh
            name = rec.engine.manifest.model.name
            for picture in args.pictures:
                scene = rec.run(picture)
                field = native.Field(
                    rec.engine.field_options(), scene.planes, rec.engine.weights, rec.engine.biases
                )
                rows.append(compare(f"{name}, {picture.stem}", field, mesh.resolution, mesh.threshold))
    print("| field | components | missed | share of the vertices |\n|---|---|---|---|")
    for r in rows:
        print(f"| {r['field']} | {r['components']} | {r['missed']} | {r['missed_share']:.2%} |")
    print(save("seeding", {"environment": environment(), "rows": rows}))


if __name__ == "__main__":
    main()
