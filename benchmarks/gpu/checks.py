"""Every kernel against the CPU stage: random fields of the three families, planes, points, pictures and
grids of odd sizes, outputs poisoned before the kernels write them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.gpu.errors import last_lines
from benchmarks.gpu.fields import FAMILIES, OpenDevice, Poisoned, random_field
from lrm_sdk.camera import Camera
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.picture import Picture, RepeatedPicture
from lrm_sdk.native import CameraParameters, Field, MeshOptions, RenderOptions

# Largest differences allowed: densities relative to the largest one, colours, pixels; a picture as a CUDA
# graph against the same one launched kernel by kernel. Of a surface in float32 faces (a count: rounding may
# put a node on the other side of the threshold), grid edges, normals, colours; in half precision, where more
# nodes are on the other side, the share of faces more or less, how much farther than at the CPU stage's
# vertices density is from the threshold, colours.
BOUNDS = {
    "float32": {
        "density": 1e-4, "rgb": 1e-4, "pixel exhaustive": 1e-3, "pixel": 1 / 255, "replayed": 0.0,
        "faces": 20, "vertex": 1e-2, "normal": 1e-2, "color": 1e-2,
    },
    "float16": {
        "density": 1e-2, "rgb": 1e-2, "pixel exhaustive": 1e-2, "pixel": 1e-2, "replayed": 0.0,
        "face share": 1e-2, "level": 1e-2, "color": 1e-2,
    },
    "bfloat16": {
        "density": 5e-2, "rgb": 5e-2, "pixel exhaustive": 2e-2, "pixel": 2e-2, "replayed": 0.0,
        "face share": 5e-2, "level": 1e-2, "color": 1e-2,
    },
}  # fmt: skip
PLANES = (37, 53)


@dataclass(frozen=True)
class Sizes:
    points: int = 100_003
    grid: int = 33
    picture: tuple[int, int] = (131, 97)
    samples: int = 128
    # Prime intervals: no grid line lies on a border of texels, where normals are one side's or the other's.
    mesh: int = 62


# For compute-sanitizer, under which a kernel takes a hundred times as long, and for the tests.
SMALL = Sizes(points=301, grid=7, picture=(17, 9), samples=24, mesh=30)


def check_families(
    open_device: OpenDevice, sizes: Sizes, tell: Callable[[dict[str, Any]], None] = lambda found: None
) -> dict[str, Any]:
    """{"differences": {"family precision": {what: value}}, "failed": ["family precision what", ...]}. `tell`
    gets it after each field; one that raises an error is in "failed", with the error's text in "errors"."""
    found: dict[str, dict[str, float]] = {}
    failed: list[str] = []
    errors: dict[str, list[str]] = {}
    result = {"differences": found, "bounds": BOUNDS, "failed": failed, "errors": errors}
    for name, precision in itertools.product(FAMILIES, BOUNDS):
        field, bounds = f"{name} {precision}", BOUNDS[precision]
        try:
            row = found[field] = differences(name, open_device, sizes, precision)
        except Exception as error:  # a fault of one kernel need not be one of the others
            failed.append(f"{field} {type(error).__name__}")
            errors[field] = last_lines()
        else:
            failed += [f"{field} {what}" for what, value in row.items() if not value <= bounds[what]]
        tell(result)
    return result


def differences(
    name: str, open_device: OpenDevice, sizes: Sizes, precision: str = "float32"
) -> dict[str, float]:
    """What each kernel is off by, in the units of BOUNDS."""
    numbers = random_field(name, PLANES)
    cuda: Any = numbers.on_device(lambda spec: Poisoned(open_device(spec)), precision)
    native, down, radius = numbers.native(), cuda.device.download, numbers.options.radius
    points = np.random.default_rng(1).uniform(-1.3 * radius, 1.3 * radius, (sizes.points, 3))
    points = points.astype(np.float32)
    density, rgb = (down(a) for a in cuda.query(cuda.device.upload(points)))
    expected, expected_rgb = native.query(points)
    grid, expected_grid = down(cuda.density_grid(sizes.grid)), native.density_grid(sizes.grid)
    found = {
        "density": max(relative(density, expected), relative(grid, expected_grid)),
        "rgb": float(np.abs(rgb - expected_rgb).max()),
    }
    camera = Camera.orbit(30, 20, distance=2.6).parameters(*sizes.picture)
    wanted = native.render(camera, RenderOptions(sample_count=sizes.samples, exhaustive=True))
    for label, exhaustive in (("pixel exhaustive", True), ("pixel", False)):
        got = cuda.render(camera, RenderOptions(sample_count=sizes.samples, exhaustive=exhaustive))
        found[label] = max(float(np.abs(down(a) - b).max()) for a, b in zip(got[:2], wanted[:2], strict=True))
    found["replayed"] = replayed_difference(cuda, camera, RenderOptions(sample_count=sizes.samples))
    threshold = clear_threshold(native.density_grid(sizes.mesh))
    options = MeshOptions(sizes.mesh, threshold, exhaustive=True)
    compare = mesh_differences if precision == "float32" else rounded_mesh_differences
    return found | compare(cuda, native, options)


