"""Has a stage become slower? Compared with what was recorded.

    python benchmarks/check.py            # or: make bench-check
    python benchmarks/check.py --record   # after a change that is meant

Absolute times say little on a machine that others use, so the cost of each stage is given in units of
the same field's point queries (the time of 262144 of them, timed in turn with the stages; the least of
several rounds), and that of the query in units of PyTorch's. One thread, so that other programs have a
core of their own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_field import FIELD, POINTS, RENDER, SIDE, THRESHOLD, torch_query
from benchmarks.measure import RESULTS, environment, save
from lrm_sdk import native
from models.camera import orbit
from models.evaluation.fitted import load_field, native_field
from models.field import Triplane

ROUNDS = 7
SLACK = 0.25


def stages(field: Triplane, threads: int) -> dict[str, Callable[[], object]]:
    points = np.random.default_rng(0).uniform(-1, 1, (POINTS, 3)).astype(np.float32) * field.spec.radius
    made = native_field(field, threads)
    camera = orbit(30, 20, distance=2.6, fov=40, size=(SIDE, SIDE))
    parameters = native.CameraParameters(
        SIDE, SIDE, camera.fx, camera.fy, camera.cx, camera.cy, camera.camera_to_world.numpy()
    )
    options = native.RenderOptions(step=RENDER.step, sample_count=RENDER.samples, box_scale=RENDER.box_scale)
    plain = native.MeshOptions(SIDE, THRESHOLD, refine_steps=0, normals=False)
    return {
        "torch query": lambda: torch_query(field, torch.from_numpy(points[: POINTS // 4])),
        "query": lambda: made.query(points),
        "field and first render": lambda: native_field(field, threads).render(parameters, options),
        "render": lambda: made.render(parameters, options),
        "mesh, linear": lambda: made.mesh(plain),
        "mesh, refined": lambda: made.mesh(native.MeshOptions(SIDE, THRESHOLD)),
    }


def least_seconds(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Of each, over rounds of all."""
    least = dict.fromkeys(calls, np.inf)
    for call in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            least[name] = min(least[name], time.perf_counter() - start)
    return least


def costs(field: Triplane, threads: int) -> dict[str, float]:
    seconds = least_seconds(stages(field, threads))
    unit = seconds["query"]
    ratios = {"query / torch query": unit / (4 * seconds["torch query"])}
    return ratios | {
        f"{n} / query": s / unit for n, s in seconds.items() if n not in ("query", "torch query")
    }


def judge(now: dict[str, float], before: dict[str, float]) -> list[str]:
    """A line for each figure, those that grew too much marked."""
    lines = []
    for name, value in now.items():
        mark = "" if value <= before[name] * (1 + SLACK) else "  WORSE"
        lines.append(f"{name:32} {value:8.3f}  recorded {before[name]:8.3f}{mark}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--record", action="store_true", help="make what is measured now the measure")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with torch.no_grad():
        ratios = costs(load_field(FIELD), threads=1)
    if args.record:
        facts = environment(instruction_set=native.instruction_set())
        print(save("check", {"environment": facts, "ratios": ratios}))
        return 0
    lines = judge(ratios, json.loads((RESULTS / "check.json").read_text())["ratios"])
    print("\n".join(lines))
    return 1 if any("WORSE" in line for line in lines) else 0


if __name__ == "__main__":
    raise SystemExit(main())
