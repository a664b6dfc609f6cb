"""The native stage against the PyTorch reference, on one field of TripoSR's size, in one run.

    python benchmarks/bench_field.py

Query, 256 x 256 renders and coloured meshes, with the error beside each ratio. The PyTorch way is
that of the public code: every sample of every ray, every point of the grid, then marching cubes
(scikit-image's) and colours at the vertices. "as the original" is the same work: vertices by linear
interpolation and no normals; "refined" is the SDK's default, with vertices on the true surface and
normals. At 512^3 PyTorch's time is eight times that of its own 256^3 run, not measured. The field is
one that `python -m models.fit` made.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import Timing, environment, save, timed
from lrm_sdk import native
from models.camera import orbit
from models.evaluation.fitted import load_field, native_field
from models.field import Triplane
from models.render import RenderSpec, render

FIELD = Path(__file__).parent / "data" / "triposr_size_field.safetensors"
RENDER = RenderSpec(step="unit", samples=128, box_scale=0.999)  # TripoSR's
THRESHOLD = 25.0  # TripoSR's
POINTS = 1 << 18
SIDE = 256  # pixels, and grid points along an axis
CHUNK = 8192  # points that the public code decodes at a time; of 8192, 16384 and 65536 the fastest here
QUERY_BAR, RENDER_BAR, MESH_BAR, LARGE_MESH_BAR = 1.3, 60.0, 40.0, 100.0


def row(stage: str, ours: Timing, theirs: Timing, bar: float, error: dict) -> dict:
    return {
        "stage": stage, "native_s": ours.median, "native_p95_s": ours.p95, "torch_s": theirs.median,
        "torch_p95_s": theirs.p95, "ratio": theirs.median / ours.median, "bar": bar, **error,
    }  # fmt: skip


def bench_query(field: Triplane, threads: int) -> dict:
    points = (torch.rand((POINTS, 3), generator=torch.Generator().manual_seed(0)) * 2 - 1) * field.spec.radius
    fast = native_field(field, threads)
    theirs = timed(lambda: torch_query(field, points), repeats=9)
    ours = timed(lambda: fast.query(points.numpy()), repeats=9)
    exact = field_double(field)
    density = torch_query(exact, points.double())[0].numpy()
    error = np.abs(ours.result[0] - density).max() / np.abs(density).max()
    return row("query, 262144 points", ours, theirs, QUERY_BAR, {"density_error": float(error)})


def torch_query(field: Triplane, points: torch.Tensor, chunk: int = CHUNK) -> tuple:
    parts = [field.query(p[None]) for p in points.split(chunk)]
    return tuple(torch.cat([p[k][0] for p in parts]) for k in (0, 1))


def field_double(field: Triplane) -> Triplane:
    import copy

    return Triplane(field.planes.double(), copy.deepcopy(field.decoder).double())


def bench_render(field: Triplane, threads: int) -> list[dict]:
    """The first view of a field makes its occupancy lattice; the others find it made."""
    camera = orbit(30, 20, distance=2.6, fov=40, size=(SIDE, SIDE))
    parameters = native.CameraParameters(
        SIDE, SIDE, camera.fx, camera.fy, camera.cx, camera.cy, camera.camera_to_world.numpy()
    )
    spec = RENDER
    options = native.RenderOptions(step=spec.step, sample_count=spec.samples, box_scale=spec.box_scale)
    rays = CHUNK // spec.samples
    theirs = timed(lambda: render(field, camera, spec, chunk=rays)[0].numpy(), warmup=0, repeats=3)
    first = timed(lambda: native_field(field, threads).render(parameters, options)[0])
    again = native_field(field, threads)
    following = timed(lambda: again.render(parameters, options)[0])
    rows = []
    for stage, ours in (("first render, 256 x 256", first), ("following renders", following)):
        difference = np.abs(ours.result - theirs.result)
        psnr = -10 * np.log10(np.square(difference).mean())
        extra = {"max_difference_of_255": float(difference.max() * 255), "psnr_db": float(psnr)}
        rows.append(row(stage, ours, theirs, RENDER_BAR, extra))
    return rows


def bench_mesh(field: Triplane, threads: int) -> list[dict]:
    theirs = timed(lambda: torch_mesh(field), warmup=0, repeats=3)
    larger = Timing([8 * s for s in theirs.seconds], None)
    rows = []
    for side, peer, bar in ((SIDE, theirs, MESH_BAR), (2 * SIDE, larger, LARGE_MESH_BAR)):
        for name, options in mesh_options(side).items():
            ours = timed(lambda options=options: native_field(field, threads).mesh(options))
            extra = {"vertices": len(ours.result.vertices)}
            if side == SIDE and name == "as the original":
                extra |= surface_errors(ours.result.vertices, *theirs.result[:2], field.spec.radius)
            rows.append(row(f"coloured mesh, {side}^3, {name}", ours, peer, bar, extra))
    return rows


def mesh_options(side: int) -> dict[str, native.MeshOptions]:
    return {
        "as the original": native.MeshOptions(
            side, THRESHOLD, refine_steps=0, close_border=False, normals=False
        ),
        "refined": native.MeshOptions(side, THRESHOLD),
    }


def surface_errors(ours: np.ndarray, dense: np.ndarray, faces: np.ndarray, radius: float) -> dict:
    """Hausdorff distance between the vertices, over the components that the coarse pass saw; the
    share of the dense mesh's vertices in the others (specks)."""
    cell = 2 * radius / (SIDE - 1)
    to_ours = distances(dense, ours) / cell
    component = components(len(dense), faces)
    nearest = np.full(component.max() + 1, np.inf)
    np.minimum.at(nearest, component, to_ours)
    seen = (nearest < 0.05)[component]
    to_dense = distances(ours, dense) / cell
    return {
        "hausdorff_cells": float(max(to_dense.max(), to_ours[seen].max())),
        "missed_share": float(1 - seen.mean()),
    }


