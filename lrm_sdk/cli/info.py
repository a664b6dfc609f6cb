"""Shows what an engine directory holds; checks every file's size and hash on the way."""

from __future__ import annotations

import argparse
import json

from lrm_sdk.cli.common import add_engine_argument
from lrm_sdk.engine import load_engine

HELP = "what an engine directory holds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_engine_argument(parser)
    parser.add_argument("--json", action="store_true", help="the whole manifest, checked, as JSON")


def main(args: argparse.Namespace) -> int:
    manifest = load_engine(args.engine).manifest
    if args.json:
        print(json.dumps(manifest.to_json(), indent=2))
        return 0
    model, field, planes = manifest.model, manifest.field, manifest.triplane
    widths = "-".join(map(str, field.widths))
    rows = [
        ("model", f"{model.name} ({model.family}), license {model.license}"),
        (
            "input",
            f"{manifest.input.size} x {manifest.input.size}, foreground {manifest.input.foreground_ratio}",
        ),
        ("planes", f"3 x {planes.channels} x {planes.height} x {planes.width}"),
        ("field", f"{field.reduction}, {widths} {field.activation}, density {field.density_activation}"),
        ("render", f"{manifest.render.samples} samples a ray, {manifest.render.ray_range}"),
        ("mesh", f"resolution {manifest.mesh.resolution}, threshold {manifest.mesh.threshold:g}"),
    ]
    rows += [("network", f"{n.backend} {n.precision} ({n.file})") for n in manifest.networks]
    rows += [("file", f"{name}, {spec.size:,} bytes") for name, spec in manifest.files.items()]
    rows += [("verified", line) for line in _verified(manifest.verification)]
    print("\n".join(f"{key:9}{value}" for key, value in rows))
    return 0


def _verified(verification: dict) -> list[str]:
    """A line for each figure; of further networks, which are reports in a list, a line for each."""
    lines = []
    for name, value in verification.items():
        if isinstance(value, list):
            lines += [", ".join(f"{k} {v}" for k, v in other.items()) for other in value]
        else:
            lines.append(f"{name} {value}")
    return lines
