"""A turntable of 60 views, 256 x 256, from the field to the encoded file.

    python benchmarks/bench_turntable.py --engine out/lrm-tiny.lrm

The field of TripoSR's size of bench_field.py, and what lrm-tiny makes of the pictures in examples/
(its fields are fog rather than surfaces: a ray meets many samples that count). *first view* includes
the lattice that the others find made; *encoding* is that of frames made before, which in the whole
runs beside the rendering as far as the encoder has threads of its own.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_field import FIELD, RENDER
from benchmarks.measure import environment, save
from lrm_sdk import Camera, Reconstructor, native
from lrm_sdk.progress import ProgressReporter
from lrm_sdk.scene import Frame
from lrm_sdk.video import save_turntable
from models.evaluation.fitted import load_field, native_field

VIEWS, SIZE, ELEVATION, FPS = 60, (256, 256), 15.0, 30.0
BAR_S = 12.0
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


class FittedScene:
    """As much of a Scene as a turntable needs, of the field that `python -m models.fit` made."""

    def __init__(self, threads: int) -> None:
        self.triplane = load_field(FIELD)
        self.field = native_field(self.triplane, threads)

    def render(self, camera: Camera, *, size: tuple[int, int], progress: Any = None) -> Frame:
        placed = camera.placed((0.0, 0.0, 0.0), self.triplane.spec.radius)
        options = native.RenderOptions(
            step=RENDER.step, sample_count=RENDER.samples, box_scale=RENDER.box_scale
        )
        return Frame(*self.field.render(placed.parameters(*size), options))


class Kept:
    """A scene that was rendered before."""

    def __init__(self, frames: list[Frame]) -> None:
        self.frames = iter(frames)

    def render(self, camera: Camera, *, size: tuple[int, int], progress: Any = None) -> Frame:
        return next(self.frames)


def seconds_to_save(scene: Any, path: Path) -> float:
    start = time.perf_counter()
    settings = {"views": VIEWS, "size": SIZE, "elevation": ELEVATION, "fps": FPS}
    save_turntable(scene, path, **settings, progress=ProgressReporter(None))
    return time.perf_counter() - start


def figures(name: str, scene: Any, folder: Path) -> dict:
    """The whole first, on a field without a lattice; then its parts."""
    whole = seconds_to_save(scene, folder / "whole.mp4")
    start = time.perf_counter()
    cameras = [Camera.orbit(azimuth=360 * i / VIEWS, elevation=ELEVATION) for i in range(VIEWS)]
    frames = [scene.render(camera, size=SIZE) for camera in cameras]
    rendering = time.perf_counter() - start
    encoding = seconds_to_save(Kept(frames), folder / "encoded.mp4")
    return {
        "field": name, "seconds": whole, "bar_s": BAR_S, "rendering_s": rendering, "encoding_s": encoding,
        "alpha_mean": float(sum(f.alpha.mean() for f in frames) / VIEWS),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", type=Path, help="of lrm-tiny; without it only the fitted field")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        warm = Kept(FittedScene(args.threads).render(Camera.orbit(), size=SIZE) for _ in range(VIEWS))
        seconds_to_save(warm, Path(folder) / "warm.mp4")  # loads the encoder
        rows = [figures("fitted chair", FittedScene(args.threads), Path(folder))]
        if args.engine:
            with Reconstructor(args.engine, device="cpu", threads=args.threads) as reconstructor:
                for picture in sorted(EXAMPLES.glob("*.png")):
                    scene = reconstructor.run(picture)
                    rows.append(figures(f"lrm-tiny, {picture.stem}", scene, Path(folder)))
    for row in rows:
        print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    facts = environment(torch=torch.__version__, instruction_set=native.instruction_set())
    print(save("turntable", {"environment": facts | {"threads": args.threads}, "rows": rows}))


if __name__ == "__main__":
    main()
