"""The CUDA stage on this machine's GPU: compiles, checks every kernel against the CPU stage, times.

    python -m benchmarks.gpu_check [--device 0] [--out benchmarks/results]

Writes gpu_check.json and gpu_check.md. Without a GPU it compiles for six architectures, says so and
ends with status 0; a check that fails ends it with status 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.cuda.compile import compile_cubin, nvrtc_version
from lrm_sdk.cuda.field import CudaField
from lrm_sdk.cuda.gpu import GpuDevice
from lrm_sdk.cuda.layers import DeviceLayers
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.errors import BackendError
from lrm_sdk.native import Field, FieldOptions, MeshOptions, RenderOptions

ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")

# name: (channels, layer widths after the features, options), at the sizes of the public models.
FAMILIES: dict[str, tuple[int, tuple[int, ...], FieldOptions]] = {
    "triposr": (40, (64,) * 9 + (4,), FieldOptions(radius=0.87, activation="silu", density_bias=-1.0)),
    "openlrm": (
        80,
        (64,) * 9 + (4,),
        FieldOptions(
            axes=("xy", "xz", "zy"), density_activation="softplus", density_bias=-1.0, color_widen=0.001,
            outside="empty",
        ),
    ),
    "lrm": (
        32,
        (64, 64, 4),
        FieldOptions(align_corners=True, reduction="sum", density_activation="relu"),
    ),
}  # fmt: skip

# Largest differences allowed: densities relative to the largest one, colours, pixels; faces (a count:
# rounding may put a node on the other side of the threshold), grid edges, normals, colours.
BOUNDS = {
    "density": 1e-4, "rgb": 1e-4, "pixel exhaustive": 1e-3, "pixel": 1 / 255,
    "faces": 20, "vertex": 1e-2, "normal": 1e-2, "color": 1e-2,
}  # fmt: skip


def random_field(name: str, size: tuple[int, int], seed: int = 0) -> tuple[FieldOptions, Any, list, list]:
    """(options, planes, weights, biases); size is (height, width) of the planes."""
    channels, widths, options = FAMILIES[name]
    rng = np.random.default_rng(seed)
    features = channels * (3 if options.reduction == "concat" else 1)
    shapes = list(zip(widths, (features, *widths[:-1]), strict=True))
    planes = rng.standard_normal((3, channels, *size)).astype(np.float32)
    weights = [(rng.standard_normal(s) * 1.5 / np.sqrt(s[1])).astype(np.float32) for s in shapes]
    return options, planes, weights, [(0.1 * rng.standard_normal(s[0])).astype(np.float32) for s in shapes]


def on_gpu(index: int, options: FieldOptions, planes: Any, weights: list, biases: list) -> CudaField:
    widths = (weights[0].shape[1], *(w.shape[0] for w in weights))
    spec = Specialization.of(options, planes.shape[1:], widths)
    device = GpuDevice(spec, index)
    return CudaField(DeviceLayers(device, spec, options, weights, biases), device.upload(planes))


# -- Checks ------------------------------------------------------------------------------------------


def differences(name: str, index: int) -> dict[str, float]:
    """What each kernel is off by from the CPU stage, in the units of BOUNDS; planes of odd sizes."""
    parts = random_field(name, (37, 53))
    cuda, native = on_gpu(index, *parts), Field(*parts)
    down, radius = cuda.device.download, parts[0].radius
    points = np.random.default_rng(1).uniform(-1.3 * radius, 1.3 * radius, (100_003, 3)).astype(np.float32)
    density, rgb = (down(a) for a in cuda.query(cuda.device.upload(points)))
    expected, expected_rgb = native.query(points)
    grid, expected_grid = down(cuda.density_grid(33)), native.density_grid(33)
    found = {
        "density": max(relative(density, expected), relative(grid, expected_grid)),
        "rgb": float(np.abs(rgb - expected_rgb).max()),
    }
    camera = Camera.orbit(30, 20, distance=2.6).parameters(131, 97)
    for label, exhaustive in (("pixel exhaustive", True), ("pixel", False)):
        options = RenderOptions(exhaustive=exhaustive)
        got, wanted = cuda.render(camera, options), native.render(camera, RenderOptions(exhaustive=True))
        found[label] = max(float(np.abs(down(a) - b).max()) for a, b in zip(got[:2], wanted[:2], strict=True))
    return found | mesh_differences(cuda, native, float(np.median(expected_grid)) + 1e-3)


def relative(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(got - expected).max() / expected.max())


def mesh_differences(cuda: CudaField, native: Field, threshold: float) -> dict[str, float]:
    """99th percentiles over the vertices, edge by edge; faces: how many only one side has."""
    options = MeshOptions(resolution=61, threshold=threshold, exhaustive=True)
    mesh, expected = cuda.mesh(options), native.mesh(options)
    down = cuda.device.download
    order = edge_order(down(mesh.edges), side=63)
    rank = np.zeros_like(order)
    rank[order] = np.arange(len(order))
    faces = face_set(rank[down(mesh.faces).astype(np.int64)]) ^ face_set(expected.faces.astype(np.int64))
    if len(order) != len(expected.vertices):
        return {"faces": float(len(faces)), "vertex": float("inf")}
    edge = 2 * cuda.options.radius / 60

    def nearly_worst(got: Any, wanted: Any) -> float:
        return float(np.quantile(np.abs(down(got)[order] - wanted).max(axis=1), 0.99))

    return {
        "faces": float(len(faces)),
        "vertex": nearly_worst(mesh.vertices, expected.vertices) / edge,
        "normal": nearly_worst(mesh.normals, expected.normals),
        "color": nearly_worst(mesh.colors, expected.colors),
    }


def edge_order(edges: np.ndarray, side: int) -> np.ndarray:
    """The order that sorts vertices by their edges, x slowest: the CPU stage's."""
    x, y, z, axis = edges.astype(np.int64).T
    return np.argsort(((x * side + y) * side + z) * 4 + axis)


