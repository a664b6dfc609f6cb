"""Reconstructs pictures: for each a mesh, a preview picture and a turntable."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lrm_sdk.cli.common import add_network_arguments, network_options, table
from lrm_sdk.errors import InvalidArgumentError, LrmError, SaveError
from lrm_sdk.mesh import Mesh
from lrm_sdk.reconstructor import Reconstructor
from lrm_sdk.scene import Scene

HELP = "pictures -> meshes, previews, turntables"
MESHES = ("glb", "obj", "ply", "stl")
TURNTABLES = ("mp4", "webp", "gif", "none")
STAGES = ("decode", "prepare", "network", "field", "mesh", "save", "preview", "turntable")

MIN_PART = "drop parts of less than this share of the largest part's area; default: 0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    parser.add_argument(
        "--engine", type=Path, required=True, metavar="ENGINE", help="engine directory, NAME.lrm"
    )
    parser.add_argument(
        "-o", "--out", type=Path, default=Path(), metavar="OUT", help="folder, made if missing"
    )
    parser.add_argument(
        "--subject", choices=("auto", "whole"), default="auto", help="whole: picture as it is"
    )
    parser.add_argument(
        "--resolution", type=_resolution, help="of the mesh's grid, or auto; default: the engine's"
    )
    parser.add_argument("--threshold", type=float, help="density of the surface; default: the engine's")
    parser.add_argument("--min-part", type=float, default=0.0, metavar="SHARE", help=MIN_PART)
    parser.add_argument("--smooth", type=int, default=0, metavar="N", help="Taubin steps; default: 0")
    parser.add_argument("--faces", type=int, metavar="N", help="simplify to about N; default: all")
    parser.add_argument("--mesh", choices=MESHES, default="glb", help="default: glb")
    parser.add_argument(
        "--turntable", choices=TURNTABLES, help="default: mp4 if the package av is there, else webp"
    )
    parser.add_argument("--views", type=int, default=36, help="of the turntable; default: 36")
    parser.add_argument("--size", type=int, default=256, help="of the turntable, pixels, even; default: 256")
    add_network_arguments(parser)


def _resolution(text: str) -> int | str:
    return text if text == "auto" else int(text)


def main(args: argparse.Namespace) -> int:
    """The pictures that fail are named on stderr, the others are made; status 1 if any failed."""
    _check_names(args.images)
    _make_folder(args.out)
    turntable = args.turntable or _default_turntable()
    rows, paths, failed = [], [], 0
    with Reconstructor(args.engine, **network_options(args)) as rec:
        print(rec.backend_report)
        for image in args.images:
            try:
                scene, files = _reconstruct(rec, image, turntable, args)
            except LrmError as error:
                print(f"lrm: {image}: {error}", file=sys.stderr)
                failed += 1
                continue
            times = [scene.timings.get(stage, 0.0) for stage in STAGES]
            rows.append([image.name, *(f"{t:.3f}" for t in [*times, sum(times)])])
            paths += files
    if rows:
        print(table(["seconds", *STAGES, "all"], rows))
    print("\n".join(map(str, paths)))
    return 1 if failed else 0


def _mesh(scene: Scene, args: argparse.Namespace) -> Mesh:
    mesh = scene.mesh(resolution=args.resolution, threshold=args.threshold)
    mesh = mesh.without_small_parts(args.min_part).smoothed(args.smooth)
    return mesh if args.faces is None else mesh.simplified(args.faces)


def _reconstruct(
    rec: Reconstructor, image: Path, turntable: str, args: argparse.Namespace
) -> tuple[Scene, list[Path]]:
    stem = args.out / image.stem
    scene = rec.run(image, subject=args.subject)
    mesh = _mesh(scene, args)
    with scene.timed("save"):
        files = [mesh.save(stem.with_name(f"{stem.name}.{args.mesh}"))]
    files.append(scene.save_preview(stem.with_name(f"{stem.name}_preview.png"), mesh))
    if turntable != "none":
        target = stem.with_name(f"{stem.name}_turntable.{turntable}")
        files.append(
            scene.save_turntable(target, views=args.views, size=(args.size, args.size), progress=True)
        )
    return scene, files


def _check_names(images: list[Path]) -> None:
    """Two pictures of one name would write the same files."""
    names: dict[str, Path] = {}
    for image in images:
        if other := names.get(image.stem):
            raise InvalidArgumentError(f"{other} and {image} would both write {image.stem}.*; run them apart")
        names[image.stem] = image


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{folder}: cannot be made: {error.strerror or error}") from error


def _default_turntable() -> str:
    from importlib.util import find_spec

    return "mp4" if find_spec("av") else "webp"
