"""lrm.h is C11 and C++17 by itself, says what the library exports, and both Python readings agree with it."""

from __future__ import annotations

import ctypes
import re
import sys

import pytest

from lrm_sdk.native import library, structs
from tests.runtime import compilers, liblrm

# Figures for tests and benchmarks; not part of the interface.
INTERNAL = compilers.ROOT / "runtime" / "src" / "mesh_statistics.h"
STRUCTS = {
    "lrm_field_options": (structs.CFieldOptions, liblrm.FieldOptions),
    "lrm_camera": (structs.CCamera, liblrm.Camera),
    "lrm_render_options": (structs.CRenderOptions, liblrm.RenderOptions),
    "lrm_mesh_options": (structs.CMeshOptions, liblrm.MeshOptions),
    "lrm_network_options": (structs.CNetworkOptions, liblrm.NetworkOptions),
    "lrm_network_shape": (structs.CNetworkShape, liblrm.NetworkShape),
}


def without_comments(path) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", path.read_text(), flags=re.DOTALL)


def declared(path) -> set[str]:
    return set(re.findall(r"\bLRM_API\b[^;]*?\b(lrm_\w+)\(", without_comments(path)))


def exported() -> set[str]:
    lines = compilers.run([compilers.tool("NM", "nm"), "-D", "--defined-only", str(liblrm.library_path())])
    return {line.split()[-1] for line in lines.splitlines() if line.split()[-2] in "TDBRVW"}


@pytest.mark.parametrize(
    ("variable", "compiler", "language", "standard"),
    [("CC", "cc", "c", "c11"), ("CXX", "c++", "c++", "c++17")],
    ids=["c11", "c++17"],
)
def test_the_header_stands_alone(variable, compiler, language, standard, tmp_path):
    source = tmp_path / "twice"
    source.write_text("#include <lrm.h>\n#include <lrm.h>\nint main(void) { return 0; }\n")
    command = [compilers.tool(variable, compiler), f"-std={standard}", *compilers.STRICT, "-fsyntax-only"]
    compilers.run([*command, "-x", language, str(source)])


@pytest.mark.skipif(sys.platform != "linux", reason="nm -D reads ELF")
def test_the_library_exports_what_the_header_declares():
    # Vague-linkage symbols of the C++ library (_Z...) cannot be hidden everywhere; ours all begin with lrm_.
    names = {name for name in exported() if not name.startswith("_")}
    assert names == declared(compilers.HEADER) | declared(INTERNAL)


def test_the_binding_has_every_function():
    assert set(structs.PROTOTYPES) == declared(compilers.HEADER)
    for name in structs.PROTOTYPES:
        assert getattr(liblrm.lib, name)


def test_the_version_is_the_headers():
    text = compilers.HEADER.read_text()
    parts = [int(re.search(rf"LRM_VERSION_{part} (\d+)", text)[1]) for part in ("MAJOR", "MINOR", "PATCH")]
    assert liblrm.lib.lrm_version() == parts[0] * 10000 + parts[1] * 100 + parts[2]
    assert tuple(parts[:2]) == library.HEADER_VERSION
    version = ".".join(map(str, parts))
    for path in ("pyproject.toml", "runtime/CMakeLists.txt"):
        assert re.search(rf"(?i)version\W+{re.escape(version)}\b", (compilers.ROOT / path).read_text()), path


def layout_program() -> str:
    """Prints `struct member offset` for every member, and `struct sizeof size`."""
    lines = ["#include <lrm.h>", "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for name, (mirror, _) in STRUCTS.items():
        lines.append(f'  printf("{name} sizeof %zu\\n", sizeof({name}));')
        for member, *_rest in mirror._fields_:
            lines.append(f'  printf("{name} {member} %zu\\n", offsetof({name}, {member}));')
    return "\n".join([*lines, "  return 0;", "}", ""])


def test_both_readings_have_the_headers_layout(tmp_path):
    (tmp_path / "layout.c").write_text(layout_program())
    compilers.compile_c(tmp_path / "layout.c", tmp_path / "layout")
    measured = compilers.run([str(tmp_path / "layout")]).split()
    for struct, member, number in zip(*[iter(measured)] * 3, strict=True):
        for mirror in STRUCTS[struct]:
            found = ctypes.sizeof(mirror) if member == "sizeof" else getattr(mirror, member).offset
            assert found == int(number), f"{mirror.__module__}: {struct}.{member}"


def test_init_functions_fill_size_and_defaults():
    for name, mirrors in STRUCTS.items():
        for mirror in mirrors:
            options = mirror()
            getattr(liblrm.lib, f"{name}_init")(ctypes.byref(options))
            assert options.struct_size == ctypes.sizeof(mirror)
        getattr(liblrm.lib, f"{name}_init")(None)
    mesh = liblrm.mesh_options()
    assert (mesh.resolution, mesh.threshold, mesh.refine_steps, mesh.close_border) == (256, 10.0, 8, 1)
    assert (mesh.exhaustive, mesh.seed_stride, mesh.normals, mesh.colors, mesh.max_bytes) == (0, 0, 1, 1, 0)
