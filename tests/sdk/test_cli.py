"""The `lrm` command: what it writes and prints, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh
from PIL import Image

from lrm_sdk import __version__, cli
from lrm_sdk.backends import BACKENDS
from lrm_sdk.cli.common import table
from lrm_sdk.cli.run import STAGES
from tests.sdk.make_engine import make_engine
from tests.sdk.pictures import ball_picture


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "ball.png"
    Image.fromarray(ball_picture()).save(path)
    return path


def run(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_run_writes_mesh_preview_and_turntable(engine_folder, picture, tmp_path, capsys):
    out = tmp_path / "made" / "out"
    assert run("run", picture, "--engine", engine_folder, "-o", out, "--views", 3, "--size", 32) == 0
    assert names(out) == ["ball.glb", "ball_preview.png", "ball_turntable.mp4"]
    assert len(trimesh.load_mesh(out / "ball.glb").vertices) > 100
    with Image.open(out / "ball_preview.png") as preview:
        assert preview.size == (6 * 256, 256)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("onnxruntime float32")
    assert lines[1].split() == ["seconds", *STAGES, "all"]
    times = [float(x) for x in lines[2].split()[1:]]
    assert times[-1] == pytest.approx(sum(times[:-1]), abs=0.01) and times[-1] > 0
    assert lines[3:] == [str(out / name) for name in names(out)]


@pytest.mark.parametrize(("mesh", "turntable"), [("obj", "webp"), ("ply", "gif"), ("stl", "none")])
def test_run_takes_other_formats(engine_folder, picture, tmp_path, mesh, turntable):
    options = ["--mesh", mesh, "--turntable", turntable, "--views", 2, "--size", 16, "--resolution", 16]
    assert run("run", picture, "--engine", engine_folder, "-o", tmp_path / "o", *options) == 0
    expected = {f"ball.{mesh}", "ball_preview.png"}
    expected |= set() if turntable == "none" else {f"ball_turntable.{turntable}"}
    assert set(names(tmp_path / "o")) == expected


def test_a_bad_picture_is_named_and_the_others_are_made(engine_folder, picture, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n")
    out = tmp_path / "out"
    options = ["--turntable", "none", "--resolution", 16]
    assert run("run", bad, picture, "--engine", engine_folder, "-o", out, *options) == 1
    assert names(out) == ["ball.glb", "ball_preview.png"]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and errors[0].startswith("lrm: ") and "bad.png" in errors[0]


def test_pictures_of_one_name_are_refused_before_any_work(engine_folder, picture, tmp_path, capsys):
    twin = tmp_path / "ball.jpg"
    Image.fromarray(ball_picture()[..., :3]).save(twin)
    assert run("run", picture, twin, "--engine", engine_folder, "-o", tmp_path / "out") == 1
    assert "would both write ball" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made(engine_folder, picture, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("run", picture, "--engine", engine_folder, "-o", tmp_path / "file" / "out") == 1
    assert capsys.readouterr().err.startswith("lrm: ")


def test_info(engine_folder, capsys):
    assert run("info", engine_folder) == 0
    text = capsys.readouterr().out
    for words in ("synthetic (test)", "32 x 32", "3 x 4 x 16 x 16", "12-8-4 relu", "network.onnx"):
        assert words in text
    assert run("info", engine_folder, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((engine_folder / "engine.json").read_text())


def test_verify_passes_and_fails(engine_folder, tmp_path, capsys):
    assert run("verify", engine_folder) == 0
    assert capsys.readouterr().out.rstrip().endswith("passed")
    darker = make_engine(tmp_path / "darker.lrm", field={"density_bias": -0.2})
    reference = engine_folder / "verification.safetensors"
    (darker / reference.name).write_bytes(reference.read_bytes())
    _rehash(darker)
    assert run("verify", darker) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "FAILED" and lines[3].startswith("density, relative error")


def _rehash(folder: Path) -> None:
    from tests.sdk.make_engine import write_manifest

    manifest = json.loads((folder / "engine.json").read_text())
    del manifest["files"]
    write_manifest(folder, manifest)


def test_bench_times_every_stage(engine_folder, capsys):
    assert run("bench", engine_folder, "--repeats", 1) == 0
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("  ")[0].split(",")[0] for row in rows] == [
        "network",
        "field",
        "query",
        "render",
        "mesh",
    ]
    assert all(float(row.split()[-1]) >= 0 for row in rows)


def test_doctor(capsys, monkeypatch):
    assert run("doctor") == 0
    text = capsys.readouterr().out
    assert __version__ in text and "liblrm" in text and "onnxruntime" in text
    for module in BACKENDS.values():
        monkeypatch.setattr(f"{module}.available", lambda spec: "not here; pip install it")
    assert run("doctor") == 1
    assert "not here; pip install it" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["info", "verify", "bench"])
def test_no_engine_is_one_line(command, tmp_path, capsys):
    assert run(command, tmp_path / "none.lrm") == 1
    error = capsys.readouterr().err
    assert error.startswith("lrm: ") and error.count("\n") == 1 and "none.lrm" in error


def test_ctrl_c_is_130(engine_folder, picture, tmp_path, capsys, monkeypatch):
    def interrupted(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lrm_sdk.scene.Scene.mesh", interrupted)
    assert run("run", picture, "--engine", engine_folder, "-o", tmp_path / "out") == 130
    assert capsys.readouterr().err == "lrm: interrupted\n"
    assert names(tmp_path / "out") == []


def test_wrong_usage_is_2(capsys):
    with pytest.raises(SystemExit) as stop:
        run("run")
    assert stop.value.code == 2
    assert "IMAGE" in capsys.readouterr().err


def test_table_aligns():
    text = table(["a", "long"], [["wide one", "1"]])
    assert text.splitlines() == ["a         long", "wide one     1"]
    assert len({len(line) for line in text.splitlines()}) == 1


def test_run_processes_the_mesh(engine_folder, picture, tmp_path):
    plain, less = tmp_path / "plain", tmp_path / "less"
    base = ["run", picture, "--engine", engine_folder, "--resolution", 64, "--turntable", "none"]
    assert run(*base, "-o", plain) == 0
    assert run(*base, "-o", less, "--min-part", 0.05, "--smooth", 2, "--faces", 500) == 0
    counts = [len(trimesh.load_mesh(folder / "ball.glb").faces) for folder in (plain, less)]
    assert counts[1] <= 510 < counts[0]
    assert run(*base, "-o", less, "--smooth", -1) == 1
