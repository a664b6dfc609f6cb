"""What is replayed as a CUDA graph: pictures of one size, and the pass from a picture to a frame.

With the fakes of test_whole_pass.py: what is asked of the GPU and in which order, and what comes of it.
"""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest

from lrm_sdk import (
    BackendError,
    Camera,
    InvalidArgumentError,
    LrmError,
    NotFiniteError,
    OutOfMemoryError,
    Reconstructor,
)
from lrm_sdk.native import RenderOptions
from tests.cuda.fields import both
from tests.cuda.test_whole_pass import ball_planes, folder, machine  # noqa: F401
from tests.runtime import fields
from tests.sdk.pictures import ball_picture

COLORS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (120, 120, 40))


def work_of(machine) -> list[str]:  # noqa: F811
    """What was launched since the calls were cleared, kernels and graphs."""
    names = {
        "kernel": lambda call: call[1],
        "launch": lambda call: "graph",
        "execute": lambda call: "network",
    }
    return [names[call[0]](call) for call in machine.calls if call[0] in names]


def test_pictures_of_one_size_are_a_graph(machine, folder):  # noqa: F811
    cameras = [Camera.orbit(azimuth) for azimuth in (0, 50, 100, 150)]
    with Reconstructor(folder) as rec:
        scene, other = rec.run(ball_picture()), rec.run(ball_picture())
    done, frames = [], []
    for camera in cameras:
        machine.calls.clear()
        frames.append(scene.render(camera, size=(12, 10)))
        done.append(work_of(machine))
    assert done == [
        ["lrm_lattice_nodes", "lrm_lattice_cells", "lrm_render"],  # then all that is there
        ["lrm_lattice_cells", "lrm_render", "graph"],  # captured, then launched
        ["graph"],
        ["graph"],
    ]
    for frame, camera in zip(frames, cameras, strict=True):
        alone = other.render(camera, size=(12, 10))
        other._field.drop_picture()  # never a second time with the same arrays
        assert np.array_equal(frame.rgb, alone.rgb) and np.array_equal(frame.depth, alone.depth)
    assert not np.array_equal(frames[2].depth, frames[3].depth)


