"""liblrm with lrm_cuda.h as nvcc builds it, the sample program, and the header of an engine's field."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from export.cuda_field import field_header
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.engine import load_engine
from lrm_sdk.field_files import save_field
from tests.cuda import c_library
from tests.cuda.c_library import Refused
from tests.cuda.c_refusals import FIELD, refusals
from tests.cuda.fields import options_of
from tests.runtime import compilers
from tests.runtime.test_header import INTERNAL, declared
from tests.sdk.make_engine import CHANNELS, SIDE, make_engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nm -D reads ELF")

DEVICE_ERROR = 8


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    compilers.tool("NVCC", "nvcc")
    folder = tmp_path_factory.mktemp("nvcc") / "build"
    return c_library.build(FIELD, folder, "ON", "-DCMAKE_CUDA_ARCHITECTURES=90")


def test_nvcc_builds_what_the_header_declares(built):
    lines = compilers.run([compilers.tool("NM", "nm"), "-D", "--defined-only", str(built)]).splitlines()
    names = {line.split()[-1] for line in lines if line.split()[-2] in "TDBRVW"}
    expected = declared(c_library.HEADER) | declared(compilers.HEADER) | declared(INTERNAL)
    assert {name for name in names if not name.startswith("_")} == expected


def test_another_field_is_refused_without_a_gpu(built):
    refusals(c_library.Library(built), 256)


def has_gpu() -> bool:
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_no_driver_is_a_status(built):
    library = c_library.Library(built)
    options = c_library.options_struct(options_of(FIELD), FIELD)
    for _ in range(2):
        with pytest.raises(
            Refused, match="expected an NVIDIA GPU and a driver for this CUDA version"
        ) as refusal:
            library.create(options, 256, FIELD.weights, FIELD.biases)
        assert refusal.value.status == DEVICE_ERROR


@pytest.mark.parametrize(("tool", "standard"), [("c", "c11"), ("c++", "c++17")])
def test_the_header_stands_alone(tool, standard, tmp_path):
    source = tmp_path / "twice"
    source.write_text("#include <lrm_cuda.h>\n#include <lrm_cuda.h>\nint main(void) { return 0; }\n")
    compiler = compilers.tool("CC", "cc") if tool == "c" else compilers.tool("CXX", "c++")
    compilers.run([compiler, f"-std={standard}", *compilers.STRICT, "-fsyntax-only", "-x", tool, str(source)])


def test_the_sample_links_and_ends_well_without_a_gpu(built, tmp_path):
    examples = compilers.ROOT / "examples"
    program = tmp_path / "query_on_gpu"
    compilers.run([
        compilers.tool("NVCC", "nvcc"), f"-I{compilers.HEADER.parent}",
        "-Xcompiler=-Wall,-Wextra,-Werror",
        str(examples / "query_on_gpu.c"), str(examples / "scene_files.c"),
        f"-L{built.parent}", "-llrm", "-lm", f"-Xlinker=-rpath,{built.parent}", "-o", str(program),
    ])  # fmt: skip
    assert run(program).returncode == 2
    missing = run(program, tmp_path / "missing")
    assert missing.returncode == 1 and "field.txt: cannot be opened" in missing.stderr
    engine = load_engine(make_engine(tmp_path / "made.lrm"))
    folder = save_field(engine, np.zeros((3, CHANNELS, SIDE, SIDE), np.float32), tmp_path / "saved")
    done = run(program, folder)
    assert done.returncode == 1 and done.stderr.startswith("query_on_gpu: ") and done.stderr.count("\n") == 1
    assert has_gpu() or "cudaStreamCreate: " in done.stderr  # with a GPU: another field


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)


def test_the_header_of_an_engine(tmp_path):
    engine = load_engine(make_engine(tmp_path / "made.lrm"))
    spec = Specialization.of(engine.field_options(), (CHANNELS, SIDE, SIDE), engine.manifest.field.widths)
    assert field_header(engine).endswith(spec.header())
    out = tmp_path / "field.h"
    command = [sys.executable, str(compilers.ROOT / "export" / "cuda_field.py")]
    assert run(*command, engine.folder, "--out", out).returncode == 0
    assert out.read_text() == field_header(engine)
    refused = run(*command, tmp_path / "none.lrm", "--out", tmp_path / "other.h")
    assert refused.returncode == 1 and refused.stderr.startswith("cuda_field: ")
    assert not (tmp_path / "other.h").exists()


def test_a_build_without_a_field_is_refused(tmp_path):
    text = c_library.configure_error(tmp_path / "build", "-DLRM_CUDA=HOST")
    assert "LRM_CUDA_FIELD: expected the file that export/cuda_field.py writes" in text
