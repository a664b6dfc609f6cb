"""One synthetic engine, reconstructor and scene for all tests of the package."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A checkout without an installed wheel: the library that was built last, for us and for subprocesses.
if "LRM_LIBRARY" not in os.environ and not list((ROOT / "lrm_sdk").glob("liblrm.*")):
    # A sanitised one loads only where its runtime was preloaded: LRM_LIBRARY asks for it.
    built = [path for path in ROOT.glob("build/*/liblrm.so") if path.parent.name != "sanitize"]
    if built:
        os.environ["LRM_LIBRARY"] = str(max(built, key=lambda path: path.stat().st_mtime))

from lrm_sdk import Reconstructor, Scene  # noqa: E402
from tests.sdk.make_engine import make_engine  # noqa: E402
from tests.sdk.pictures import ball_picture  # noqa: E402


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_engine(tmp_path_factory.mktemp("engine") / "synthetic.lrm")


@pytest.fixture(scope="session")
def rec(engine_folder: Path) -> Iterator[Reconstructor]:
    with Reconstructor(engine_folder) as reconstructor:
        yield reconstructor


@pytest.fixture(scope="session")
def scene(rec: Reconstructor) -> Scene:
    """A reddish ball of radius 0.6."""
    return rec.run(ball_picture())
