"""(checkpoint | ONNX) -> engine directory.

    python export/build_engine.py --onnx models/lrm-tiny/onnx/network.onnx --out lrm-tiny.lrm
    python export/build_engine.py --checkpoint models/lrm-tiny --out lrm-tiny.lrm

From an ONNX that ships (its field, references and manifest lie beside it) no PyTorch is needed.
The engine is built in a temporary directory, verified against the PyTorch model's numbers, and only
then renamed to --out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from export.backends import BACKENDS, backend_module
from export.hashing import sha256
from export.staging import TargetExists, staged_directory

COMPANIONS = ("field.safetensors", "verification.safetensors")


class BuildError(RuntimeError):
    """The engine cannot be built; the message says what was expected, what came, what to do."""


@dataclass(frozen=True)
class BuildOptions:
    backend: str = "onnxruntime"
    precision: str = "float32"
    name: str | None = None  # default: the checkpoint's
    license: str = "unknown"
    pictures: list[Path] = field(default_factory=list)
    force: bool = False


class Steps:
    """Prints what is being done and how long it took."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self, text: str) -> None:
        print(f"[{time.perf_counter() - self.start:6.1f} s] {text}", flush=True)


@contextlib.contextmanager
def onnx_folder(checkpoint: Path | None, onnx: Path | None, options: BuildOptions, report) -> Iterator[Path]:
    """The path of an ONNX with its companions; exported into a temporary folder if need be."""
    if onnx is not None:
        missing = [n for n in (onnx.name, "manifest.json", *COMPANIONS) if not (onnx.parent / n).is_file()]
        if missing:
            expected = ", ".join(missing)
            raise BuildError(
                f"{onnx.parent}: expected {expected}; export/export_onnx.py makes the whole folder"
            )
        yield onnx
        return
    from export.export_onnx import export_checkpoint
    from export.onnx_from_torch import OnnxOptions

    report(f"exporting {checkpoint} to ONNX")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "onnx"
        export_checkpoint(
            checkpoint, folder, OnnxOptions(), name=options.name or checkpoint.name,
            license=options.license, pictures=options.pictures,
        )  # fmt: skip
        yield folder / "network.onnx"


def build_engine(
    out: Path, *, checkpoint: Path | None = None, onnx: Path | None = None,
    options: BuildOptions | None = None, report=lambda text: None,
) -> dict:  # fmt: skip
    """Builds `out` from exactly one source; returns the manifest that was written."""
    options = options or BuildOptions()
    module = backend_module(options.backend)
    if options.precision not in module.PRECISIONS:
        expected = ", ".join(module.PRECISIONS)
        raise BuildError(f"precision: {options.backend} builds {expected}, got {options.precision!r}")
    with staged_directory(out, force=options.force) as stage:
        with onnx_folder(checkpoint, onnx, options, report) as source:
            manifest = json.loads((source.parent / "manifest.json").read_text())
            networks = module.build(source, stage, options.precision, report)
            for name in COMPANIONS:
                shutil.copyfile(source.parent / name, stage / name)
        files = {p.name: {"size": p.stat().st_size, "sha256": sha256(p)} for p in sorted(stage.iterdir())}
        manifest |= {"networks": networks, "verification": {}, "files": files}
        _write_manifest(stage, manifest)
        report("verifying against the PyTorch model's numbers")
        manifest["verification"] = _verify(stage)
        _write_manifest(stage, manifest)
    return manifest


def _write_manifest(folder: Path, manifest: dict) -> None:
    (folder / "engine.json").write_text(json.dumps(manifest, indent=2) + "\n")


def _verify(folder: Path) -> dict:
    """The report of lrm_sdk.verify on the staged engine. Raises BuildError if it fails."""
    from lrm_sdk.verify import verify_engine

    report = verify_engine(folder)
    if not report.passed:
        raise BuildError(f"the engine does not reproduce the model:\n{report}")
    return report.to_json()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="folder: config.json + model.safetensors")
    source.add_argument("--onnx", type=Path, help="an ONNX with field, references and manifest beside it")
    parser.add_argument("--backend", default="onnxruntime", choices=list(BACKENDS))
    parser.add_argument("--precision", default="float32", help="float32 (default) or int8")
    parser.add_argument("--out", type=Path, required=True, help="engine directory, NAME.lrm")
    parser.add_argument("--name", help="default: the checkpoint's")
    parser.add_argument("--license", default="unknown", help="of the weights, as an SPDX id")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="real pictures to verify on")
    parser.add_argument("--force", action="store_true", help="replace --out")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    report = Steps()
    options = BuildOptions(args.backend, args.precision, args.name, args.license, args.pictures, args.force)
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
