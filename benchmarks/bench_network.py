"""The network of a checkpoint in PyTorch and in every form that an engine holds, on a CPU.

    python benchmarks/bench_network.py --checkpoint FOLDER --engine triposr.lrm

Each way runs in a process of its own: start, the picture, then `--repeats` more of it; the peak of its
memory is that of picture -> planes -> 256^3 coloured mesh (PyTorch: the network alone). Error and PSNR
are those of the timed run against the engine's references. "start to mesh" is from the start of the
process to its first mesh, with the compiled forms of OpenVINO cached by the round before. The mesh is
cut where one point in a hundred is denser, because the weights at hand may be random.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save, timed

START = time.perf_counter()  # NumPy and the SDK are imported after this
FLOAT32_BAR, BEST_BAR, BEST_PSNR_DB = 1.4, 3.5, 38.0


def run_torch(args: argparse.Namespace) -> dict:
    """The family's own network, eager, as the public code runs it."""
    import torch
    from safetensors.torch import load_file

    from lrm_sdk.engine import VERIFICATION_FILE
    from models.readers import load

    torch.set_num_threads(args.threads)
    network = load(args.checkpoint)
    image = load_file(args.engine / VERIFICATION_FILE)["image"][-1:].permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        timing = timed(lambda: network(image), repeats=args.repeats)
    return {"median_s": timing.median, "p95_s": timing.p95, "tflop": counted_tflop(network, image)}


def counted_tflop(network: torch.nn.Module, image: torch.Tensor) -> float:
    """Of one picture: matrix products, convolutions, attention; nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network.to("meta")(image.to("meta"))
    return counter.get_total_flops() / 1e12


def run_engine(args: argparse.Namespace) -> dict:
    import numpy as np

    from lrm_sdk import Reconstructor
    from lrm_sdk.verify import read_references, reference_errors

    with Reconstructor(
        args.engine, backend=args.backend, precision=args.precision, threads=args.threads, check_hashes=False
    ) as rec:
        references = read_references(rec)
        picture = references["image"][-1]
        scene = rec.run(picture, subject="whole")
        mesh = scene.mesh(resolution=256, threshold=float(np.percentile(scene.density_grid(32), 99)))
        to_mesh, mesh_peak = time.perf_counter() - START, peak_gb()
        image = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
        timing = timed(lambda: rec.run_prepared(image), warmup=0, repeats=args.repeats)
        planes_error, _, _, psnr = reference_errors(rec, references, -1, timing.result[0])
    return {
        "median_s": timing.median, "p95_s": timing.p95, "process_start_to_mesh_s": to_mesh,
        "first_run_s": sum(scene.timings.values()), "mesh_peak_gb": mesh_peak, "vertices": len(mesh.vertices),
        "planes_relative_error": planes_error, "render_psnr_db": psnr,
    }  # fmt: skip


def peak_gb() -> float:
    """Resident, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def in_own_process(args: argparse.Namespace, way: str) -> dict:
    command = [
        sys.executable, __file__, "--checkpoint", str(args.checkpoint), "--engine", str(args.engine),
        "--repeats", str(args.repeats), "--threads", str(args.threads), "--way", way,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{way}: {done.stderr}")
    row: dict = json.loads(done.stdout.splitlines()[-1])
    print(way, row, flush=True)
    return {"way": way, **row}


def compare(args: argparse.Namespace) -> list[dict]:
    """All ways in turn, twice round, so that a busy machine is busy for all."""
    from lrm_sdk.engine import load_engine

    networks = load_engine(args.engine, check_hashes=False).manifest.networks
    ways = ["torch", *(f"{n.backend} {n.precision}" for n in networks)]
    rounds = [[in_own_process(args, way) for way in ways] for _ in range(2)]
    rows = []
    for first, second in zip(*rounds, strict=True):
        median = statistics.median([first["median_s"], second["median_s"]])
        rows.append(second | {"median_s": median})
    for row in rows:
        row["ratio"] = rows[0]["median_s"] / row["median_s"]
    return rows


def table(rows: list[dict]) -> str:
    lines = [
        "| network | median, s | ratio | planes, error | render, dB | peak, GB | start to mesh, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        known = "mesh_peak_gb" in r
        error = f"{r['planes_relative_error']:.1e} | {r['render_psnr_db']:.1f}" if known else "- | -"
        start = f"{r['process_start_to_mesh_s']:.1f}" if known else "-"
        peak = r.get("mesh_peak_gb", r["peak_gb"])
        lines.append(
            f"| {r['way']} | {r['median_s']:.2f} | {r['ratio']:.2f} | {error} | {peak:.2f} | {start} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way is not None:
        args.backend, _, args.precision = args.way.partition(" ")
        row = run_torch(args) if args.way == "torch" else run_engine(args)
        print(json.dumps(row | {"peak_gb": peak_gb()}))
        return
    rows = compare(args)
    print(table(rows))
    exact = max(r["ratio"] for r in rows[1:] if r["way"].endswith("float32"))
    close = max(r["ratio"] for r in rows[1:] if r["render_psnr_db"] >= BEST_PSNR_DB)
    bars = (
        f"float32 {exact:.2f}x (bar {FLOAT32_BAR}x); from {BEST_PSNR_DB:g} dB {close:.2f}x (bar {BEST_BAR}x)"
    )
    print(bars)
    print(save("network", {"environment": environment() | {"threads": args.threads}, "rows": rows}))


if __name__ == "__main__":
    main()
