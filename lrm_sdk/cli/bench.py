"""Times every stage of an engine on its own reference picture: median and slowest of several runs."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lrm_sdk.camera import Camera
from lrm_sdk.cli.common import add_engine_argument, add_network_arguments, network_options, table
from lrm_sdk.engine import VERIFICATION_FILE, read_tensors
from lrm_sdk.errors import EngineError
from lrm_sdk.native.checks import integer
from lrm_sdk.reconstructor import Reconstructor

HELP = "seconds per stage"
POINTS = 1 << 18


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_argument(parser)
    add_network_arguments(parser)
    parser.add_argument("--repeats", type=int, default=5, help="default: 5")


def main(args: argparse.Namespace) -> int:
    repeats = integer("repeats", args.repeats, 1, 10000)
    with Reconstructor(args.engine, **network_options(args)) as rec:
        print(rec.backend_report)
        rows = [_row(name, call, repeats) for name, call in _stages(rec)]
    print(table(["stage", "median, s", "slowest, s"], rows))
    return 0


def _stages(rec: Reconstructor) -> list[tuple[str, Callable[[], Any]]]:
    path = rec.engine.path(VERIFICATION_FILE)
    if not path.is_file():
        raise EngineError(f"{path}: missing, so there is no picture to run; build the engine again")
    image = read_tensors(path)["image"][-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    planes = rec.run_prepared(image)[0]
    scene = rec.scene_of(planes)
    reach = rec.engine.sdk_radius
    points = np.random.default_rng(0).uniform(-reach, reach, (POINTS, 3)).astype(np.float32)
    points += rec.engine.sdk_center
    camera = Camera.orbit(30, 20)
    return [
        ("network", lambda: rec.run_prepared(image)),
        ("field", lambda: rec.scene_of(planes)),
        (f"query, {POINTS} points", lambda: scene.query(points)),
        ("render, 512 x 512", lambda: scene.render(camera)),
        (f"mesh, {rec.engine.manifest.mesh.resolution}^3", scene.mesh),
    ]


def _row(name: str, call: Callable[[], Any], repeats: int) -> list[str]:
    call()  # the first run also makes what later ones keep
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return [name, f"{statistics.median(seconds):.4f}", f"{max(seconds):.4f}"]