def replayed_difference(cuda: CudaField, camera: CameraParameters, options: RenderOptions) -> float:
    """The third time that a picture is drawn it is a graph; before, another camera's is drawn."""
    repeated = RepeatedPicture(Picture(cuda, (camera.width, camera.height), options))
    for azimuth in (0, 100):
        repeated.render(Camera.orbit(azimuth, 0).parameters(camera.width, camera.height))
    down = cuda.device.download
    got = [down(a) for a in repeated.render(camera)]
    wanted = [down(a) for a in cuda.render(camera, options)]
    return max(float(np.abs(a - b).max()) for a, b in zip(got, wanted, strict=True))


def clear_threshold(density: np.ndarray) -> float:
    """In the widest gap between densities of the middle third: rounding puts no node on its other side."""
    values = np.sort(density[density > 0])
    values = values[len(values) // 3 : 2 * len(values) // 3]
    widest = int(np.argmax(np.diff(values)))
    return float(values[widest] + values[widest + 1]) / 2


def relative(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max() / expected.max())


def mesh_differences(cuda: CudaField, native: Field, options: MeshOptions) -> dict[str, float]:
    """99th percentiles over the vertices, edge by edge; faces: how many only one side has."""
    mesh, expected = cuda.mesh(options), native.mesh(options)
    down = cuda.device.download
    order = edge_order(down(mesh.edges), side=options.resolution + 2)
    rank = np.zeros_like(order)
    rank[order] = np.arange(len(order))
    faces = face_set(rank[down(mesh.faces).astype(np.int64)]) ^ face_set(expected.faces.astype(np.int64))
    if len(order) != len(expected.vertices):
        return {"faces": float(len(faces)), "vertex": float("inf")}
    edge = 2 * cuda.options.radius / (options.resolution - 1)

    def nearly_worst(got: Any, wanted: Any) -> float:
        return float(np.quantile(np.abs(down(got)[order] - wanted).max(axis=1), 0.99))

    return {
        "faces": float(len(faces)),
        "vertex": nearly_worst(mesh.vertices, expected.vertices) / edge,
        "normal": nearly_worst(mesh.normals, expected.normals),
        "color": nearly_worst(mesh.colors, expected.colors),
    }


def rounded_mesh_differences(cuda: CudaField, native: Field, options: MeshOptions) -> dict[str, float]:
    """Percentiles over the vertices, some of which lie on the border; the share of faces more or less."""
    mesh, expected = cuda.mesh(options), native.mesh(options)
    down = cuda.device.download
    density, rgb = native.query(down(mesh.vertices))

    def level(density: np.ndarray) -> float:
        return float(np.quantile(np.abs(density / options.threshold - 1), 0.9))

    return {
        "face share": abs(len(down(mesh.faces)) / len(expected.faces) - 1),
        "level": max(level(density) - level(native.query(expected.vertices)[0]), 0.0),
        "color": float(np.quantile(np.abs(down(mesh.colors) - rgb).max(axis=1), 0.99)),
    }


def edge_order(edges: np.ndarray, side: int) -> np.ndarray:
    """The order that sorts vertices by their edges, x slowest: the CPU stage's."""
    x, y, z, axis = edges.astype(np.int64).T
    return np.argsort(((x * side + y) * side + z) * 4 + axis)


def face_set(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Faces from their lowest vertex on."""
    first = faces.argmin(axis=1)
    return set(map(tuple, np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1).tolist()))
