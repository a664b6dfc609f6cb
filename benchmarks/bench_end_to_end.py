"""Picture -> coloured mesh file: an engine, the PyTorch way, and the way of C++ applications today.

    python benchmarks/bench_end_to_end.py --engine out/lrm-tiny.lrm --checkpoint models/lrm-tiny
    python benchmarks/bench_end_to_end.py --engine triposr.lrm --checkpoint FOLDER --name triposr_end_to_end \
        --ways lrm-sdk "openvino float32" --peer triposr=CHECKOUT --peer-python PYTHON

    lrm-sdk    Reconstructor.run, Scene.mesh with linear vertices as the others have them, Mesh.save; the
               network that `lrm tune` found
    BACKEND PRECISION  the same with that network of the engine
    torch      the family's network, density on the dense grid, marching cubes, colours at the vertices
    onnx       the same with network and decoder as ONNX graphs in ONNX Runtime
    a peer     public code in a checkout, by its own Python (benchmarks/peers)

torch and onnx take marching cubes from scikit-image (--marching skimage) or PyMCubes (mcubes). Each way has
a process of its own, whose peak memory is told, and they run in turn (ways.py); the 99th percentile of the
distance from its vertices to those of --exact (default: the first way), in cells, says whether they made
the same surface.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save
from benchmarks.ways import in_turn, peak_gb, serve
from lrm_sdk import Mesh, Reconstructor
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.images import load_image
from lrm_sdk.preprocess import prepare

WAYS = ("lrm-sdk", "torch", "onnx")
PEERS = ("triposr",)  # benchmarks/peers/NAME.py
CHUNK = 1 << 16  # points

Query = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # points [N, 3] -> density [N], rgb [N, 3]


def picture_tensor(engine: Engine, picture: Path) -> np.ndarray:
    return prepare(load_image(picture), engine.manifest.input).tensor


def sdk_way(args: argparse.Namespace) -> Callable[[], Mesh]:
    backend, _, precision = args.way.partition(" ")
    wish = {"backend": backend, "precision": precision} if precision else {}
    rec = Reconstructor(args.engine, threads=args.threads, **wish)
    print(rec.backend_report, flush=True)
    options = {
        "refine_steps": 0, "normals": False, "close_border": False, "exhaustive": args.exhaustive
    }  # fmt: skip
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


def serve_way(args: argparse.Namespace) -> None:
    make = {"torch": torch_way, "onnx": onnx_way}.get(args.way, sdk_way)(args)
    with tempfile.TemporaryDirectory() as folder:

        def whole() -> Mesh:
            mesh = make()
            mesh.save(Path(folder) / "mesh.glb")
            return mesh

        def facts(mesh: Mesh) -> dict:
            np.save(args.vertices, mesh.vertices)
            return {"peak_gb": peak_gb(), "vertices": len(mesh.vertices)}

        serve(whole, facts)


def commands(args: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    common = [
        "--checkpoint", str(args.checkpoint), "--picture", str(args.picture), "--side", str(args.side),
        "--threads", str(args.threads),
    ]  # fmt: skip
    own = [sys.executable, __file__, "--engine", str(args.engine), "--marching", args.marching, *common]
    own += ["--exhaustive"] if args.exhaustive else []
    chosen = {way: [*own, "--way", way, "--vertices", str(vertices_file(folder, way))] for way in args.ways}
    threshold = load_engine(args.engine, check_hashes=False).manifest.mesh.threshold
    for name, _, checkout in (peer.partition("=") for peer in args.peer):
        if name not in PEERS or not Path(checkout).is_dir():
            raise SystemExit(
                f"--peer: expected NAME=CHECKOUT, NAME one of {', '.join(PEERS)}, got {name}={checkout}"
            )
        script = Path(__file__).parent / "peers" / f"{name}.py"
        chosen[f"{name}, public code"] = [
            str(args.peer_python), str(script), "--checkout", checkout, "--threshold", str(threshold),
            "--vertices", str(vertices_file(folder, f"{name}, public code")), *common,
        ]  # fmt: skip
    return chosen


def vertices_file(folder: Path, way: str) -> Path:
    return folder / f"{way}.npy"


def compare(args: argparse.Namespace) -> list[dict]:
    from scipy.spatial import cKDTree

    engine = load_engine(args.engine, check_hashes=False)
    cell = 2 * engine.sdk_radius / (args.side - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = in_turn(commands(args, folder), args.repeats)
        tree = cKDTree(np.load(vertices_file(folder, args.exact or args.ways[0]), allow_pickle=False))  # noqa: TID251
        for row in rows:
            vertices = np.load(vertices_file(folder, row["way"]), allow_pickle=False)  # noqa: TID251
            if row["way"] not in args.ways:  # a peer's are in the model's own frame
                vertices = vertices @ engine.native_to_sdk[:3, :3].T + engine.native_to_sdk[:3, 3]
            row["distance_p99_cells"] = float(np.percentile(tree.query(vertices)[0], 99) / cell)
            row["ratio"] = 1 / row["ratio"]  # times the first way's
            print(row, flush=True)
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
    parser.add_argument(
        "--exhaustive", action="store_true", help="lrm-sdk looks at every cell too (fields of random weights)"
    )
    parser.add_argument("--ways", nargs="+", default=list(WAYS), metavar="WAY")
    parser.add_argument("--exact", metavar="WAY", help="whose surface the others are compared with")
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=CHECKOUT", help=f"{', '.join(PEERS)}")
    parser.add_argument("--peer-python", type=Path, default=sys.executable, help="has what the peers need")
    parser.add_argument("--name", default="end_to_end", help="of the file in benchmarks/results")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--vertices", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.way is not None:
        return serve_way(args)
    facts = environment() | {"threads": args.threads, "marching": args.marching}
    print(save(args.name, {"environment": facts, "rows": compare(args)}))


if __name__ == "__main__":
    main()