def face_set(faces: np.ndarray) -> set[tuple[int, ...]]:
    """Faces from their lowest vertex on."""
    first = faces.argmin(axis=1)
    return set(map(tuple, np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1).tolist()))


# -- Times -------------------------------------------------------------------------------------------


def milliseconds(device: GpuDevice, work: Callable[[], Any], repeats: int = 20) -> dict[str, float]:
    """GPU time by events on the stream: median and 95th percentile, after three calls to warm up."""
    from cuda.core import EventOptions

    for _ in range(3):
        work()
    timed = EventOptions(timing_enabled=True)
    times = []
    for _ in range(repeats):
        begin = device.stream.record(options=timed)
        work()
        end = device.stream.record(options=timed)
        end.sync()
        times.append(end - begin)
    return {"median_ms": float(np.median(times)), "p95_ms": float(np.quantile(times, 0.95))}


def multiply_adds(weights: list) -> int:
    """Of a point: the layers after the first, and 12 for each of the first one's outputs."""
    return 12 * weights[0].shape[0] + sum(w.size for w in weights[1:])


def timings(index: int) -> dict[str, Any]:
    """At TripoSR's size."""
    parts = random_field("triposr", (64, 64))
    cuda = on_gpu(index, *parts)
    device: Any = cuda.device
    count = 1 << 22
    radius = parts[0].radius
    points = np.random.default_rng(2).uniform(-radius, radius, (count, 3)).astype(np.float32)
    on_device, camera = device.upload(points), Camera.orbit(30, 20, distance=2.6).parameters(512, 512)
    # Density close to the 98th percentile: a surface of an ordinary object's extent.
    threshold = float(np.quantile(device.download(cuda.density_grid(65)), 0.98))
    result: dict[str, Any] = {
        "query 4M points": milliseconds(device, lambda: cuda.query(on_device)),
        "render 512x512": milliseconds(device, lambda: cuda.render(camera, RenderOptions(step="unit"))),
        "mesh 256^3": milliseconds(device, lambda: cuda.mesh(MeshOptions(256, threshold)), repeats=5),
    }
    seconds = result["query 4M points"]["median_ms"] / 1e3
    result["points_per_second"] = count / seconds
    result["teraflops"] = 2e-12 * multiply_adds(parts[2]) * count / seconds
    return result


# -- Report ------------------------------------------------------------------------------------------


def compiled() -> dict[str, Any]:
    """architecture -> seconds and bytes of the kernels at TripoSR's size."""
    options, planes, weights, _ = random_field("triposr", (64, 64))
    spec = Specialization.of(options, planes.shape[1:], (120, *(w.shape[0] for w in weights)))
    rows = {}
    for arch in ARCHITECTURES:
        start = time.perf_counter()
        code = compile_cubin(spec, arch)
        rows[arch] = {"seconds": round(time.perf_counter() - start, 2), "bytes": len(code)}
    return rows


def gpu_report(index: int) -> dict[str, Any]:
    found = {name: differences(name, index) for name in FAMILIES}
    failed = [
        f"{name} {what}"
        for name, row in found.items()
        for what, value in row.items()
        if not value <= BOUNDS[what]
    ]
    return {"differences": found, "bounds": BOUNDS, "failed": failed, "timings": timings(index)}


def markdown(report: dict[str, Any]) -> str:
    lines = [f"# CUDA stage on {report['gpu'] or 'no GPU'}", "", f"NVRTC {report['nvrtc']}.", ""]
    lines += ["| architecture | compile s | bytes |", "|---|---|---|"]
    lines += [f"| {arch} | {row['seconds']} | {row['bytes']} |" for arch, row in report["compiled"].items()]
    if "differences" in report:
        lines += ["", "| field | " + " | ".join(BOUNDS) + " |", "|---" * (len(BOUNDS) + 1) + "|"]
        for name, row in report["differences"].items():
            lines.append(f"| {name} | " + " | ".join(f"{row[what]:.1e}" for what in BOUNDS) + " |")
        lines += ["", "| stage (TripoSR's size) | median ms | 95 % ms |", "|---|---|---|"]
        for stage, row in report["timings"].items():
            if isinstance(row, dict):
                lines.append(f"| {stage} | {row['median_ms']:.3f} | {row['p95_ms']:.3f} |")
        rate = report["timings"]
        lines += ["", f"{rate['points_per_second']:.3g} points/s, {rate['teraflops']:.2f} TFLOP/s."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    report: dict[str, Any] = {"nvrtc": nvrtc_version(), "gpu": None, "compiled": compiled()}
    try:
        report["gpu"] = gpu_name(args.device)
    except BackendError as error:
        print(f"no GPU: {error}\ncompiled only; run this where there is one")
    if report["gpu"]:
        report |= gpu_report(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "gpu_check.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.out / "gpu_check.md").write_text(markdown(report))
    print(markdown(report))
    for failure in report.get("failed", []):
        print(f"FAILED: {failure}")
    return 1 if report.get("failed") else 0


def gpu_name(index: int) -> str:
    from lrm_sdk.cuda.gpu import open_device

    return str(open_device(index).name)


if __name__ == "__main__":
    raise SystemExit(main())
