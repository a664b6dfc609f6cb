"""Kernel sources -> cubin for one field and one architecture, by NVRTC; kept on disk.

Needs the packages of the `cuda` extra, no GPU and no driver.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

from lrm_sdk.cache import cache_folder
from lrm_sdk.cuda.specialization import Specialization
from lrm_sdk.errors import BackendError, InternalError, SaveError
from lrm_sdk.files import write_atomically

PIP_EXTRA = "cuda"

# What the sources outside runtime/cuda are; all of it compiles without a standard header.
SHARED_HEADERS = ("field_semantics.h", "marching_cubes_cases.h", "ray_sampling.h", "surface_semantics.h")


def kernel_folder() -> Path:
    """runtime/ of a source checkout, else what the package brings. Raises BackendError."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / "runtime", package / "kernels"):
        if (folder / "cuda" / "kernels.cu").is_file():
            return folder
    raise BackendError(f"{package}: the CUDA kernels are missing; install lrm-sdk again")


def source_files() -> list[Path]:
    """Every file that a cubin is made from, in a fixed order."""
    folder = kernel_folder()
    kernels = [path for path in (folder / "cuda").iterdir() if path.suffix in (".cu", ".cuh")]
    return sorted(kernels) + [folder / "src" / name for name in SHARED_HEADERS]


def compile_cubin(spec: Specialization, arch: str, log: io.StringIO | None = None) -> bytes:
    """All kernels for one field and architecture such as "sm_90"; about ten seconds.

    log   if given, gets ptxas's report: registers, stack, spills of each kernel.

    Raises BackendError without the packages or for an architecture that NVRTC does not know.
    """
    core = _cuda_core()
    report = io.StringIO()
    try:
        options = core.ProgramOptions(
            arch=arch,
            std="c++17",
            include_path=[str(kernel_folder() / "cuda")],
            prec_div=False,  # x / (1 + exp(-x)) to 2 units in the last place; float64 is not affected
            ptxas_options=["-v"],
        )
        program = core.Program(spec.header() + '#include "kernels.cu"\n', "c++", options)
        code = program.compile("cubin", logs=report).code
    except Exception as error:  # the package's own classes differ between its versions
        text = str(error)
        if "--gpu-architecture" in text or "arch" in text.partition("\n")[0]:
            raise BackendError(f"{arch}: NVRTC {nvrtc_version()} cannot compile for it ({text})") from error
        raise InternalError(f"NVRTC cannot compile the kernels for {arch}: {text[-2000:]}") from error
    if log is not None:
        log.write(report.getvalue().replace("\0", ""))
    return bytes(code)


def cached_cubin(spec: Specialization, arch: str) -> bytes:
    """`compile_cubin`, kept in lrm_sdk.cache's folder where that can be written.

    Any number of processes may start at once: a file appears whole, and twins are the same.
    """
    path = cache_folder("cuda") / f"{cache_key(spec, arch)}.cubin"
    try:
        kept = path.read_bytes()
        if _is_whole(kept):
            return kept[:-32]
    except OSError:
        pass  # not made yet, or not readable: it is compiled
    code = compile_cubin(spec, arch)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, code + hashlib.sha256(code).digest())
    except (OSError, SaveError):
        pass  # a cache that cannot be written costs time at the next start, no more
    return code


def cache_key(spec: Specialization, arch: str) -> str:
    """Of sources, the field's macros, architecture and compiler."""
    digest = hashlib.sha256()
    for part in (spec.header(), arch, nvrtc_version()):
        digest.update(part.encode() + b"\0")
    for path in source_files():
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:32]


def nvrtc_version() -> str:
    """MAJOR.MINOR of the compiler. Raises BackendError without it."""
    _cuda_core()
    from cuda.bindings import nvrtc

    try:
        _, major, minor = nvrtc.nvrtcVersion()
    except Exception as error:  # the library is found and loaded here
        raise BackendError(f"NVRTC cannot be loaded ({error}); pip install 'lrm-sdk[{PIP_EXTRA}]'") from error
    return f"{major}.{minor}"


def _is_whole(kept: bytes) -> bool:
    return len(kept) > 32 and hashlib.sha256(kept[:-32]).digest() == kept[-32:]


def _cuda_core() -> Any:
    try:
        import cuda.core
    except ImportError as error:
        raise BackendError(
            f"cuda.core cannot be imported ({error}); pip install 'lrm-sdk[{PIP_EXTRA}]'"
        ) from error
    return cuda.core
