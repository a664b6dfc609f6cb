"""(checkpoint | ONNX) -> engine directory.

    python export/build_engine.py --onnx models/lrm-tiny/onnx/network.onnx --out lrm-tiny.lrm
    python export/build_engine.py --checkpoint models/lrm-tiny --out lrm-tiny.lrm
    python export/build_engine.py --checkpoint stabilityai/TripoSR --out triposr.lrm
    python export/build_engine.py --checkpoint stabilityai/TripoSR --out triposr.lrm \
        --backend onnxruntime openvino --precision float32 int8
    python export/build_engine.py --checkpoint stabilityai/TripoSR --out triposr.lrm \
        --backend native --precision bfloat16

Several backends and precisions give an engine with several networks; `lrm tune` finds the fastest.

From an ONNX that ships (its field, references and manifest lie beside it) no PyTorch is needed.
The engine is built in a temporary directory, verified against the PyTorch model's numbers, and only
then renamed to --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export.arguments import add_checkpoint_arguments, add_tensorrt_arguments
from export.backends import BACKENDS, backend_module
from export.backends.tensorrt import TensorRTOptions
from export.compare import compare_with_torch
from export.hashing import sha256
from export.source_manifest import has_manifest, read_source_manifest
from export.staging import TargetExists, staged_directory
from models.sources import locate

COMPANIONS = ("field.safetensors", "verification.safetensors")


class BuildError(RuntimeError):
    """The engine cannot be built; the message says what was expected, what came, what to do."""


@dataclass(frozen=True)
class BuildOptions:
    backends: Sequence[str] = ("onnxruntime",)
    precisions: Sequence[str] = ("float32",)  # each backend builds those of them that it has
    name: str | None = None  # default: the checkpoint's
    license: str | None = None  # default: that of the public weights, or unknown
    pictures: list[Path] = field(default_factory=list)
    revision: str | None = None  # of a hub id
    image_size: int | None = None  # where the checkpoint does not say it
    camera_distance: float | None = None  # of OpenLRM's source camera
    force: bool = False
    tensorrt: TensorRTOptions = field(default_factory=TensorRTOptions)

    def of_backend(self, name: str) -> dict:
        """Keyword arguments of the backend's own build."""
        return {"options": self.tensorrt} if name.startswith("tensorrt") else {}


