"""The ways of this repository from a picture to a mesh: an engine, PyTorch, ONNX graphs in ONNX Runtime."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrm_sdk import Mesh, Reconstructor, Scene
from lrm_sdk.engine import Engine, load_engine
from lrm_sdk.images import load_image
from lrm_sdk.preprocess import prepare

CHUNK = 1 << 16  # points

Query = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # points [N, 3] -> density [N], rgb [N, 3]


@dataclass(frozen=True)
class Way:
    """planes()  from the picture's file: float32 [3, C, H, W], and what `mesh` takes beside a grid's side."""

    planes: Callable[[], tuple[np.ndarray, Any]]
    mesh: Callable[[Any, int], Mesh]


def open_way(args: Namespace) -> Way:
    """That of `args.way`: torch, onnx or an engine's."""
    return {"torch": torch_way, "onnx": onnx_way}.get(args.way, sdk_way)(args)


def picture_tensor(args: Namespace, engine: Engine) -> np.ndarray:
    return prepare(load_image(args.picture), engine.manifest.input, subject=args.subject).tensor


def sdk_way(args: Namespace) -> Way:
    backend, _, precision = args.way.partition(" ")
    wish = {"backend": backend, "precision": precision} if precision else {}
    rec = Reconstructor(args.engine, threads=args.threads, **wish)
    print(rec.backend_report, flush=True)
    options = {
        "refine_steps": 0, "normals": False, "close_border": False, "exhaustive": args.exhaustive
    }  # fmt: skip

    def planes() -> tuple[np.ndarray, Scene]:
        scene = rec.run(args.picture, subject=args.subject)
        return np.asarray(scene.planes), scene

    return Way(planes, lambda scene, side: scene.mesh(resolution=side, **options))


def torch_way(args: Namespace) -> Way:
    import torch

    from models.readers import load

    torch.set_num_threads(args.threads)
    network, engine = load(args.checkpoint), load_engine(args.engine)

    @torch.inference_mode()
    def planes() -> tuple[np.ndarray, torch.Tensor]:
        made = network(torch.from_numpy(picture_tensor(args, engine)))
        return made[0].numpy(), made

    @torch.inference_mode()
    def mesh(planes: torch.Tensor, side: int) -> Mesh:
        field = network.field(planes)

        def query(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            density, rgb = field.query(torch.from_numpy(points)[None])
            return density[0].numpy(), rgb[0].numpy()

        return dense_mesh(args.marching, engine, side, query)

    return Way(planes, mesh)


def onnx_way(args: Namespace) -> Way:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    engine = load_engine(args.engine)
    file = next(n.file for n in engine.manifest.networks if n.backend == "onnxruntime")
    network = onnxruntime.InferenceSession(engine.path(file), options)
    decoder = onnxruntime.InferenceSession(decoder_onnx(args), options)

    def planes() -> tuple[np.ndarray, np.ndarray]:
        made = network.run(None, {"image": picture_tensor(args, engine)})[0]
        return made[0], made

    def mesh(planes: np.ndarray, side: int) -> Mesh:
        return dense_mesh(
            args.marching, engine, side, lambda p: decoder.run(None, {"planes": planes, "points": p[None]})
        )

    return Way(planes, mesh)


def decoder_onnx(args: Namespace) -> bytes:
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


def dense_mesh(marching: str, engine: Engine, side: int, query: Query) -> Mesh:
    """Vertices as SDK points."""
    radius, threshold = engine.manifest.field.radius, engine.manifest.mesh.threshold
    line = np.linspace(-radius, radius, side, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    parts = np.array_split(points, -(-len(points) // CHUNK))
    density = np.concatenate([query(part)[0] for part in parts]).reshape((side,) * 3)
    vertices, faces = marched(marching, density, threshold)
    vertices = (vertices * (2 * radius / (side - 1)) - radius).astype(np.float32)
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
