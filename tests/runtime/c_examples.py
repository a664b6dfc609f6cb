"""The C programs of examples/: built as a C user would, run, and refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lrm_sdk import native
from tests.runtime import compilers

EXAMPLES = compilers.ROOT / "examples"


def build(name: str, folder: Path) -> Path:
    """examples/NAME.c with scene_files.c and the library under test."""
    path, library = folder / name, native.library_path().resolve()
    helper = str(EXAMPLES / "scene_files.c")
    source = EXAMPLES / f"{name}.c"
    compilers.compile_c(source, path, helper, str(library), f"-Wl,-rpath,{library.parent}", "-lm")
    return path


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)


def assert_refused(done: subprocess.CompletedProcess, words: str, out: Path) -> None:
    """With one line that begins with the program's name, and no file."""
    assert done.returncode == 1, done
    assert done.stderr.startswith(f"{Path(done.args[0]).name}: ") and words in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""
    assert not out.exists()
