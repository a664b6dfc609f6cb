"""Small networks of each family, exported once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export.build_engine import BuildOptions, build_engine
from export.export_onnx import ExportOptions, export_checkpoint
from export.onnx_from_torch import OnnxOptions
from models import checkpoint
from models.field import FieldSpec
from models.lrm import LRM, LRMConfig
from models.vit import ViTConfig
from tests.models import golden

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("triposr-mini", "openlrm-mini")


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """A checkpoint folder and, in onnx/, what ships of it."""
    folder = tmp_path_factory.mktemp("checkpoint") / "small"
    torch.manual_seed(0)
    config = LRMConfig(
        image_size=48, encoder=ViTConfig(64, 2, 2, 8, 32), width=64, depth=2, heads=2, plane_tokens=4,
        upsample=2, plane_channels=4, field=FieldSpec(widths=(12, 8, 4)),
    )  # fmt: skip
    checkpoint.save(LRM(config).eval(), folder)
    pictures = [ROOT / "examples" / "teddy_bear.png"]
    extras = ExportOptions(license="CC0-1.0", pictures=pictures)
    export_checkpoint(folder, folder / "onnx", OnnxOptions(), extras)
    return folder


@pytest.fixture(scope="session", params=SMALL)
def built(request, tmp_path_factory) -> tuple[str, Path, dict]:
    """Name, engine directory, manifest."""
    folder = tmp_path_factory.mktemp(request.param)
    checkpoint = golden.write_checkpoint(request.param, folder / "checkpoint")
    options = BuildOptions(image_size=golden.describe(request.param).get("source_size"))
    manifest = build_engine(folder / "e.lrm", checkpoint=checkpoint, options=options)
    return request.param, folder / "e.lrm", manifest
