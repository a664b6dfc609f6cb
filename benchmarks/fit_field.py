"""Fits a field of TripoSR's size to the pictures of one object: the field that benches measure.

    python benchmarks/fit_field.py --data data/packed/heldout --object NAME

A random field of this size is surface everywhere, a trained one is mostly empty: speed must be
measured on the second kind. Planes 3 x 40 x 64 x 64, decoder 120 - 64 x 9 - 4, SiLU, stored float16.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.field import FieldDecoder, FieldSpec, Triplane
from models.render import RenderSpec
from models.training.config import TrainConfig
from models.training.dataset import Batch, PackedRenders
from models.training.losses import random_background, ray_losses, total
from models.training.occupancy import HAZE, is_solid
from models.training.rays import pick_rays, render_batch

SPEC = FieldSpec(
    radius=0.87, axes=("xy", "xz", "yz"), widths=(120, *[64] * 9, 4), activation="silu",
    density_activation="exp", density_bias=-1.0,
)  # fmt: skip
RENDER = RenderSpec(step="unit", samples=128, box_scale=0.999)
THRESHOLD = 25.0  # TripoSR's
FILE = Path(__file__).parent / "data" / "triposr_size_field.safetensors"
CONFIG = TrainConfig(batch=1, views=24, rays=64, learning_rate=4e-3, lambda_mask=1.0, lambda_depth=0.3)
POINTS = 4096  # per step, for the haze
SCALE = 0.8  # the object fills [-0.9, 0.9]^3; TripoSR's box has half side 0.87


def all_views(data: PackedRenders, obj: int) -> Batch:
    """Every view of one object, shrunk to fit the box."""
    rgba, depth = data.rgba(obj, list(range(data.views))), data.depths(obj).float()
    cameras = data.camera_to_world[obj].clone()
    cameras[:, :3, 3] *= SCALE
    no_input = torch.zeros(1, 3, 1, 1)
    return Batch(no_input, rgba[None], depth[None] * SCALE, cameras[None], data.focal[obj][None], None)


def fit(batch: Batch, steps: int) -> Triplane:
    torch.manual_seed(0)
    field = Triplane(nn.Parameter(torch.randn(1, 3, 40, 64, 64) * 0.1), FieldDecoder(SPEC))
    optimizer = torch.optim.Adam(field.parameters(), lr=CONFIG.learning_rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, CONFIG.learning_rate, steps, pct_start=0.05)
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        rays = pick_rays(batch, CONFIG, generator)
        rendered = render_batch(field, rays, CONFIG, generator)
        terms = ray_losses(rays, rendered, random_background(1, generator))
        # Neighbouring texels that differ without need make floaters between the views.
        smooth = sum(field.planes.diff(dim=d).square().mean() for d in (3, 4))
        loss = total(terms, CONFIG)
        terms["haze"] = haze(field, batch, generator)
        (loss + 0.02 * smooth + CONFIG.lambda_haze * terms["haze"]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if (step + 1) % 25 == 0:
            shown = " ".join(f"{k} {v.item():.4f}" for k, v in terms.items())
            print(f"\rstep {step + 1}/{steps} {shown}", end="", flush=True)
    print()
    return field


def haze(field: Triplane, batch: Batch, generator: torch.Generator) -> Tensor:
    """Density where some view sees through, in e-folds above HAZE. A model trained at length has none."""
    points = (torch.rand((POINTS, 3), generator=generator) * 2 - 1) * SPEC.radius
    empty = ~is_solid(points, batch.depth[0], batch.camera_to_world[0], batch.focal[0])
    return torch.log1p(field.query(points[None])[0][0] / HAZE)[empty].mean()


def save(field: Triplane, path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"planes": field.planes[0]} | field.decoder.state_dict()
    save_file({k: v.detach().half().contiguous() for k, v in tensors.items()}, path)


def load(path: Path = FILE) -> Triplane:
    """The fitted field, float32, batch 1."""
    from safetensors.torch import load_file

    tensors = {k: v.float() for k, v in load_file(path).items()}
    planes = tensors.pop("planes")
    decoder = FieldDecoder(SPEC)
    decoder.load_state_dict(tensors)
    return Triplane(planes[None], decoder).requires_grad_(False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a packed split (models/data/pack.py)")
    parser.add_argument("--object", required=True, help="its name in names.json")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--out", type=Path, default=FILE)
    args = parser.parse_args()
    data = PackedRenders(args.data)
    if args.object not in data.names:
        raise SystemExit(f"{args.object}: not in {args.data}; it has {', '.join(data.names)}")
    field = fit(all_views(data, data.names.index(args.object)), args.steps)
    save(field, args.out)
    print(args.out)


if __name__ == "__main__":
    main()