class Steps:
    """Prints what is being done and how long it took."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self, text: str) -> None:
        print(f"[{time.perf_counter() - self.start:6.1f} s] {text}", flush=True)


@contextlib.contextmanager
def onnx_folder(
    checkpoint: str | Path | None, onnx: Path | None, options: BuildOptions, out: Path, report
) -> Iterator[Path]:
    """The path of an ONNX with its companions; exported into a temporary folder beside `out` if need be."""
    if onnx is not None:
        missing = [n for n in (onnx.name, *COMPANIONS) if not (onnx.parent / n).is_file()]
        if not has_manifest(onnx.parent):
            missing.append("manifest.json")
        if missing:
            expected = ", ".join(missing)
            raise BuildError(
                f"{onnx.parent}: expected {expected}; export/export_onnx.py makes the whole folder"
            )
        yield onnx
        return
    locate(checkpoint, revision=options.revision)  # a download shows its progress here
    report(f"exporting {checkpoint} to ONNX")
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as temporary:
        folder = Path(temporary) / "onnx"
        _export(str(checkpoint), folder, options)
        if "float32" not in options.precisions:  # a float32 engine is the ONNX itself, which is verified
            report("comparing the ONNX with PyTorch")
            references = load_file(folder / "verification.safetensors")
            compare_with_torch(folder / "network.onnx", references, "float32")
        yield folder / "network.onnx"


def _export(checkpoint: str, folder: Path, options: BuildOptions) -> None:
    """export_onnx.py in a process of its own, which gives PyTorch's memory back when it ends."""
    script = Path(__file__).with_name("export_onnx.py")
    command = [sys.executable, str(script), "--checkpoint", checkpoint, "--out", str(folder), "--no-compare"]
    chosen = {
        "--name": options.name, "--license": options.license, "--revision": options.revision,
        "--image-size": options.image_size, "--camera-distance": options.camera_distance,
    }  # fmt: skip
    command += [f"{flag}={value}" for flag, value in chosen.items() if value is not None]
    command += ["--pictures", *map(str, options.pictures)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise BuildError(_problem(done.stderr))


def _problem(text: str) -> str:
    """What export_onnx.py says last, without its name in front; all of it where it did not foresee it."""
    _, found, problem = text.rpartition("export_onnx: ")
    return problem.strip() if found else text.strip()


def build_engine(
    out: Path, *, checkpoint: str | Path | None = None, onnx: Path | None = None,
    options: BuildOptions | None = None, report=lambda text: None,
) -> dict:  # fmt: skip
    """Builds `out` from exactly one source; returns the manifest that was written."""
    options = options or BuildOptions()
    plan = networks_to_build(options.backends, options.precisions)
    with staged_directory(out, force=options.force) as stage:
        with onnx_folder(checkpoint, onnx, options, out, report) as source:
            manifest = read_source_manifest(source.parent)
            networks = [
                network
                for backend, precision in plan
                for network in backend_module(backend).build(
                    source, stage, precision, report, **options.of_backend(backend)
                )
            ]
            for name in COMPANIONS:
                shutil.copyfile(source.parent / name, stage / name)
        files = {p.name: {"size": p.stat().st_size, "sha256": sha256(p)} for p in sorted(stage.iterdir())}
        manifest |= {"networks": networks, "verification": {}, "files": files}
        _write_manifest(stage, manifest)
        report("verifying against the PyTorch model's numbers")
        manifest["verification"] = _verify(stage, networks) | {"build_peak_memory_gb": peak_memory_gb()}
        _write_manifest(stage, manifest)
    return manifest


def networks_to_build(backends: Sequence[str], precisions: Sequence[str]) -> list[tuple[str, str]]:
    """(backend, precision): all that were asked for and exist. Raises BuildError where one would give
    nothing."""
    offered = {name: backend_module(name).PRECISIONS for name in dict.fromkeys(backends)}
    plan = [(name, p) for name, known in offered.items() for p in dict.fromkeys(precisions) if p in known]
    idle = [name for name in offered if name not in [b for b, _ in plan]]
    unknown = [p for p in precisions if p not in [q for _, q in plan]]
    if idle or unknown:
        expected = "; ".join(f"{name} builds {', '.join(known)}" for name, known in offered.items())
        raise BuildError(f"precision: {expected}; got {', '.join(precisions)}")
    return plan


def peak_memory_gb() -> float:
    """Of this process or its exporter so far, mapped files that were read included."""
    processes = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return round(max(resource.getrusage(p).ru_maxrss for p in processes) * 1024 / 1e9, 2)


def _write_manifest(folder: Path, manifest: dict) -> None:
    (folder / "engine.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _verify(folder: Path, networks: list[dict]) -> dict:
    """The report on the staged engine's first network, those on the others under "others"."""
    first, *others = [_verify_network(folder, network) for network in networks]
    return first | {"others": others} if others else first


def _verify_network(folder: Path, network: dict) -> dict:
    """The report of lrm_sdk.verify; for a network that this machine cannot run, why. Raises BuildError if
    it fails."""
    from lrm_sdk.backends import unavailable
    from lrm_sdk.engine_schema import NetworkSpec
    from lrm_sdk.verify import verify_engine

    spec = NetworkSpec(**network)
    if (reason := unavailable(spec)) is not None:
        name = f"{spec.backend} {spec.precision}"
        return {"network": name, "precision": spec.precision, "passed": None, "not_verified": reason}
    report = verify_engine(folder, backend=spec.backend, precision=spec.precision)
    if not report.passed:
        raise BuildError(f"the engine does not reproduce the model:\n{report}")
    return report.to_json()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", help="hub id or folder: TripoSR, OpenLRM 1.1, lrm-sdk")
    source.add_argument("--onnx", type=Path, help="an ONNX with field, references and manifest beside it")
    parser.add_argument(
        "--backend", nargs="+", default=["onnxruntime"], choices=list(BACKENDS), help="default: onnxruntime"
    )
    parser.add_argument(
        "--precision", nargs="+", default=["float32"], metavar="NAME",
        help="float32 (default), float16, bfloat16, float8, int8, int8-dynamic, int8-static",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="engine directory, NAME.lrm")
    add_checkpoint_arguments(parser)
    add_tensorrt_arguments(parser)
    parser.add_argument("--force", action="store_true", help="replace --out")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    report = Steps()
    options = BuildOptions(
        args.backend, args.precision, args.name, args.license, args.pictures, args.revision,
        args.image_size, args.camera_distance, args.force,
        TensorRTOptions(
            args.max_batch, args.stripped, args.refittable, args.version_compatible,
            tuple(args.compute_capabilities), progress=True,
        ),
    )  # fmt: skip
    from lrm_sdk.errors import LrmError

    try:
        manifest = build_engine(
            args.out, checkpoint=args.checkpoint, onnx=args.onnx, options=options, report=report
        )
    except (BuildError, TargetExists, OSError, ValueError, LrmError) as problem:
        raise SystemExit(f"build_engine: {problem}") from problem
    except KeyboardInterrupt:
        raise SystemExit("build_engine: interrupted; nothing was written") from None
    for name, value in manifest["verification"].items():
        print(f"  {name}: {value}")
    report(f"{args.out} is ready")


if __name__ == "__main__":
    main()