def components(count: int, faces: np.ndarray) -> np.ndarray:
    """The connected component of each of `count` vertices."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, columns = faces[:, [0, 1]].T
    more_rows, more_columns = faces[:, [1, 2]].T
    rows, columns = np.concatenate([rows, more_rows]), np.concatenate([columns, more_columns])
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    labels: np.ndarray = connected_components(graph, directed=False)[1]
    return labels


def torch_mesh(field: Triplane) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from skimage.measure import marching_cubes

    density = field.density_grid(SIDE, chunk=CHUNK)[0].numpy()
    vertices, faces, _, _ = marching_cubes(density, THRESHOLD, method="lorensen")
    vertices = vertices * (2 * field.spec.radius / (SIDE - 1)) - field.spec.radius
    colors = torch_query(field, torch.from_numpy(vertices.astype(np.float32)))[1]
    return vertices, faces, colors.numpy()


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """From each vertex of a to the nearest of b."""
    from scipy.spatial import cKDTree

    nearest: np.ndarray = cKDTree(b).query(a)[0]
    return nearest


def table(rows: list[dict]) -> str:
    lines = ["| stage | native, s | PyTorch, s | ratio | bar | check |", "|---|---|---|---|---|---|"]
    known = {"stage", "native_s", "native_p95_s", "torch_s", "torch_p95_s", "ratio", "bar"}
    for r in rows:
        check = ", ".join(f"{k} {v:.3g}" for k, v in r.items() if k not in known)
        times = f"{r['native_s']:.3f} | {r['torch_s']:.2f} | {r['ratio']:.1f} | {r['bar']}"
        lines.append(f"| {r['stage']} | {times} | {check} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    field = load_field(FIELD)
    with torch.no_grad():
        rows = [
            bench_query(field, args.threads),
            *bench_render(field, args.threads),
            *bench_mesh(field, args.threads),
        ]
    print(table(rows))
    facts = environment(torch=torch.__version__, instruction_set=native.instruction_set())
    print(save("field", {"environment": facts | {"threads": args.threads}, "rows": rows}))


if __name__ == "__main__":
    main()
