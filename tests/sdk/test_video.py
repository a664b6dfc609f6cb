"""Turntables, read back by PyAV and Pillow."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from lrm_sdk import BackendError, Camera, InvalidArgumentError, SaveError

VIEWS = 6


def expected_frames(scene, size, views=VIEWS, elevation=15.0):
    cameras = [Camera.orbit(azimuth=360 * i / views, elevation=elevation) for i in range(views)]
    return np.stack([scene.render(c, size=size).to_uint8() for c in cameras]).astype(int)


def test_folder_of_png(scene, tmp_path):
    folder = scene.save_turntable(tmp_path / "turn", views=3, size=(20, 16))
    assert folder == tmp_path / "turn"
    names = [p.name for p in sorted(folder.iterdir())]
    assert names == ["view_0000.png", "view_0001.png", "view_0002.png"]
    frames = []
    for name in names:
        with Image.open(folder / name) as image:
            frames.append(np.asarray(image.convert("RGB")).astype(int))
    assert np.array_equal(np.stack(frames), expected_frames(scene, (20, 16), 3))


def test_mp4(scene, tmp_path):
    av = pytest.importorskip("av")
    path = scene.save_turntable(tmp_path / "turn.mp4", views=VIEWS, size=(64, 48), fps=12)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == 12
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]).astype(int)
    expected = expected_frames(scene, (64, 48))
    assert frames.shape == expected.shape == (VIEWS, 48, 64, 3)
    assert np.abs(frames - expected).mean() < 4  # H.264 and half-resolution colour


@pytest.mark.parametrize("kind,tolerance", [("gif", 6), ("webp", 4)])
def test_animations(scene, tmp_path, kind, tolerance):
    path = scene.save_turntable(tmp_path / f"turn.{kind}", views=VIEWS, size=(64, 48), fps=10)
    expected = expected_frames(scene, (64, 48))
    with Image.open(path) as image:
        assert image.format == kind.upper() and image.n_frames == VIEWS
        assert image.info.get("loop") == 0  # for ever
        for i in range(VIEWS):
            image.seek(i)
            got = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(got - expected[i]).mean() < tolerance
            assert image.info["duration"] == 100


def test_suffix_in_capitals(scene, tmp_path):
    scene.save_turntable(tmp_path / "A.GIF", views=2, size=(16, 16))
    assert (tmp_path / "A.GIF").read_bytes()[:3] == b"GIF"


def test_progress(scene, tmp_path):
    fractions: list[float] = []
    scene.save_turntable(tmp_path / "turn.gif", views=4, size=(16, 16), progress=fractions.append)
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {0.25, 0.5, 0.75} <= {round(f, 6) for f in fractions}


@pytest.mark.parametrize("name", ["a.avi", "a.jpg", "a.png", "a.mp4.txt"])
def test_other_suffixes(scene, tmp_path, name):
    with pytest.raises(SaveError, match=r"expected \.mp4, \.gif, \.webp or a folder name"):
        scene.save_turntable(tmp_path / name, views=1, size=(16, 16))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options,match",
    [
        ({"views": 0}, "views: expected 1 to 10000, got 0"),
        ({"views": 2.5}, "views: expected an integer"),
        ({"fps": 0}, "fps: expected 0.1 to 240"),
        ({"fps": float("nan")}, "fps"),
        ({"fps": 1e9}, "fps"),
        ({"fps": "30"}, "fps: expected a number"),
        ({"size": (33, 32)}, "size: mp4 takes even sides"),
        ({"size": 32}, "size: expected"),
        ({"elevation": 100}, "elevation"),
        ({"elevation": None}, "elevation"),
    ],
    ids=str,
)
def test_options_that_cannot_be(scene, tmp_path, options, match):
    with pytest.raises(InvalidArgumentError, match=match):
        scene.save_turntable(tmp_path / "a.mp4", **({"views": 2, "size": (32, 32)} | options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0.1, 1 / 3, 23.976, 29.97, 240])
@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_frame_rates(scene, tmp_path, kind, fps):
    scene.save_turntable(tmp_path / f"a.{kind}", views=2, size=(16, 16), fps=fps)


@pytest.mark.parametrize("size", [(2, 2), (16, 300), (18, 2)], ids=str)
@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_small_and_narrow(scene, tmp_path, kind, size):
    scene.save_turntable(tmp_path / f"a.{kind}", views=2, size=size)


def test_mp4_without_av_says_what_to_do_before_it_renders(scene, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(BackendError, match=r"pip install 'lrm-sdk\[video\]', or save \.webp or \.gif"):
        scene.save_turntable(tmp_path / "a.mp4", progress=lambda f: pytest.fail("it began to render"))
    assert not list(tmp_path.iterdir())
