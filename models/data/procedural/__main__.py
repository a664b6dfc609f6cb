"""A contact sheet of procedural objects: python -m models.data.procedural --out sheet.png."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from models.data.procedural.source import ProceduralObjects
from models.training.objects import PicturedObject


def strip(obj: PicturedObject) -> np.ndarray:
    """All views side by side over white, uint8 [S, V * S, 3]."""
    rgba = obj.images.cpu().float()
    alpha = rgba[..., 3:] / 255
    over = rgba[..., :3] * alpha + 255 * (1 - alpha)
    return np.concatenate(list(over.round().byte().numpy()), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=128, help="pixels")
    parser.add_argument("--views", type=int, default=4, help="per object, even")
    parser.add_argument("--columns", type=int, default=3, help="objects per row")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    source = ProceduralObjects(args.seed, args.size, args.views, args.device)
    begun = time.perf_counter()
    strips = [strip(source.object(index)) for index in range(args.count)]
    print(f"{(time.perf_counter() - begun) / args.count:.3f} s per object")
    strips += [np.full_like(strips[0], 255)] * (-args.count % args.columns)
    rows = [np.concatenate(strips[i : i + args.columns], 1) for i in range(0, len(strips), args.columns)]
    Image.fromarray(np.concatenate(rows)).save(args.out)


if __name__ == "__main__":
    main()
