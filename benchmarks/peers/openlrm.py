"""The public OpenLRM code: picture -> coloured mesh file, by its own LRMInferrer on a CPU.

Needs, in its own Python: torch, accelerate, omegaconf, huggingface_hub 0.36, safetensors, PyMCubes, trimesh,
imageio. Two things of it are replaced where they cannot be had, and the result says so: DINOv2's pretrained
weights, which it would download before it overwrites them with the checkpoint's (it gets the checkpoint's at
once), and, without torchvision, its training code, which is imported along.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import tempfile
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made import Made
from benchmarks.peers.arguments import peer_arguments
from benchmarks.ways import peak_gb, serve

CONFIGURATIONS = {512: "infer-s.yaml", 768: "infer-b.yaml", 1024: "infer-l.yaml"}  # by width
ENCODER = "encoder.model."  # before DINOv2's own keys


def install_stand_ins(checkpoint: Path) -> list[str]:
    """What had to be replaced."""
    import torch

    def encoder_of_the_checkpoint(url: str, **options: Any) -> dict[str, Any]:
        return encoder_weights(checkpoint)

    torch.hub.load_state_dict_from_url = encoder_of_the_checkpoint
    replaced = ["DINOv2's download by the checkpoint's encoder"]
    if importlib.util.find_spec("torchvision") is None:
        sys.modules["openlrm.runners.train"] = types.ModuleType("openlrm.runners.train")
        replaced.append("the training code, which wants torchvision, by nothing")
    return replaced


def encoder_weights(checkpoint: Path) -> dict[str, Any]:
    """DINOv2's tensors by its own keys."""
    from safetensors import safe_open

    with safe_open(checkpoint / "model.safetensors", "pt") as file:
        return {k.removeprefix(ENCODER): file.get_tensor(k) for k in file.keys() if k.startswith(ENCODER)}  # noqa: SIM118


def configuration(checkpoint: Path) -> str:
    """The public one for a checkpoint of this width."""
    width = json.loads((checkpoint / "config.json").read_text())["transformer_dim"]
    if width not in CONFIGURATIONS:
        raise SystemExit(f"{checkpoint}: expected a width of {sorted(CONFIGURATIONS)}, got {width}")
    return CONFIGURATIONS[width]


def launch(args: Namespace) -> Any:
    """The public inferrer, told by its command line; every size that is not given is its configuration's."""
    os.environ["ACCELERATE_USE_CPU"] = "true"
    sys.argv = [
        "openlrm.launch", "--infer", str(args.checkout / "configs" / configuration(args.checkpoint)),
        f"model_name={args.checkpoint}", f"image_input={args.picture}", "export_video=false",
        "export_mesh=true", f"mesh_size={args.side}", f"mesh_thres={args.threshold}", "logger=WARNING",
    ]  # fmt: skip
    import torch
    from openlrm.runners.infer.lrm import LRMInferrer

    torch.set_num_threads(args.threads)
    return LRMInferrer()


class Watched:
    """Calls of a method in another's object go through; the last one's result and seconds are kept."""

    def __init__(self, owner: Any, method: str) -> None:
        self._call = getattr(owner, method)
        setattr(owner, method, self)
        self.result: Any = None
        self.began = self.seconds = 0.0

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.began = perf_counter()
        self.result = self._call(*args, **options)
        self.seconds = perf_counter() - self.began
        return self.result


def infer_single(args: Namespace, target: Path) -> Callable[[int], dict[str, Any]]:
    """What the public launcher does with one picture, given a grid's side: planes and seconds."""
    inferrer = launch(args)
    planes, mesh = Watched(inferrer, "infer_planes"), Watched(inferrer, "infer_mesh")
    grid = Watched(inferrer.model.synthesizer, "forward_grid")

    def call(side: int) -> dict[str, Any]:
        inferrer.cfg.mesh_size = side
        start = perf_counter()
        inferrer.infer_single(str(args.picture), None, False, True, "", str(target))
        end = perf_counter()
        stages = {"planes": mesh.began - start, "mesh": end - mesh.began, "grid": grid.seconds}
        grid.result = None  # gigabytes
        return {"planes": planes.result[0].numpy(), "stages": stages}

    return call


def main() -> None:
    args = peer_arguments(__doc__)
    replaced = install_stand_ins(args.checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "mesh.ply"

        def facts(last: dict[str, Any]) -> dict:
            import numpy as np
            import trimesh

            peak = peak_gb()  # before the mesh is read again
            vertices = np.asarray(trimesh.load(target, process=False).vertices, np.float32)
            return Made(vertices=vertices, **last).keep(args.made) | {"peak_gb": peak, "stand_ins": replaced}

        call = infer_single(args, target)
        serve(lambda: call(args.side), facts, lambda: call(args.warm_up_side))


if __name__ == "__main__":
    main()
