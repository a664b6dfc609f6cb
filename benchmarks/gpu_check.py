"""Everything that waits for a GPU, on this machine's: compiles, checks, times, judges. No network.

    python -m benchmarks.gpu_check [--device 0] [--out benchmarks/results] [--checkpoint models/lrm-tiny]
        [--only PART ...] [--timeout SECONDS] [--roads BACKEND:PRECISION ...] [--engines FOLDER]

    tanh            the GPU's tanh.approx, which half precision rests on
    checks          every kernel against the CPU stage
    stages          the CUDA stage's times in every precision of the field, against the roofline
    pytorch         the same work in PyTorch
    networks        an engine by every installed road: errors, times, picture to mesh
    torch network   the same network in PyTorch
    sanitizer       compute-sanitizer over a small run of the checks

Each part is a process of its own: what is missing or fails leaves the others alone, and what a part had
found before it was stopped or failed is kept. gpu_check.json and gpu_check.md are written after each. Without
--checkpoint the network is a TripoSR of random weights; a checkpoint's own onnx/network.onnx is taken if it
is there. With --engines the engines FOLDER/BACKEND.PRECISION.lrm are taken where they are there, else
built there and kept.
Status 1 without a GPU, or if a part fails; a figure that misses its bar is told, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu import baselines, checks, networks, roofline, sanitizer, stages, tanh
from benchmarks.gpu.fields import OpenDevice, random_field
from benchmarks.gpu.table import markdown
from benchmarks.measure import environment
from lrm_sdk.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
RESULT = "gpu_check result: "  # in front of the line that a part's process answers with
SO_FAR = "gpu_check so far: "  # in front of what it has found until then
TIMEOUT = 3600.0  # seconds a part
KEPT_LINES = 15  # of what a process said before it failed


# -- Parts: each runs in a process of its own -----------------------------------------------------------


def tell(found: dict[str, Any]) -> None:
    print(SO_FAR + json.dumps(found), flush=True)


def opener(index: int) -> OpenDevice:
    from lrm_sdk.cuda.gpu import GpuDevice

    return lambda spec: GpuDevice(spec, index)


def run_device(args: argparse.Namespace) -> dict[str, Any]:
    """Facts, and the seconds that compiling the kernels takes."""
    from lrm_sdk.cuda.compile import compile_cubin, nvrtc_version

    facts = roofline.device_facts(args.device)
    arch = "sm_" + "".join(map(str, facts["compute_capability"]))
    start = time.perf_counter()
    size = len(compile_cubin(random_field("triposr", (64, 64)).specialization(), arch))
    compiled = {"seconds": time.perf_counter() - start, "bytes": size, "nvrtc": nvrtc_version()}
    return facts | {"compiled": compiled}


def run_tanh(args: argparse.Namespace) -> dict[str, Any]:
    return tanh.sweep(args.device)


def run_checks(args: argparse.Namespace) -> dict[str, Any]:
    return checks.check_families(opener(args.device), checks.Sizes(), tell)


def run_small_checks(args: argparse.Namespace) -> dict[str, Any]:
    return checks.check_families(opener(args.device), checks.SMALL)


def run_stages(args: argparse.Namespace) -> dict[str, Any]:
    return stages.time_stages(opener(args.device), roofline.device_facts(args.device), tell)


def run_pytorch(args: argparse.Namespace) -> dict[str, Any]:
    missing = baselines.missing_torch()
    if missing is not None:
        return {"skipped": missing}
    return baselines.time_reference(f"cuda:{args.device}", args.vertices, tell=tell)


def run_networks(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lrm-gpu-check-") as temporary:
        checkpoint = args.checkpoint or networks.write_random_triposr(Path(temporary) / "checkpoint")
        return networks.run_roads(
            checkpoint, Path(temporary), f"cuda:{args.device}", args.roads, args.engines, tell
        )


def run_torch_network(args: argparse.Namespace) -> dict[str, Any]:
    missing = baselines.missing_torch()
    if missing is not None:
        return {"skipped": missing}
    return networks.time_torch(args.checkpoint, f"cuda:{args.device}", tell=tell)


def run_sanitizer(args: argparse.Namespace) -> dict[str, Any]:
    missing = sanitizer.missing_sanitizer()
    if missing is not None:
        return {"skipped": missing}
    return sanitizer.sanitize(args.device, min(args.timeout, TIMEOUT) * 0.95)  # ends before it is ended


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "device": run_device,
    "tanh": run_tanh,
    "checks": run_checks,
    "stages": run_stages,
    "pytorch": run_pytorch,
    "networks": run_networks,
    "torch network": run_torch_network,
    "sanitizer": run_sanitizer,
}
SMALL_CHECKS = "small checks"  # what the sanitizer looks at


# -- The whole ------------------------------------------------------------------------------------------


def in_own_process(name: str, arguments: list[str], timeout: float = TIMEOUT) -> dict[str, Any]:
    """The part's result, or {"error": ...} however its process ended."""
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--part", name, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        error = {"error": f"not finished after {timeout:g} s", "said": _last_lines(late.stderr)}
        return _told(SO_FAR, late.stdout) | error
    if result := _told(RESULT, done.stdout):
        return result
    said = _last_lines(done.stderr) or ["nothing was said"]
    error = {"error": f"status {done.returncode}: {said[-1]}", "said": said}
    return _told(SO_FAR, done.stdout) | error


