"""The public TripoSR code: picture -> coloured mesh file, as its run.py does it on a CPU.

Needs, in its own Python: torch, transformers 4.35, einops, omegaconf, trimesh, rembg, imageio,
torchmcubes. Two things of it are replaced where they cannot be had, and the result says so: the encoder's
config.json, which it would download (the sizes are those of the published model), and torchmcubes (by
PyMCubes).
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import types
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.made import Made, in_stages
from benchmarks.peers.arguments import peer_arguments
from benchmarks.ways import serve

FOREGROUND_RATIO = 0.85  # run.py's default
ENCODER = {"hidden_size": 768, "image_size": 224, "layer_norm_eps": 1e-12, "patch_size": 16, "qkv_bias": True}


def install_stand_ins(folder: Path) -> list[str]:
    """What had to be replaced."""
    replaced = []
    if importlib.util.find_spec("torchmcubes") is None:
        module = types.ModuleType("torchmcubes")
        module.marching_cubes = marching_cubes_of_pymcubes  # type: ignore[attr-defined]
        sys.modules["torchmcubes"] = module
        replaced.append("torchmcubes by PyMCubes")
    import huggingface_hub

    original = huggingface_hub.hf_hub_download

    def local(repo_id: str, filename: str, **options: Any) -> str:
        try:
            return str(original(repo_id, filename, local_files_only=True, **options))
        except Exception:  # not in the cache
            (folder / filename).write_text(json.dumps(ENCODER))
            replaced.append("the encoder's config.json")
            return str(folder / filename)

    huggingface_hub.hf_hub_download = local
    return replaced


def marching_cubes_of_pymcubes(density: Any, threshold: float) -> tuple[Any, Any]:
    """torchmcubes' interface: vertices as (z, y, x)."""
    import mcubes
    import torch

    vertices, faces = mcubes.marching_cubes(density.numpy(), threshold)
    return torch.from_numpy(vertices[:, ::-1].copy()).float(), torch.from_numpy(faces.astype("int64"))


def run_py(args: Namespace, target: Path) -> Callable[[int], Made]:
    """What run.py does with one picture, given a grid's side."""
    import numpy as np
    import torch
    from PIL import Image
    from tsr.system import TSR
    from tsr.utils import remove_background, resize_foreground

    torch.set_num_threads(args.threads)
    model = TSR.from_pretrained(str(args.checkpoint), config_name="config.yaml", weight_name="model.ckpt")
    model.renderer.set_chunk_size(8192)  # run.py's default

    def planes() -> Any:
        image = resize_foreground(remove_background(Image.open(args.picture), None), FOREGROUND_RATIO)
        values = np.array(image).astype(np.float32) / 255.0
        blended = values[:, :, :3] * values[:, :, 3:4] + (1 - values[:, :, 3:4]) * 0.5
        with torch.no_grad():
            return model([Image.fromarray((blended * 255.0).astype(np.uint8))], device="cpu")

    def call(side: int) -> Made:
        def mesh_file(codes: Any) -> Any:
            mesh = model.extract_mesh(codes, True, resolution=side, threshold=args.threshold)[0]
            mesh.export(target)
            return np.asarray(mesh.vertices, np.float32)

        codes, vertices, stages = in_stages(planes, mesh_file)
        return Made(codes[0].numpy(), vertices, stages)

    return call


def main() -> None:
    args = peer_arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        replaced = install_stand_ins(Path(folder))
        call = run_py(args, Path(folder) / "mesh.glb")

        def facts(made: Made) -> dict:
            return made.keep(args.made) | {"stand_ins": replaced}

        serve(lambda: call(args.side), facts, lambda: call(args.warm_up_side))


if __name__ == "__main__":
    main()
