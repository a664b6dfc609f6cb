"""Every kernel compiles for every architecture, and its resources get no worse; the cache of cubins."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

pytest.importorskip("cuda.core", reason="pip install 'lrm-sdk[cuda]'")

from lrm_sdk.cuda import compile as cuda_compile
from lrm_sdk.errors import BackendError
from lrm_sdk.native.options import FIELD_PRECISIONS
from tests.cuda import resources
from tests.runtime.compilers import run, tool

# What ptxas may vary by between compiler versions: registers come in steps of 8.
SLACK = {"registers": 8, "stack": 64, "spill_stores": 32, "spill_loads": 32, "shared": 0}


@pytest.mark.slow
@pytest.mark.parametrize("case", resources.CASES)
def test_resources_get_no_worse(case):
    table = json.loads(resources.TABLE.read_text())["cases"][case]
    measured = resources.measure(case)
    assert measured.keys() == table.keys(), "run python -m tests.cuda.resources"
    worse = {
        f"{kernel} {name}": (row[name], table[kernel][name])
        for kernel, row in measured.items()
        for name in row
        if row[name] > table[kernel][name] + SLACK[name]
    }
    assert not worse, f"{case}: (now, before) {worse}"


def test_the_table_is_whole():
    table = json.loads(resources.TABLE.read_text())["cases"]
    assert list(table) == list(resources.CASES)
    for kernels in table.values():
        assert "lrm_render" in kernels and all(0 < row["registers"] <= 255 for row in kernels.values())


def test_a_report_is_read():
    report = (
        "ptxas info : Compiling entry function 'k' for 'sm_90'\n"
        "  304 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info : Used 160 registers, used 1 barriers, 1024 bytes smem\n"
    )
    row = {"registers": 160, "stack": 304, "spill_stores": 8, "spill_loads": 12, "shared": 1024}
    assert resources.parse(report) == {"k": row}


def test_an_unknown_architecture_is_named():
    with pytest.raises(BackendError, match="sm_1: NVRTC"):
        cuda_compile.compile_cubin(resources.LRM, "sm_1")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and a compiler that counts its calls."""
    monkeypatch.setenv("LRM_CACHE", str(tmp_path))
    calls = []

    def compile_cubin(spec, arch, log=None):
        calls.append((spec, arch))
        return b"\x7fELF" + arch.encode()

    monkeypatch.setattr(cuda_compile, "compile_cubin", compile_cubin)
    return tmp_path / "cuda", calls


def test_a_cubin_is_compiled_once(cache):
    folder, calls = cache
    first = cuda_compile.cached_cubin(resources.LRM, "sm_90")
    assert cuda_compile.cached_cubin(resources.LRM, "sm_90") == first and len(calls) == 1
    cuda_compile.cached_cubin(resources.LRM, "sm_80")
    cuda_compile.cached_cubin(resources.OPENLRM, "sm_90")
    assert len(calls) == 3 and len(list(folder.iterdir())) == 3


def test_another_compiler_or_source_makes_another_key(monkeypatch, tmp_path):
    key = cuda_compile.cache_key(resources.LRM, "sm_90")
    with monkeypatch.context() as patch:
        patch.setattr(cuda_compile, "nvrtc_version", lambda: "99.0")
        assert cuda_compile.cache_key(resources.LRM, "sm_90") != key
    changed = tmp_path / "query.cu"
    changed.write_text("// changed")
    files = [changed if path.name == "query.cu" else path for path in cuda_compile.source_files()]
    monkeypatch.setattr(cuda_compile, "source_files", lambda: files)
    assert cuda_compile.cache_key(resources.LRM, "sm_90") != key


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 100])
def test_a_damaged_file_is_made_again(cache, damage):
    folder, calls = cache
    good = cuda_compile.cached_cubin(resources.LRM, "sm_90")
    (file,) = folder.iterdir()
    file.write_bytes(damage)
    assert cuda_compile.cached_cubin(resources.LRM, "sm_90") == good and len(calls) == 2


def test_starts_at_once(cache):
    folder, _ = cache
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(cuda_compile.cached_cubin(resources.LRM, "sm_90")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and len(set(results)) == 1
    assert [file.suffix for file in folder.iterdir()] == [".cubin"]


def test_a_cache_that_cannot_be_written_is_no_error(cache, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LRM_CACHE", str(blocked))
    assert cuda_compile.cached_cubin(resources.LRM, "sm_90")


def test_every_include_is_a_source_file():
    """Else a change would leave the key as it is."""
    names = {path.name for path in cuda_compile.source_files()} | {"host_shim.h"}
    for path in cuda_compile.source_files():
        for line in path.read_text().splitlines():
            if line.startswith('#include "'):
                assert line.split('"')[1].rpartition("/")[2] in names, f"{path.name}: {line}"


@pytest.mark.parametrize("precision", FIELD_PRECISIONS)
def test_nvcc_takes_the_same_sources(tmp_path, precision):
    """The second CUDA compiler, with its host half: `__host__ __device__` functions compile twice."""
    source = tmp_path / "specialized.cu"
    source.write_text(replace(resources.LRM, precision=precision).header() + '#include "kernels.cu"\n')
    run([
        tool("NVCC", "nvcc"), "-std=c++17", "-arch=sm_90", "-prec-div=false", "-Werror", "all-warnings",
        f"-I{cuda_compile.kernel_folder() / 'cuda'}",
        "-c", str(source), "-o", str(tmp_path / "specialized.o"),
    ])  # fmt: skip
