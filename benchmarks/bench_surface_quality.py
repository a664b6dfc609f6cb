"""How true a mesh of 256^3 is: angles and distances to surfaces that are known, and a picture.

    python benchmarks/bench_surface_quality.py

A ball and a torus whose planes hold their exact equation, and the fitted chair of bench_field.py,
judged by its own mesh at three times the resolution. "marching cubes" places vertices by linear
interpolation of density, as the public codes do; "refined" on the true surface (the SDK's default);
"smoothed" by Taubin's filter (Mesh.smoothed). Angles are between the true normal and: the faces'
("face"), the area-weighted mean of the faces' around a vertex ("vertex"), and the mesh's own normals
("delivered"). Distances are those of the vertices, in cells. The picture goes to docs/surface.png.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save
from benchmarks.shading import draw_flat
from benchmarks.surfaces import SIDE, Shape, ball, extract, fitted, torus
from lrm_sdk import Mesh, native
from lrm_sdk.mesh_processing import vertex_normals
from lrm_sdk.video import save_png

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "surface.png"
PICTURE_SIDE = 400
LABEL_HEIGHT = 28
SMOOTHING = 10  # iterations
METHODS = {
    "marching cubes": lambda field: extract(field, SIDE, 0),
    "refined": lambda field: extract(field, SIDE, 8),
    f"refined, smoothed {SMOOTHING}": lambda field: extract(field, SIDE, 8).smoothed(SMOOTHING),
}


def quality(shape: Shape, mesh: Mesh) -> dict[str, float]:
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    areas = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    whole = np.linalg.norm(areas, axis=1) > 1e-6 * shape.cell**2  # slivers have no direction
    normals, distances = shape.surface(mesh.vertices)
    pairs = {
        "face": (areas[whole], shape.surface(corners[whole].mean(axis=1))[0]),
        "vertex": (vertex_normals(mesh.vertices, mesh.faces), normals),
        "delivered": (mesh.normals, normals),
    }
    figures = {}
    for name, (ours, true) in pairs.items():
        angles = angles_deg(ours, true)
        figures |= {f"{name}_mean_deg": float(angles.mean()), f"{name}_p99_deg": percentile99(angles)}
    cells = distances / shape.cell
    return figures | {
        "distance_rms_cells": float(np.sqrt(np.square(cells).mean())),
        "distance_p99_cells": percentile99(cells),
    }


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between the rows of a and b, [N, 3] each; accurate for small angles, too."""
    a = a / np.linalg.norm(a, axis=1, keepdims=True)
    half_chord = np.linalg.norm(a - b, axis=1) / 2
    angles: np.ndarray = np.rad2deg(2 * np.arcsin(np.clip(half_chord, 0, 1)))
    return angles


def percentile99(values: np.ndarray) -> float:
    return float(np.percentile(values, 99))


def strip(shape: Shape, meshes: dict[str, Mesh]) -> np.ndarray:
    """The shape by each method, side by side."""
    return np.concatenate([panel(shape, name, mesh) for name, mesh in meshes.items()], axis=1)


def panel(shape: Shape, method: str, mesh: Mesh) -> np.ndarray:
    import cv2

    picture = draw_flat(mesh.vertices, mesh.faces, shape.camera, PICTURE_SIDE)
    label = np.full((LABEL_HEIGHT, PICTURE_SIDE), 255, np.uint8)
    text = f"{shape.name}: {method}"
    cv2.putText(label, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1, cv2.LINE_AA)
    return np.concatenate([picture, label])


def table(rows: list[dict]) -> str:
    columns = [key for key in rows[0] if key not in ("shape", "method", "vertices")]
    heads = ["shape", "method", *(c.replace("_", " ") for c in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row["shape"], row["method"], *(f"{row[c]:.2g}" for c in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    rows: list[dict] = []
    strips = []
    for make in (ball, torus, fitted):
        shape = make(args.threads)
        meshes = {method: build(shape.field) for method, build in METHODS.items()}
        for method, mesh in meshes.items():
            facts = {"shape": shape.name, "method": method, "vertices": len(mesh.vertices)}
            rows.append(facts | quality(shape, mesh))
        if shape.camera is not None:
            strips.append(strip(shape, meshes))
    print(table(rows))
    gray = np.concatenate(strips)
    save_png(np.stack([gray] * 3, axis=2), PICTURE)
    facts = environment(instruction_set=native.instruction_set()) | {"threads": args.threads}
    print(PICTURE, save("surface_quality", {"environment": facts, "rows": rows}))


if __name__ == "__main__":
    main()
