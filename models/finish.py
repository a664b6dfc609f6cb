"""A run's checkpoint -> the one that ships.

    python -m models.finish runs/lrm-tiny/checkpoint --choose data/packed/train --out runs/finished

    python -m models.finish runs/more/checkpoint --mean runs/lrm-tiny/checkpoint --out runs/finished

The second averages the weights of runs that began with one another's: the mean often generalises better
than each (Wortsman et al. 2022, "Model soups", arXiv 2203.05482).

Stores float16, sets the surface's threshold, and makes the field steeper around it: where a picture
leaves the shape open, training ends in fog, whose middle is the likeliest surface. The density becomes
threshold (density / threshold)^power, which leaves that surface where it is. With an exponential
activation this is a scale and a shift in the last layer; nothing changes at run time.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path

import torch
from torch import nn

import models
from models import checkpoint
from models.evaluation.sharpness import choices
from models.training.objects import PackedRenders

SHOWN = 8  # of the pairs tried


@torch.no_grad()
def steepen(model: nn.Module, power: float, threshold: float) -> None:
    """In place. Raises ValueError if the density's activation is not exp, or power is not positive."""
    spec = model.config.field
    if spec.density_activation != "exp":
        raise ValueError(f"power: needs the density activation exp, got {spec.density_activation}")
    if not (power > 0 and threshold > 0):
        raise ValueError(f"power, threshold: expected above 0, got {power}, {threshold}")
    last = model.decoder.layers[-1]
    last.weight[0] *= power
    last.bias[0] = power * last.bias[0] + (1 - power) * (math.log(threshold) - spec.density_bias)
    model.config = dataclasses.replace(model.config, mesh_threshold=threshold)


@torch.no_grad()
def average(model: nn.Module, others: list[nn.Module]) -> None:
    """The mean of all their weights, in place. Raises ValueError if they are not of one architecture."""
    states = [other.state_dict() for other in others]
    for name, value in model.state_dict().items():
        values = [state.get(name) for state in states]
        if any(v is None or v.shape != value.shape for v in values):
            got = [None if v is None else tuple(v.shape) for v in values]
            raise ValueError(f"{name}: expected {tuple(value.shape)} in all checkpoints, got {got}")
        if value.is_floating_point():
            value.copy_(torch.stack([value, *values]).mean(0))


def choose(model: nn.Module, training: Path) -> tuple[float, float]:
    """The power and the threshold of the best silhouettes; prints the next best too."""
    device = next(model.parameters()).device
    found = choices(model, PackedRenders(training, device))
    for choice in found[:SHOWN]:
        print(
            f"power {choice.power:g}, threshold {choice.threshold:g}: "
            f"silhouette IoU {choice.iou:.3f}, PSNR {choice.psnr:.2f} dB"
        )
    return found[0].power, found[0].threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, help="checkpoint folder")
    parser.add_argument(
        "--mean", type=Path, nargs="+", default=[], metavar="DIR", help="checkpoints to average it with"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--power", type=float, default=2.0, help="default: 2")
    parser.add_argument("--threshold", type=float, help="density of the surface; default: the source's")
    parser.add_argument(
        "--choose",
        type=Path,
        metavar="DIR",
        help="packed training objects: take the pair that shows them best",
    )
    parser.add_argument("--device", default="cpu", help="what --choose looks with: cpu, cuda; default: cpu")
    args = parser.parse_args()
    model = models.load(args.source).to(args.device)
    average(model, [models.load(folder).to(args.device) for folder in args.mean])
    power = args.power
    threshold = model.config.mesh_threshold if args.threshold is None else args.threshold
    if args.choose is not None:
        power, threshold = choose(model.eval(), args.choose)
    steepen(model, power, threshold)
    checkpoint.save(model, args.out, dtype=torch.float16)
    print(f"{args.out}: threshold {threshold:g}, power {power:g}, float16")


if __name__ == "__main__":
    main()