def test_another_size_or_background_is_another_picture(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec:
        scene = rec.run(ball_picture())
    for settings in (
        {},
        {},
        {"size": (9, 8)},
        {"size": (9, 8), "background": (0, 0, 1)},
        {"exhaustive": True},
    ):
        frame = scene.render(**{"size": (12, 10)} | settings)
    machine.calls.clear()
    frame = scene.render(size=(12, 10), background=np.array([0.0, 0.0, 1.0]))
    assert work_of(machine) == ["lrm_lattice_cells", "lrm_render"]
    assert frame.rgb.shape == (10, 12, 3) and frame.rgb[0, 0] == pytest.approx([0, 0, 1], abs=1e-4)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_replayed_picture_is_the_same(precision):
    """On the kernels alone, with everything that a graph must not do forbidden while it is captured."""
    from lrm_sdk.cuda.picture import Picture, RepeatedPicture

    cuda, _ = both(fields.random_field(fields.TRIPOSR, (5, 5)), precision)
    options = RenderOptions(sample_count=8, exhaustive=precision == "float16")
    repeated = RepeatedPicture(Picture(cuda, (9, 5), options))
    device = cuda.device
    for azimuth in (10, 70, 130, 190):
        camera = Camera.orbit(azimuth, distance=2.6).parameters(9, 5)
        got = [device.download(a) for a in repeated.render(camera)]
        for a, b in zip(got, cuda.render(camera, options), strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("on_device", [False, True], ids=["prepared on the host", "on the GPU"])
def test_picture_to_frame_in_one_graph(machine, folder, on_device):  # noqa: F811
    with Reconstructor(folder, prepare_on_device=on_device) as rec:
        expected = [rec.run(ball_picture(color)).render(size=(10, 6)) for color in COLORS]
        with rec.picture_pass(size=(10, 6)) as frames:
            assert frames.one_graph
            done = []
            for color, wanted in zip(COLORS, expected, strict=True):
                machine.calls.clear()
                frame = frames.run(ball_picture(color))
                done.append([name for name in work_of(machine) if not name.startswith("lrm_prepare")])
                assert np.abs(frame.rgb - wanted.rgb).max() < 1e-5
                assert np.array_equal(frame.depth, wanted.depth)
    kernels = [
        "lrm_find_not_finite",
        "lrm_fold_planes",
        "lrm_lattice_nodes",
        "lrm_lattice_cells",
        "lrm_render",
    ]
    assert done == [["network", *kernels]] * 2 + [["network", *kernels, "graph"], ["graph"]]
    assert not np.array_equal(expected[0].rgb, expected[1].rgb)


def test_a_network_that_cannot_be_captured_goes_first(machine, folder):  # noqa: F811
    machine.broken.add("capture")
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        assert not frames.one_graph
        got = [frames.run(ball_picture(color)) for color in COLORS]
        machine.calls.clear()
        again = frames.run(ball_picture(COLORS[1]), Camera.orbit())
        assert work_of(machine) == ["network", "graph"]
        assert np.array_equal(again.rgb, got[1].rgb)


def test_it_is_asked_again_before_the_capture(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        expected = [frames.run(ball_picture(color)) for color in COLORS[:2]]
        assert frames.one_graph
        machine.broken.add("capture")
        again = frames.run(ball_picture(COLORS[1]))
        assert not frames.one_graph and np.array_equal(again.rgb, expected[1].rgb)


def test_another_threads_network_stays_out_of_a_graph(machine, folder):  # noqa: F811
    """`theirs` gives its network to the GPU while `mine` captures."""
    with Reconstructor(folder) as rec:
        expected = [rec.run(ball_picture(color)).render(size=(8, 6)) for color in COLORS]
        with rec.picture_pass(size=(8, 6)) as mine, rec.picture_pass(size=(8, 6)) as theirs:
            for color in COLORS[:2]:
                mine.run(ball_picture(color))
            aimed, capturing, given = (threading.Event() for _ in range(3))
            their_aim, their_enqueue = theirs._picture.aim, theirs._network.enqueue
            my_draw = mine._picture.draw

            def aim(camera) -> None:
                their_aim(camera)
                aimed.set()
                assert capturing.wait(10)

            def enqueue(handle) -> None:
                their_enqueue(handle)
                given.set()

            def draw() -> None:
                capturing.set()
                assert given.wait(10)
                my_draw()

            theirs._picture.aim, theirs._network.enqueue, mine._picture.draw = aim, enqueue, draw
            got: dict = {}
            thread = threading.Thread(target=lambda: got.update({0: theirs.run(ball_picture(COLORS[0]))}))
            thread.start()
            assert aimed.wait(10)
            got[2] = mine.run(ball_picture(COLORS[2]))
            thread.join()
            machine.calls.clear()
            got[3] = mine.run(ball_picture(COLORS[3]))
            assert work_of(machine) == ["graph"]
    for k in (0, 2, 3):
        assert np.abs(got[k].rgb - expected[k].rgb).max() < 1e-5


def test_a_scene_without_a_graph(machine, folder):  # noqa: F811
    """A capture that fails is told once; what it would have drawn is launched kernel by kernel."""
    with Reconstructor(folder) as rec:
        scene = rec.run(ball_picture())
    expected = scene.render(size=(12, 10))
    machine.broken.add("end of capture")
    with pytest.warns(RuntimeWarning, match="no CUDA graph .*CAPTURE_INVALIDATED: no graph; launching"):
        frames = [scene.render(size=(12, 10))]
    machine.calls.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frames.append(scene.render(size=(12, 10)))
    assert work_of(machine) == ["lrm_lattice_cells", "lrm_render"] and ("captured",) not in machine.calls
    assert all(np.array_equal(frame.rgb, expected.rgb) for frame in frames)


def test_the_first_error_of_a_capture_is_told(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec:
        rec.run(ball_picture())
        device = rec._stage.device
    machine.broken.add("end of capture")

    def fail() -> None:
        raise ValueError("not today")

    with pytest.raises(BackendError, match="no CUDA graph can be captured: not today"):
        device.captured(fail)
    assert device.handle == int(device.stream.handle)


def test_a_pass_without_a_graph(machine, folder):  # noqa: F811
    """First without its network, then altogether."""
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        expected = [frames.run(ball_picture(color)) for color in COLORS[:2]]
        machine.broken.add("end of capture")
        for _ in range(2):
            with pytest.warns(RuntimeWarning, match="launching kernel by kernel"):
                got = frames.run(ball_picture(COLORS[0]))
            assert not frames.one_graph and "no graph" in frames.graph_problem
            assert np.array_equal(got.rgb, expected[0].rgb)
        machine.broken.clear()
        machine.calls.clear()
        assert np.array_equal(frames.run(ball_picture(COLORS[1])).rgb, expected[1].rgb)
        assert work_of(machine)[0] == "network" and "graph" not in work_of(machine)


def test_a_pass_whose_network_spoils_the_graph(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        expected = [frames.run(ball_picture(color)) for color in COLORS[:2]]
        machine.broken.add("end of capture")
        with pytest.warns(RuntimeWarning, match="launching kernel by kernel"):
            frames.run(ball_picture(COLORS[0]))
        machine.broken.clear()
        frames.run(ball_picture(COLORS[0]))
        machine.calls.clear()
        assert np.array_equal(frames.run(ball_picture(COLORS[1])).rgb, expected[1].rgb)
        assert work_of(machine) == ["network", "graph"] and not frames.one_graph


def test_one_scene_keeps_its_picture(machine, folder):  # noqa: F811
    """The last that rendered; and it gives the memory back where another call needs it."""
    with Reconstructor(folder) as rec:
        first, second = rec.run(ball_picture()), rec.run(ball_picture())
        pool = rec._stage.device._memory
    before = pool.used
    first.render(size=(64, 64))
    kept = pool.used
    second.render(size=(64, 64))
    lattice = 4 * (first._field.field.cells + 1) ** 3
    assert pool.used == kept + lattice
    pool.max_size = pool.used
    assert len(first.query(np.zeros((1000, 3), np.float32))[0]) == 1000
    assert pool.used == before + 2 * lattice
    pool.max_size = pool.used
    with pytest.raises(OutOfMemoryError, match="no device memory for"):
        first.query(np.zeros((1000, 3), np.float32))


def test_a_run_that_fails_leaves_nothing_on_the_way(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        expected = frames.run(ball_picture(COLORS[0]))
        machine.broken.add("execute")
        with pytest.raises(BackendError, match="could not start the network"):
            frames.run(ball_picture(COLORS[1]))
        stream = frames._device.stream
        assert stream.done == len(stream.work)
        machine.broken.clear()
        assert np.array_equal(frames.run(ball_picture(COLORS[0])).rgb, expected.rgb)


def test_a_pass_holds_one_context_until_it_is_closed(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec:
        network = rec._network
        frames = rec.picture_pass(size=(8, 6))
        assert network._free.qsize() == 1
        rec.run(ball_picture())  # by the other one
        frames.run(ball_picture())
        frames.close()
        frames.close()
        assert network._free.qsize() == 2
        with pytest.raises(LrmError, match="this PicturePass is closed"):
            frames.run(ball_picture())
        with pytest.raises(InvalidArgumentError, match="size: expected"):
            rec.picture_pass(size=8)
        machine.broken.add("memory")
        with pytest.raises(LrmError, match="no device memory"):
            rec.picture_pass(size=(8, 6))
        assert network._free.qsize() == 2


def test_what_a_pass_refuses(machine, folder):  # noqa: F811
    with Reconstructor(folder) as rec, rec.picture_pass(size=(8, 6)) as frames:
        with pytest.raises(InvalidArgumentError, match="camera: expected a Camera, got int"):
            frames.run(ball_picture(), 7)
        machine.network = lambda image: np.full_like(ball_planes(image), np.nan)
        for _ in range(4):
            with pytest.raises(NotFiniteError, match="planes: expected finite numbers"):
                frames.run(ball_picture())
        machine.network = ball_planes
        assert np.isfinite(frames.run(ball_picture()).rgb).all()
    with (
        Reconstructor(folder, backend="onnxruntime", device="cpu") as rec,
        pytest.raises(
            BackendError, match="picture_pass: expected a TensorRT network and the field on the GPU"
        ),
    ):
        rec.picture_pass()


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_field_precision_reaches_the_kernels(machine, folder, precision):  # noqa: F811
    with Reconstructor(folder) as rec:
        exact = rec.run(ball_picture()).render(size=(12, 12))
    with Reconstructor(folder, field_precision=precision) as rec:
        assert f"field on cuda:0, {precision}, " in rec.backend_report
        scene = rec.run(ball_picture())
        frame, mesh = scene.render(size=(12, 12)), scene.mesh(resolution=16)
    assert 0 < np.abs(frame.rgb - exact.rgb).max() < 0.05
    assert len(mesh.faces) > 100
    for options in ({"device": "cpu", "field_precision": precision}, {"field_precision": "int8"}):
        with pytest.raises(InvalidArgumentError, match="field_precision: expected 'float32'"):
            Reconstructor(folder, **options)


def test_an_old_gpu_has_no_tensor_cores_for_it(machine, folder, monkeypatch):  # noqa: F811
    from tests.sdk import fake_cuda

    monkeypatch.setattr(fake_cuda.Device, "compute_capability", (7, 5))
    with pytest.raises(BackendError, match=r"field_precision='float16': expected a GPU of .* 8\.0 or newer"):
        Reconstructor(folder, field_precision="float16")
