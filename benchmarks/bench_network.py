"""The network of a checkpoint in PyTorch and in every form that an engine holds, on a CPU.

    python benchmarks/bench_network.py --checkpoint FOLDER --engine triposr.lrm

Every way has a process of its own and they run in turn (ways.py). Error and PSNR are those of the last
timed run against the engine's references. Of an engine's network also: the peak of its memory from picture
to 256^3 coloured mesh (PyTorch: of the network alone), the time from the start of the process to the first
such mesh, with compiled forms cached by a process before, and that of the second mesh from a picture. The
mesh is cut where one point in a hundred is denser, because the weights at hand may be random.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.measure import environment, save
from benchmarks.ways import in_turn, peak_gb, serve

START = time.perf_counter()  # NumPy and the SDK are imported after this
FLOAT32_BAR, BEST_BAR, BEST_PSNR_DB = 1.4, 3.5, 38.0


def serve_torch(args: argparse.Namespace) -> None:
    """The family's own network, eager, as the public code runs it."""
    import torch
    from safetensors.torch import load_file

    from lrm_sdk.engine import VERIFICATION_FILE
    from models.readers import load

    torch.set_num_threads(args.threads)
    network = load(args.checkpoint)
    image = load_file(args.engine / VERIFICATION_FILE)["image"][-1:].permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        serve(lambda: network(image), lambda planes: facts_of_torch(network, image))


def facts_of_torch(network: torch.nn.Module, image: torch.Tensor) -> dict:
    return {"peak_gb": peak_gb(), "tflop": counted_tflop(network, image)}


def counted_tflop(network: torch.nn.Module, image: torch.Tensor) -> float:
    """Of one picture: matrix products, convolutions, attention; nothing is computed."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network.to("meta")(image.to("meta"))
    return counter.get_total_flops() / 1e12


def serve_engine(args: argparse.Namespace) -> None:
    import numpy as np

    from lrm_sdk import Reconstructor
    from lrm_sdk.verify import read_references, reference_errors

    with Reconstructor(
        args.engine, backend=args.backend, precision=args.precision, threads=args.threads, check_hashes=False
    ) as rec:
        references = read_references(rec)
        picture = references["image"][-1]

        def mesh() -> int:
            scene = rec.run(picture, subject="whole")
            threshold = float(np.percentile(scene.density_grid(32), 99))
            return len(scene.mesh(resolution=256, threshold=threshold).vertices)

        facts = {"vertices": mesh(), "process_start_to_mesh_s": time.perf_counter() - START}
        if args.cache_only:
            return
        start = time.perf_counter()
        mesh()
        facts |= {"picture_to_mesh_s": time.perf_counter() - start, "peak_gb": peak_gb()}
        image = picture.transpose(2, 0, 1)[None].astype(np.float32) / 255

        def errors(planes: np.ndarray) -> dict:
            error, _, _, psnr = reference_errors(rec, references, -1, planes[0])
            return facts | {"planes_relative_error": error, "render_psnr_db": psnr}

        serve(lambda: rec.run_prepared(image), errors)


def command(args: argparse.Namespace, way: str) -> list[str]:
    return [
        sys.executable, __file__, "--checkpoint", str(args.checkpoint), "--engine", str(args.engine),
        "--threads", str(args.threads), "--way", way,
    ]  # fmt: skip


def compare(args: argparse.Namespace) -> list[dict]:
    from lrm_sdk.backends import unavailable
    from lrm_sdk.engine import load_engine

    ways = ["torch"]
    for network in load_engine(args.engine, check_hashes=False).manifest.networks:
        name = f"{network.backend} {network.precision}"
        if (why := unavailable(network)) is not None:
            print(f"{name}: left out, {why}")
            continue
        if not args.networks or name in args.networks:
            ways.append(name)
    for way in (way for way in ways if way.startswith("openvino")):
        subprocess.run([*command(args, way), "--cache-only"], check=True)
    return in_turn({way: command(args, way) for way in ways}, args.repeats)


def table(rows: list[dict]) -> str:
    lines = [
        "| network | median, s | p95 | ratio | planes | render, dB | peak, GB | start to mesh, s | again |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        error, start = "- | -", "- | -"
        if "render_psnr_db" in r:
            error = f"{r['planes_relative_error']:.1e} | {r['render_psnr_db']:.1f}"
            start = f"{r['process_start_to_mesh_s']:.1f} | {r['picture_to_mesh_s']:.1f}"
        times = f"{r['median_s']:.2f} | {r['p95_s']:.2f} | {r['ratio']:.2f}"
        lines.append(f"| {r['way']} | {times} | {error} | {r['peak_gb']:.2f} | {start} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--engine", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--networks", nargs="*", help='e.g. "openvino bfloat16"; default: all of the engine')
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--cache-only", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way is not None:
        args.backend, _, args.precision = args.way.partition(" ")
        return serve_torch(args) if args.way == "torch" else serve_engine(args)
    rows = compare(args)
    print(table(rows))
    exact = max((r["ratio"] for r in rows[1:] if r["way"].endswith("float32")), default=0)
    close = max((r["ratio"] for r in rows[1:] if r["render_psnr_db"] >= BEST_PSNR_DB), default=0)
    bars = (
        f"float32 {exact:.2f}x (bar {FLOAT32_BAR}x); from {BEST_PSNR_DB:g} dB {close:.2f}x (bar {BEST_BAR}x)"
    )
    print(bars)
    print(save("network", {"environment": environment() | {"threads": args.threads}, "rows": rows}))


if __name__ == "__main__":
    main()
