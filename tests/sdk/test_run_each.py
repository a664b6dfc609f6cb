"""Pictures one ahead: order, what overlaps, errors, leaving early, progress, memory."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from lrm_sdk import CancelledError, ImageError, InvalidArgumentError, LrmError, Reconstructor
from lrm_sdk.ahead import one_ahead
from tests.sdk.make_engine import CHANNELS, SIDE, SIZE
from tests.sdk.pictures import ball_picture

COLORS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (220, 220, 30)]


class SlowNetwork:
    """Records when it runs; each run takes `seconds`, polling. Planes hold the picture's mean."""

    input_shape, output_shape = (None, 3, SIZE, SIZE), (None, 3, CHANNELS, SIDE, SIDE)

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.began: list[float] = []
        self.threads: set[str] = set()
        self.running = 0

    def describe(self) -> str:
        return "slow"

    def run(self, image: np.ndarray, poll: Callable[[], None]) -> np.ndarray:
        self.began.append(time.perf_counter())
        self.threads.add(threading.current_thread().name)
        self.running += 1
        assert self.running == 1, "one picture at a time"
        try:
            while time.perf_counter() < self.began[-1] + self.seconds:
                poll()
                time.sleep(0.005)
        finally:
            self.running -= 1
        return np.full((1, 3, CHANNELS, SIDE, SIDE), image.mean(), np.float32)


@pytest.fixture
def slow(engine_folder, monkeypatch) -> tuple[Reconstructor, SlowNetwork]:
    network = SlowNetwork()
    monkeypatch.setattr("lrm_sdk.reconstructor.load_network", lambda *arguments: network)
    return Reconstructor(engine_folder, device="cpu"), network


def pictures() -> list[np.ndarray]:
    return [ball_picture(color) for color in COLORS]


def ahead_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "lrm-ahead"]


@pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])
def test_scenes_come_in_order(rec, make):
    scenes = list(rec.run_each(make(pictures())))
    for scene, picture in zip(scenes, pictures(), strict=True):
        assert np.array_equal(scene.planes, rec.run(picture).planes)
        assert list(scene.timings) == ["decode", "prepare", "network", "field"]
    assert list(rec.run_each([])) == [] and not ahead_threads()


def test_the_next_network_runs_while_the_caller_works(slow):
    rec, network = slow
    network.seconds = 0.2
    at_work = []
    for _ in rec.run_each(pictures()):
        at_work.append(time.perf_counter())
        time.sleep(0.3)
    assert network.threads == {"lrm-ahead"}
    for scene, begin in zip(at_work, network.began[1:], strict=False):
        assert begin < scene + 0.15  # well before the caller is done with the scene before


def test_it_is_never_more_than_one_ahead(slow):
    rec, network = slow
    asked = []

    def source() -> Iterator[np.ndarray]:
        for picture in pictures():
            asked.append(None)
            yield picture

    for done, _ in enumerate(rec.run_each(source()), 1):
        time.sleep(0.15)  # time to run away
        assert len(network.began) == min(done + 1, 4)
        assert len(asked) <= min(done + 2, 4)


def test_a_dropped_scene_is_freed(slow):
    rec, _ = slow
    scenes = rec.run_each(pictures())
    first = weakref.ref(next(scenes))
    for _ in range(100):
        if first() is None:
            break
        time.sleep(0.01)
    assert first() is None
    scenes.close()


def test_an_error_comes_in_its_place(rec, tmp_path):
    scenes = rec.run_each([ball_picture(), ball_picture(), tmp_path / "none.png", ball_picture()])
    next(scenes), next(scenes)
    with pytest.raises(ImageError, match=r"none\.png"):
        next(scenes)
    with pytest.raises(StopIteration):
        next(scenes)
    assert not ahead_threads()


def test_what_the_source_raises_comes_in_its_place(rec):
    def source() -> Iterator[np.ndarray]:
        yield ball_picture()
        raise KeyError("camera")

    scenes = rec.run_each(source())
    next(scenes)
    with pytest.raises(KeyError, match="camera"):
        next(scenes)
    assert not ahead_threads()


def test_leaving_early_stops_the_network(slow):
    rec, network = slow
    for _ in rec.run_each(pictures()):
        network.seconds = 3600
        while len(network.began) < 2:
            time.sleep(0.01)
        left = time.perf_counter()
        break
    while ahead_threads():
        assert time.perf_counter() < left + 5
        time.sleep(0.01)
    assert network.running == 0
    network.seconds = 0
    rec.run(ball_picture())


def test_cancelling_by_progress_is_heard_while_the_network_runs(slow):
    rec, network = slow
    network.seconds = 3600
    began = time.perf_counter()
    with pytest.raises(CancelledError):
        rec.run_batch(pictures(), progress=lambda f: time.perf_counter() > began + 0.3)
    assert time.perf_counter() < began + 5 and not ahead_threads()


def test_progress_is_called_on_the_callers_thread(rec):
    calls: list[tuple[str, float]] = []

    def progress(fraction: float) -> None:
        calls.append((threading.current_thread().name, fraction))

    list(rec.run_each(pictures(), progress=progress))
    fractions = [fraction for _, fraction in calls]
    assert {name for name, _ in calls} == {threading.current_thread().name}
    assert fractions == sorted(fractions) and {0.0, 0.25, 0.5, 0.75, 1.0} == set(fractions)
    calls.clear()
    list(rec.run_each(iter(pictures()), progress=progress))
    assert {fraction for _, fraction in calls} == {0.0, 1.0}


def test_wrong_arguments_are_refused_at_once(rec, engine_folder):
    with pytest.raises(InvalidArgumentError, match="images: expected a list of pictures"):
        rec.run_each("chair.png")
    with pytest.raises(InvalidArgumentError, match="progress: expected"):
        rec.run_each([], progress=3)
    closed = Reconstructor(engine_folder)
    closed.close()
    with pytest.raises(LrmError, match="closed; make a new one"):
        closed.run_each([])


def test_two_loops_at_once(rec):
    for one, other in zip(rec.run_each(pictures()), rec.run_each(pictures()), strict=True):
        assert np.array_equal(one.planes, other.planes)


def test_one_ahead_alone():
    made = one_ahead(lambda poll: range(3), lambda item, poll: item**2, wait=lambda done: None)
    assert list(made) == [0, 1, 4]
    nothing = one_ahead(lambda poll: 3, lambda item, poll: item, wait=lambda done: None)
    with pytest.raises(TypeError):
        next(nothing)
    assert not ahead_threads()