def _told(mark: str, output: str | bytes | None) -> dict[str, Any]:
    """What the last line with that mark says; nothing where there is none."""
    lines = [line for line in _text(output).splitlines() if line.startswith(mark)]
    return json.loads(lines[-1].removeprefix(mark)) if lines else {}


def _last_lines(output: str | bytes | None) -> list[str]:
    return _text(output).strip().splitlines()[-KEPT_LINES:]


def _text(output: str | bytes | None) -> str:
    """subprocess.TimeoutExpired has bytes even where text was asked for."""
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def failures(parts: dict[str, Any]) -> list[str]:
    """What makes the status 1."""
    found = [f"{name}: {part['error']}" for name, part in parts.items() if "error" in part]
    for name in ("tanh", "checks"):
        found += [f"{name}: {what}" for what in parts.get(name, {}).get("failed", [])]
    for name in ("stages", "networks", "sanitizer"):
        for what, row in parts.get(name, {}).items():
            if isinstance(row, dict) and ("error" in row or row.get("passed") is False):
                found.append(f"{name}, {what}: {row.get('error', row.get('summary', 'not the model'))}")
    return found


def write_report(report: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "gpu_check.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomically(folder / "gpu_check.md", markdown(report).encode())


def run_all(args: argparse.Namespace) -> int:
    report: dict[str, Any] = {"environment": environment(), "seconds": {}, "parts": {}}
    for name in args.only or PARTS:
        print(f"{name} ...", flush=True)
        arguments = ["--device", str(args.device), "--timeout", str(args.timeout)]
        for option, path in (("--checkpoint", args.checkpoint), ("--engines", args.engines)):
            if path is not None:
                arguments += [option, str(path.absolute())]
        arguments += ["--roads", *map(":".join, args.roads)]
        vertices = report["parts"].get("stages", {}).get("float32", {}).get("vertices")
        if vertices is not None:
            arguments += ["--vertices", str(vertices)]
        start = time.perf_counter()
        report["parts"][name] = in_own_process(name, arguments, args.timeout)
        report["seconds"][name] = round(time.perf_counter() - start, 1)
        write_report(report, args.out)
    print(markdown(report))
    found = failures(report["parts"])
    for failure in found:
        print(f"FAILED: {failure}")
    return 1 if found else 0


def _road(text: str) -> tuple[str, str]:
    backend, _, precision = text.partition(":")
    return backend, precision


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", type=int, default=0, help="the GPU, as CUDA numbers them")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--checkpoint", type=Path, help="of the network; default: TripoSR, random weights")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), help="these parts; default: all")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="seconds a part; default: %(default)g")
    parser.add_argument(
        "--roads", nargs="+", type=_road, default=list(networks.ROADS), metavar="BACKEND:PRECISION",
        help="of the network, such as tensorrt-rtx:float16; default: all",
    )  # fmt: skip
    parser.add_argument("--engines", type=Path, help="folder of engines, which are kept there")
    parser.add_argument("--part", choices=[*PARTS, SMALL_CHECKS], help=argparse.SUPPRESS)
    parser.add_argument("--vertices", type=int, default=100_000, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    from lrm_sdk.backends.nvidia import open_device
    from lrm_sdk.errors import BackendError

    try:
        open_device(args.device)
    except BackendError as error:
        print(f"gpu_check needs an NVIDIA GPU: {error}", file=sys.stderr)
        return 1
    if args.part is None:
        return run_all(args)
    run = run_small_checks if args.part == SMALL_CHECKS else PARTS[args.part]
    result = run(args)
    print(RESULT + json.dumps(result))
    return 1 if result.get("failed") else 0


if __name__ == "__main__":
    raise SystemExit(main())
