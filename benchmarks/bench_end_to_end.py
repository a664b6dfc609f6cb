"""Picture -> coloured mesh file: an engine, the PyTorch way, and the way of C++ applications today.

    python benchmarks/bench_end_to_end.py --engine out/lrm-tiny.lrm --checkpoint models/lrm-tiny
    python benchmarks/bench_end_to_end.py --engine triposr.lrm --checkpoint FOLDER --name triposr_end_to_end \
        --ways lrm-sdk "openvino float32" --peer triposr=CHECKOUT --peer-python PYTHON

    lrm-sdk    Reconstructor.run, Scene.mesh with linear vertices as the others have them, Mesh.save; the
               network that `lrm tune` found
    BACKEND PRECISION  the same with that network of the engine
    torch      the family's network, density on the dense grid, marching cubes, colours at the vertices
    onnx       the same with network and decoder as ONNX graphs in ONNX Runtime
    a peer     (triposr, openlrm) public code in a checkout, by its own Python (benchmarks/peers)

torch and onnx take marching cubes from scikit-image (--marching skimage) or PyMCubes (mcubes). Each way has
a process of its own, whose peak memory is told, and they run in turn (ways.py); the relative l2 error of its
planes and the 99th percentile of the distance from its vertices to those of --exact (default: the first
way), in cells, say whether they made the same. Seconds of the stages are those of the last round.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.made import Made, in_stages, kept
from benchmarks.measure import environment, save
from benchmarks.picture_to_mesh import open_way
from benchmarks.ways import in_turn, serve
from lrm_sdk.engine import load_engine

WAYS = ("lrm-sdk", "torch", "onnx")
SAMPLE = 200_000  # vertices whose distance is taken: a surface of noise has millions
PEERS = ("triposr", "openlrm")  # benchmarks/peers/NAME.py


def serve_way(args: argparse.Namespace) -> None:
    way = open_way(args)
    with tempfile.TemporaryDirectory() as folder:

        def whole(side: int) -> Made:
            def mesh_file(planes: tuple) -> np.ndarray:
                mesh = way.mesh(planes[1], side)
                mesh.save(Path(folder) / "mesh.glb")
                return mesh.vertices

            planes, vertices, stages = in_stages(way.planes, mesh_file)
            return Made(planes[0], vertices, stages)

        serve(lambda: whole(args.side), lambda made: made.keep(args.made), lambda: whole(args.warm_up_side))


def commands(args: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    common = [
        "--checkpoint", str(args.checkpoint), "--picture", str(args.picture), "--side", str(args.side),
        "--warm-up-side", str(args.warm_up_side or args.side), "--threads", str(args.threads),
    ]  # fmt: skip
    own = [sys.executable, __file__, "--engine", str(args.engine), "--marching", args.marching, *common]
    own += ["--subject", args.subject]
    own += ["--exhaustive"] if args.exhaustive else []
    chosen = {way: [*own, "--way", way, "--made", str(made_file(folder, way))] for way in args.ways}
    threshold = load_engine(args.engine, check_hashes=False).manifest.mesh.threshold
    for name, _, checkout in (peer.partition("=") for peer in args.peer):
        if name not in PEERS or not Path(checkout).is_dir():
            raise SystemExit(
                f"--peer: expected NAME=CHECKOUT, NAME one of {', '.join(PEERS)}, got {name}={checkout}"
            )
        script = Path(__file__).parent / "peers" / f"{name}.py"
        chosen[f"{name}, public code"] = [
            str(args.peer_python), str(script), "--checkout", checkout, "--threshold", str(threshold),
            "--made", str(made_file(folder, f"{name}, public code")), *common,
        ]  # fmt: skip
    return chosen


def made_file(folder: Path, way: str) -> Path:
    return folder / f"{way}.npz"


def compare(args: argparse.Namespace) -> list[dict]:
    from scipy.spatial import cKDTree

    engine = load_engine(args.engine, check_hashes=False)
    cell = 2 * engine.sdk_radius / (args.side - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = in_turn(commands(args, folder), args.repeats)
        planes, vertices = kept(made_file(folder, args.exact or args.ways[0]))
        tree = cKDTree(vertices)
        for row in rows:
            own_planes, vertices = kept(made_file(folder, row["way"]))
            if row["way"] not in args.ways:  # a peer's are in the model's own frame
                vertices = vertices @ engine.native_to_sdk[:3, :3].T + engine.native_to_sdk[:3, 3]
            some = np.random.default_rng(0).permutation(vertices)[:SAMPLE]
            distances = tree.query(some, workers=args.threads)[0]
            row["distance_p99_cells"] = float(np.percentile(distances, 99) / cell)
            row["planes_error"] = relative_error(row["way"], own_planes, planes)
            row["ratio"] = 1 / row["ratio"]  # times the first way's
            print(row, flush=True)
    return rows


def relative_error(way: str, planes: np.ndarray, exact: np.ndarray) -> float:
    if planes.shape != exact.shape:
        raise SystemExit(
            f"{way}: expected planes of {exact.shape}, got {planes.shape}; build --engine from --checkpoint"
        )
    return float(np.linalg.norm(planes - exact) / np.linalg.norm(exact))


def parse_arguments() -> argparse.Namespace:
    root = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--picture", type=Path, default=root / "examples" / "teddy_bear.png")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--warm-up-side", type=int, help="every way warms up with; default: --side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--marching", choices=("skimage", "mcubes"), default="skimage")
    parser.add_argument(
        "--exhaustive", action="store_true", help="lrm-sdk looks at every cell too (fields of random weights)"
    )
    parser.add_argument(
        "--subject", choices=("auto", "whole"), default="auto",
        help="whole: lrm-sdk, torch and onnx take the picture as it is, as OpenLRM's public code does",
    )  # fmt: skip
    parser.add_argument("--ways", nargs="+", default=list(WAYS), metavar="WAY")
    parser.add_argument("--exact", metavar="WAY", help="whose surface the others are compared with")
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=CHECKOUT", help=f"{', '.join(PEERS)}")
    parser.add_argument("--peer-python", type=Path, default=sys.executable, help="has what the peers need")
    parser.add_argument("--name", default="end_to_end", help="of the file in benchmarks/results")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--made", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    if args.way is not None:
        return serve_way(args)
    facts = environment() | {"threads": args.threads, "marching": args.marching}
    print(save(args.name, {"environment": facts, "rows": compare(args)}))


if __name__ == "__main__":
    main()
