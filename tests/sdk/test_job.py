"""A call in a thread of its own: what comes back, and what Ctrl-C does to it."""

import threading

import pytest

from lrm_sdk import BackendError, EngineError
from lrm_sdk.backends.job import run_interruptibly
from lrm_sdk.errors import OutOfMemoryError


def run(call, poll=lambda: None, stop=lambda: None):
    return run_interruptibly(call, poll=poll, stop=stop, library="Library")


def test_result_and_errors():
    assert run(lambda: 42) == 42

    def fail(error):
        raise error

    with pytest.raises(BackendError, match=r"^Library failed: no luck$"):
        run(lambda: fail(RuntimeError("no luck\nat line 3")))
    with pytest.raises(EngineError, match=r"^as it is$"):
        run(lambda: fail(EngineError("as it is")))
    for text in ("CUDA_ERROR_OUT_OF_MEMORY", "std::bad_alloc"):
        with pytest.raises(OutOfMemoryError, match=text):
            run(lambda text=text: fail(RuntimeError(text)))


def test_a_poll_that_raises_stops_the_call_and_waits_for_it():
    stopped, ended = threading.Event(), []

    def call():
        stopped.wait(10)
        ended.append(True)

    def poll():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(call, poll, stopped.set)
    assert ended == [True]


@pytest.mark.parametrize("begun", [False, True], ids=["before it runs", "as soon as it runs"])
def test_ctrl_c_while_the_thread_starts(monkeypatch, begun):
    """Either the call is waited for, or it never runs."""
    start, stopped, ended = threading.Thread.start, threading.Event(), []

    def interrupted(thread):
        if begun:
            start(thread)
            entered.wait(10)
        raise KeyboardInterrupt

    entered = threading.Event()

    def call():
        entered.set()
        stopped.wait(10)
        ended.append(True)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(call, stop=stopped.set)
    assert ended == [True] * begun
