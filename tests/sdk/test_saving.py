"""Files appear whole or not at all: full disks, missing folders, cancelled work."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lrm_sdk import CancelledError, SaveError, Scene
from lrm_sdk.files import staged_folder, write_atomically
from tests.sdk.shapes import tetrahedron

ROOT = Path(__file__).resolve().parents[2]
Save = Callable[[Scene, Path], object]

SAVES: dict[str, Save] = {
    "a.glb": lambda scene, path: scene.mesh(resolution=16).save(path),
    "a.obj": lambda scene, path: tetrahedron().save(path),
    "a.ply": lambda scene, path: tetrahedron().save(path),
    "a.stl": lambda scene, path: tetrahedron().save(path),
    "a.mp4": lambda scene, path: scene.save_turntable(path, views=2, size=(32, 32)),
    "a.gif": lambda scene, path: scene.save_turntable(path, views=2, size=(32, 32)),
    "a.webp": lambda scene, path: scene.save_turntable(path, views=2, size=(32, 32)),
    "a.png": lambda scene, path: scene.render(size=(32, 32)).save(path),
    "a.npy": lambda scene, path: scene.save_planes(path),
}
FOLDERS: dict[str, Save] = {
    "views": lambda scene, path: scene.save_turntable(path, views=2, size=(32, 32)),
    "field": lambda scene, path: scene.save_field(path),
}


def full_disk(path: Path, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes fail after the file has been made, as on a full disk."""
    import lrm_sdk.files

    def fail(file: object, data: bytes) -> None:
        file.write(data[: len(data) // 2])  # type: ignore[attr-defined]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(lrm_sdk.files, "_write", fail)
    monkeypatch.setattr(Path, "write_bytes", full_disk)


@pytest.mark.parametrize("name", SAVES)
def test_full_disk_leaves_nothing(scene, tmp_path, disk_is_full, name):
    with pytest.raises(SaveError, match=rf"{name}: cannot be written: No space left on device"):
        SAVES[name](scene, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SAVES)
def test_full_disk_keeps_the_file_before(scene, tmp_path, disk_is_full, name):
    with (tmp_path / name).open("wb") as file:
        file.write(b"before")
    with pytest.raises(SaveError, match="No space left"):
        SAVES[name](scene, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"before"


@pytest.mark.parametrize("name", FOLDERS)
def test_full_disk_leaves_no_folder(scene, tmp_path, disk_is_full, name):
    with pytest.raises(SaveError, match="No space left on device"):
        FOLDERS[name](scene, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_real_limit_on_file_size(tmp_path):
    """The kernel itself refuses the write, not a stand-in."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from lrm_sdk import SaveError\n"
        "from lrm_sdk.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_atomically(Path(sys.argv[1]), bytes(5000))\n"
        "except SaveError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "big.bin"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "big.bin: cannot be written: File too large" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SAVES)
def test_missing_folder(scene, tmp_path, name):
    with pytest.raises(SaveError, match="does not exist; make it first"):
        SAVES[name](scene, tmp_path / "none" / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SAVES)
def test_directory_with_the_name(scene, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(SaveError, match="expected a file name, got a directory"):
        SAVES[name](scene, tmp_path / name)
    assert not list((tmp_path / name).iterdir())


@pytest.mark.parametrize("name", FOLDERS)
def test_file_where_a_folder_should_be(scene, tmp_path, name):
    (tmp_path / name).write_text("before")
    with pytest.raises(SaveError, match="a file is there"):
        FOLDERS[name](scene, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"


@pytest.mark.parametrize("name", SAVES)
def test_device_or_pipe_is_not_replaced(scene, tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(SaveError, match="got a device or a pipe"):
        SAVES[name](scene, tmp_path / name)
    assert (tmp_path / name).is_fifo()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no new files, whoever asks, on Linux")
@pytest.mark.parametrize("name", [*SAVES, *FOLDERS])
def test_folder_that_takes_no_files(scene, name):
    with pytest.raises(SaveError, match=r"cannot be written|is not writable"):
        (SAVES | FOLDERS)[name](scene, Path("/proc") / name)


def test_links_stay_links(tmp_path):
    (tmp_path / "real.glb").write_text("before")
    (tmp_path / "link.glb").symlink_to("real.glb")
    tetrahedron().save(tmp_path / "link.glb")
    assert (tmp_path / "link.glb").is_symlink()
    assert (tmp_path / "real.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize("name", ["a\0.glb", "x" * 300 + ".glb"], ids=["nul", "long"])
def test_names_that_no_file_can_have(tmp_path, name):
    with pytest.raises(SaveError, match="cannot be written"):
        tetrahedron().save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", [None, 3, b"a.glb"], ids=repr)
def test_paths_of_other_types(scene, path):
    with pytest.raises(SaveError, match="expected a path"):
        tetrahedron().save(path)
    with pytest.raises(SaveError, match="expected a path"):
        scene.save_turntable(path)
    with pytest.raises(SaveError, match="expected a path"):
        scene.save_planes(path)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webp", "views"])
def test_cancelled_turntable_leaves_nothing(scene, tmp_path, name):
    with pytest.raises(CancelledError):
        scene.save_turntable(tmp_path / name, views=4, size=(32, 32), progress=lambda f: f > 0.5)
    assert not list(tmp_path.iterdir())


def test_staged_folder_keeps_other_files_and_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.txt").write_text("other")
    (tmp_path / "out" / "a.txt").write_text("old")
    with pytest.raises(KeyError), staged_folder(tmp_path / "out") as stage:
        (stage / "a.txt").write_text("new")
        raise KeyError
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    with staged_folder(tmp_path / "out") as stage:
        (stage / "a.txt").write_text("new")
    assert {p.name: p.read_text() for p in (tmp_path / "out").iterdir()} == {
        "a.txt": "new",
        "other.txt": "other",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_interrupt_while_writing_leaves_nothing(tmp_path, monkeypatch):
    import lrm_sdk.files

    def interrupt(file: object, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(lrm_sdk.files, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "a.bin", b"data")
    assert not list(tmp_path.iterdir())


def test_readers_of_the_file_before_keep_it(tmp_path):
    path = tmp_path / "a.bin"
    write_atomically(path, b"before")
    with path.open("rb") as reader:
        write_atomically(path, b"after")
        assert reader.read() == b"before"
    assert path.read_bytes() == b"after"


def test_new_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        path = write_atomically(tmp_path / "a.bin", b"data")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_png_is_the_frame(scene, tmp_path):
    from PIL import Image

    frame = scene.render(size=(40, 30))
    path = frame.save(tmp_path / "frame.png")
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), frame.to_uint8())
    with pytest.raises(SaveError, match=r"expected \.png"):
        frame.save(tmp_path / "frame.jpg")
