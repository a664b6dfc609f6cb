"""`import lrm_sdk` is quick and quiet, and nothing in the package ever needs PyTorch."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lrm_sdk

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lrm_sdk"


def python(code: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_takes_less_than_three_tenths_of_a_second():
    code = "import time; t = time.perf_counter(); import lrm_sdk; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(5)) < 0.3


def test_bare_import_loads_nothing_large():
    loaded = python("import lrm_sdk, sys; print(*sorted({n.split('.')[0] for n in sys.modules}))").split()
    large = {
        "numpy",
        "cv2",
        "torch",
        "onnxruntime",
        "openvino",
        "trimesh",
        "safetensors",
        "imagesize",
        "av",
        "cuda",
        "PIL",
        "scipy",
    }
    assert not large & set(loaded)


def test_import_needs_no_library_and_says_what_to_do_without_one():
    code = (
        "import numpy, lrm_sdk\n"
        "from lrm_sdk.native import Field, FieldOptions\n"
        "try:\n"
        "    Field(FieldOptions(), numpy.zeros((3, 2, 4, 4)), [numpy.zeros((4, 6))], [None])\n"
        "except lrm_sdk.BackendError as error:\n"
        "    print(error)\n"
    )
    text = python(code, LRM_LIBRARY="/nowhere/liblrm.so")
    assert "liblrm: not found (looked for /nowhere/liblrm.so)" in text and "pip install" in text
    damaged = python(code, LRM_LIBRARY=str(PACKAGE / "errors.py"))
    assert "cannot be loaded" in damaged and "install lrm-sdk again" in damaged


def imported_names(path: Path) -> set[str]:
    """Top-level packages that a source file imports, in whatever function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Constant) and str(node.value).split(".")[0] in ("torch", "torchvision"):
            names.add("torch")  # importlib.import_module("torch")
    return names


# What the package may import besides the standard library: its dependencies and optional extras.
ALLOWED = {
    "lrm_sdk", "numpy", "cv2", "imagesize", "safetensors", "trimesh", "onnxruntime", "openvino",
    "av", "cuda", "fast_simplification", "rembg",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_sources_import_no_torch_and_no_undeclared_package(path):
    foreign = imported_names(path) - set(sys.stdlib_module_names)
    assert not foreign & {"torch", "models", "export"}
    assert foreign <= ALLOWED


def test_the_scan_sees_imports_in_functions(tmp_path):
    path = tmp_path / "hidden.py"
    path.write_text("def f():\n    import torch.nn\n    from numpy import linalg\n")
    assert imported_names(path) == {"torch", "numpy"}


BLOCKED_RUN = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "PIL", "scipy", "skimage", "onnx"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
try:
    import torch
    raise SystemExit("the blocker does not block")
except ImportError:
    pass

from pathlib import Path
from lrm_sdk import Camera, Reconstructor

out = Path(sys.argv[3])
with Reconstructor(sys.argv[1]) as rec:
    scene = rec.run(sys.argv[2])
    scene.query([[0.0, 0.0, 0.0]])
    scene.render(Camera.orbit(azimuth=30), size=(32, 32)).save(out / "frame.png")
    mesh = scene.mesh()
    for suffix in ("glb", "obj", "ply", "stl"):
        mesh.save(out / f"mesh.{suffix}")
    scene.save_turntable(out / "turn.gif", views=2, size=(32, 32))
    scene.save_field(out / "field")
print(*sorted(name for name in sys.modules if name.split(".")[0] == "torch"), "done")
"""


def test_full_reconstruction_without_torch(engine_folder, tmp_path):
    picture = ROOT / "examples" / "wood_toy.png"
    assert python(BLOCKED_RUN, str(engine_folder), str(picture), str(tmp_path)).split() == ["done"]
    assert len(list(tmp_path.iterdir())) == 7


def test_public_names_are_there():
    assert sorted(lrm_sdk.__all__) == lrm_sdk.__all__
    for name in lrm_sdk.__all__:
        assert getattr(lrm_sdk, name).__module__.startswith("lrm_sdk.")
        assert name in dir(lrm_sdk)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = lrm_sdk.nothing


def test_version_is_that_of_the_project():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert lrm_sdk.__version__ == project["version"]


def test_every_error_is_one_family():
    errors = [getattr(lrm_sdk, n) for n in lrm_sdk.__all__ if n.endswith("Error")]
    assert len(errors) == 11
    assert all(issubclass(e, lrm_sdk.LrmError) for e in errors)
