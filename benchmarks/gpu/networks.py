"""The network by every installed road against PyTorch, and the whole way from a picture to a mesh.

The engine is built here, from a checkpoint folder; without one from a TripoSR of random weights.
"""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gpu.errors import row_of
from benchmarks.gpu.timing import host_times, torch_times

ROADS = (
    ("tensorrt", "float16"), ("tensorrt", "float32"), ("tensorrt", "float8"),
    ("tensorrt-rtx", "float16"), ("tensorrt-rtx", "float32"), ("tensorrt-rtx", "float8"),
    ("onnxruntime", "float32"),
)  # fmt: skip


def write_random_triposr(folder: Path) -> Path:
    """A checkpoint of TripoSR's size (419 M); weights from a fixed seed, so all runs see the same."""
    import torch
    from safetensors.torch import save_file

    from models.triposr import TripoSR, TripoSRConfig

    torch.manual_seed(0)
    config = TripoSRConfig()
    folder.mkdir(parents=True)
    save_file(TripoSR(config).state_dict(), folder / "model.safetensors")
    text = json.dumps({"family": TripoSR.family, "config": config.to_json()})
    (folder / "config.json").write_text(text)
    return folder


def time_torch(
    checkpoint: Path | None,
    device: str,
    compiler: str = "inductor",
    tell: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Milliseconds of one picture in float16 (bfloat16 on a CPU): eager and torch.compile; float32 eager.

    checkpoint   None: a TripoSR of random weights.      tell   gets what is known before the compiler.
    """
    import torch

    low = torch.float16 if device != "cpu" else torch.bfloat16
    network = _torch_network(checkpoint, device).eval()
    size = network.config.image_size
    image = torch.rand(1, 3, size, size, device=device)
    found: dict[str, Any] = {}
    with torch.inference_mode():
        found["eager float32"] = torch_times(device, lambda: network(image))
        network, image = network.to(low), image.to(low)
        found["eager float16"] = torch_times(device, lambda: network(image), repeats=20)
        tell(found)
        compiled = torch.compile(network, backend=compiler)
        found["torch.compile float16"] = torch_times(device, lambda: compiled(image), repeats=20)
    return found


def _torch_network(checkpoint: Path | None, device: str) -> Any:
    import torch

    from models.readers import load
    from models.triposr import TripoSR, TripoSRConfig

    if checkpoint is not None:
        return load(checkpoint).to(device)
    with torch.device(device):  # where random numbers are made fast
        return TripoSR(TripoSRConfig())


def run_roads(
    checkpoint: Path,
    folder: Path,
    device: str,
    roads: Sequence[tuple[str, str]] = ROADS,
    engines: Path | None = None,
    tell: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """ "BACKEND PRECISION" -> what `lrm verify` says, milliseconds of the network and of picture to mesh; or
    {"skipped": why}, {"error": what}.

    folder    for temporary files.
    engines   where engines lie, or are kept: BACKEND.PRECISION.lrm. None: they are made in `folder` for once.
    tell      gets it after each road.
    """
    found: dict[str, Any] = {}
    for backend, precision in roads:
        engine = (engines or folder) / f"{backend}.{precision}.lrm"
        try:
            found[f"{backend} {precision}"] = _road(checkpoint, folder, engine, backend, precision, device)
        except Exception as error:  # of the libraries too; the other roads go on
            found[f"{backend} {precision}"] = row_of(error)
        finally:
            if engines is None:
                shutil.rmtree(engine, ignore_errors=True)  # gigabytes
        tell(found)
    return found


def exported(checkpoint: Path, folder: Path) -> Path:
    """The ONNX that ships with the checkpoint, else one that is made in `folder`, once."""
    shipped = checkpoint / "onnx" / "network.onnx"
    if shipped.is_file():
        return shipped
    if (folder / "network.onnx").is_file():
        return folder / "network.onnx"
    from export.export_onnx import ExportOptions, export_checkpoint
    from export.onnx_from_torch import OnnxOptions

    export_checkpoint(checkpoint, folder, OnnxOptions(), ExportOptions(compare=False))
    return folder / "network.onnx"


def _road(
    checkpoint: Path, folder: Path, engine: Path, backend: str, precision: str, device: str
) -> dict[str, Any]:
    from export.build_engine import BuildOptions, build_engine
    from lrm_sdk import Reconstructor
    from lrm_sdk.backends import GPU_TWINS, backend_module
    from lrm_sdk.verify import verify_loaded

    on_gpu = backend in GPU_TWINS and device != "cpu"
    module = importlib.import_module(GPU_TWINS[backend]) if on_gpu else backend_module(backend)
    missing = module.available(None)
    if missing is not None:
        return {"skipped": missing}
    if not engine.is_dir():
        onnx = exported(checkpoint, folder / "onnx")
        engine.parent.mkdir(parents=True, exist_ok=True)
        build_engine(engine, onnx=onnx, options=BuildOptions((backend,), (precision,)))
    with Reconstructor(engine, backend=backend, precision=precision, device=device) as rec:
        verified = verify_loaded(rec).to_json()
        found: dict[str, Any] = {
            "report": rec.backend_report,
            "planes_relative_error": verified["planes_relative_error"],
            "render_psnr_db": verified["render_psnr_db"],
            "passed": verified["passed"],
            "network": host_times(_network_run(rec)),
        }
        found |= _passes(rec, "float32")
    if rec.device != "cpu":
        with Reconstructor(
            engine, backend=backend, precision=precision, device=device, field_precision="float16"
        ) as rec:
            for what, times in _passes(rec, "float16").items():
                found[what] |= times
    return found


def _passes(rec: Any, field: str) -> dict[str, Any]:
    """What is timed -> precision of the field -> milliseconds."""
    found = {"picture to mesh": {field: host_times(_whole_pass(rec))}}
    if rec.device != "cpu" and hasattr(rec._network, "lent"):
        with rec.picture_pass() as frames:
            times = host_times(lambda: frames.run(_picture(rec), subject="whole"))
            graph = {"one_graph": frames.one_graph, "graph_problem": frames.graph_problem}
            found["picture to frame"] = {field: times | graph}
    return found


def _picture(rec: Any) -> np.ndarray:
    side = rec.engine.manifest.input.size
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def _network_run(rec: Any) -> Callable[[], Any]:
    """Planes stay on the GPU where the network can leave them there."""
    from lrm_sdk.backends import DeviceNetwork

    image = _picture(rec).transpose(2, 0, 1)[None].astype(np.float32) / 255
    network = rec._network  # no public call ends before the field is made
    if rec.device == "cpu" or not isinstance(network, DeviceNetwork):
        return lambda: rec.run_prepared(image)

    def run() -> None:
        with network.planes_on_device(image, lambda: None):
            pass

    run()
    return run


def _whole_pass(rec: Any) -> Callable[[], Any]:
    """uint8 picture -> coloured 256^3 mesh, left on the GPU. Cut where one point in a hundred is denser: with
    random weights the engine's threshold may lie anywhere."""
    from lrm_sdk.native import MeshOptions

    picture = _picture(rec)
    density = rec.run(picture, subject="whole").density_grid(32)
    options = MeshOptions(256, max(float(np.percentile(density, 99)), 1e-6), refine_steps=0, normals=False)

    def run() -> None:
        field: Any = rec.run(picture, subject="whole")._field
        if rec.device == "cpu":
            field.mesh(options)
            return
        mesh = field.field.mesh(options)  # on the GPU; HostField.mesh would download it
        mesh.vertices.stream.sync()

    run()
    return run
