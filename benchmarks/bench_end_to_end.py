"""Picture -> coloured mesh file: an engine, the PyTorch way, and the way of C++ applications today.

    python benchmarks/bench_end_to_end.py --engine out/lrm-tiny.lrm --checkpoint models/lrm-tiny

    lrm-sdk    Reconstructor.run, Scene.mesh with linear vertices as the others have them, Mesh.save
    torch      the family's network, density on the dense grid, marching cubes, colours at the vertices
    onnx       the same with network and decoder as ONNX graphs in ONNX Runtime

The latter two take marching cubes from scikit-image (--marching skimage) or PyMCubes (mcubes). Each way
runs in a process of its own, whose peak memory is told; the 99th percentile of the distance from its
vertices to those of the first way, in cells, says whether they made the same surface.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save, timed
from lrm_sdk import Mesh, Reconstructor
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.images import load_image
from lrm_sdk.preprocess import prepare

WAYS = ("lrm-sdk", "torch", "onnx")
CHUNK = 1 << 16  # points

Query = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # points [N, 3] -> density [N], rgb [N, 3]


def picture_tensor(engine: Engine, picture: Path) -> np.ndarray:
    return prepare(load_image(picture), engine.manifest.input).tensor


def sdk_way(args: argparse.Namespace) -> Callable[[], Mesh]:
    rec = Reconstructor(args.engine, threads=args.threads)
    options = {"refine_steps": 0, "normals": False, "close_border": False}
    return lambda: rec.run(args.picture).mesh(resolution=args.side, **options)


def torch_way(args: argparse.Namespace) -> Callable[[], Mesh]:
    import torch

    from models.readers import load

    torch.set_num_threads(args.threads)
    network, engine = load(args.checkpoint), load_engine(args.engine)

    @torch.inference_mode()
    def run() -> Mesh:
        planes = network(torch.from_numpy(picture_tensor(engine, args.picture)))
        field = network.field(planes)

        def query(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            density, rgb = field.query(torch.from_numpy(points)[None])
            return density[0].numpy(), rgb[0].numpy()

        return dense_mesh(args, engine, query)

    return run


def onnx_way(args: argparse.Namespace) -> Callable[[], Mesh]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    engine = load_engine(args.engine)
    file = next(n.file for n in engine.manifest.networks if n.backend == "onnxruntime")
    network = onnxruntime.InferenceSession(engine.path(file), options)
    decoder = onnxruntime.InferenceSession(decoder_onnx(args), options)

    def run() -> Mesh:
        planes = network.run(None, {"image": picture_tensor(engine, args.picture)})[0]
        return dense_mesh(args, engine, lambda p: decoder.run(None, {"planes": planes, "points": p[None]}))

    return run


def decoder_onnx(args: argparse.Namespace) -> bytes:
    """planes [1, 3, C, H, W], points [1, N, 3] -> density [N], rgb [N, 3]."""
    import torch

    from models.readers import load

    network = load(args.checkpoint)
    spec = load_engine(args.engine).manifest.triplane

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, planes: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            density, rgb = self.network.field(planes).query(points)
            return density[0], rgb[0]

    example = (torch.zeros(1, *spec.shape), torch.zeros(1, 8, 3))
    free = {"planes": None, "points": {1: torch.export.Dim("count")}}
    program = torch.onnx.export(
        Decoder().eval(), example, dynamo=True, opset_version=20, dynamic_shapes=free, verbose=False,
        input_names=["planes", "points"], output_names=["density", "rgb"],
    )  # fmt: skip
    return program.model_proto.SerializeToString()


def dense_mesh(args: argparse.Namespace, engine: Engine, query: Query) -> Mesh:
    """Vertices as SDK points."""
    radius, threshold = engine.manifest.field.radius, engine.manifest.mesh.threshold
    line = np.linspace(-radius, radius, args.side, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    parts = np.array_split(points, -(-len(points) // CHUNK))
    density = np.concatenate([query(part)[0] for part in parts]).reshape((args.side,) * 3)
    vertices, faces = marched(args.marching, density, threshold)
    vertices = (vertices * (2 * radius / (args.side - 1)) - radius).astype(np.float32)
    colors = query(vertices)[1].astype(np.float32)
    moved = vertices @ engine.native_to_sdk[:3, :3].T + engine.native_to_sdk[:3, 3]
    return Mesh(moved.astype(np.float32), faces.astype(np.uint32), None, np.clip(colors, 0, 1))


def marched(library: str, density: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    if library == "mcubes":
        import mcubes

        vertices, faces = mcubes.marching_cubes(density, threshold)
        return vertices, faces
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(density, threshold, method="lorensen")
    return vertices, faces


def run_way(args: argparse.Namespace) -> dict:
    make = {"lrm-sdk": sdk_way, "torch": torch_way, "onnx": onnx_way}[args.way](args)
    with tempfile.TemporaryDirectory() as folder:

        def whole() -> np.ndarray:
            mesh = make()
            mesh.save(Path(folder) / "mesh.glb")
            return mesh.vertices

        timing = timed(whole, repeats=args.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    np.save(args.vertices, timing.result)
    return {"median_s": timing.median, "p95_s": timing.p95, "peak_gb": peak, "vertices": len(timing.result)}


def in_own_process(args: argparse.Namespace, way: str, vertices: Path) -> dict:
    command = [
        sys.executable, __file__, "--engine", str(args.engine), "--checkpoint", str(args.checkpoint),
        "--picture", str(args.picture), "--side", str(args.side), "--threads", str(args.threads),
        "--repeats", str(args.repeats), "--marching", args.marching, "--way", way,
        "--vertices", str(vertices),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{way}: {done.stderr}")
    row: dict = json.loads(done.stdout.splitlines()[-1])
    return {"way": way, **row}


def compare(args: argparse.Namespace) -> list[dict]:
    from scipy.spatial import cKDTree

    cell = 2 * load_engine(args.engine, check_hashes=False).sdk_radius / (args.side - 1)
    rows, tree = [], None
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            file = Path(folder) / f"{way}.npy"
            row = in_own_process(args, way, file)
            vertices = np.load(file, allow_pickle=False)  # noqa: TID251
            tree = tree or cKDTree(vertices)
            row["distance_p99_cells"] = float(np.percentile(tree.query(vertices)[0], 99) / cell)
            rows.append(row | {"ratio": row["median_s"] / rows[0]["median_s"] if rows else 1.0})
            print(rows[-1], flush=True)
    return rows


def parse_arguments() -> argparse.Namespace:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--picture", type=Path, default=root / "examples" / "teddy_bear.png")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--marching", choices=("skimage", "mcubes"), default="skimage")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--vertices", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.way is not None:
        print(json.dumps(run_way(args)))
        return
    facts = environment() | {"threads": args.threads, "marching": args.marching}
    print(save("end_to_end", {"environment": facts, "rows": compare(args)}))


if __name__ == "__main__":
    main()
