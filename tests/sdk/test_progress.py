"""Progress: the reporter, the bar, Ctrl-C."""

from __future__ import annotations

import io
import os
import signal
import threading

import numpy as np
import pytest

from lrm_sdk import CancelledError
from lrm_sdk.progress import ProgressBar, ProgressReporter


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_fractions_never_fall_nor_leave_the_range():
    seen: list[float] = []
    report = ProgressReporter(seen.append)
    for fraction in (0.2, 0.1, 0.5, 7.0):
        report(fraction)
    report.poll()
    assert seen == [0.2, 0.2, 0.5, 1.0, 1.0]


def test_parts():
    seen: list[float] = []
    part = ProgressReporter(seen.append).part(0.5, 0.75)
    for fraction in (0.0, 0.5, 1.0):
        part(fraction)
    assert seen == [0.5, 0.625, 0.75]


@pytest.mark.parametrize("answer", [None, False, 0, 1, "yes", []])
def test_only_true_cancels(answer):
    ProgressReporter(lambda f: answer)(0.5)


@pytest.mark.parametrize("answer", [True, np.True_], ids=["python", "numpy"])
def test_true_cancels(answer, scene):
    with pytest.raises(CancelledError):
        ProgressReporter(lambda f: answer)(0.5)
    with pytest.raises(CancelledError):
        scene.mesh(progress=lambda f: answer)


def test_bar_on_a_terminal():
    stream = Terminal()
    bar = ProgressBar("mesh", stream)
    for fraction in (0, 0.5, 0.501, 1):
        bar(fraction)
    lines = stream.getvalue().split("\r")
    assert len(lines) == 4  # nothing for what looks the same
    assert "mesh" in lines[-1] and "100 %" in lines[-1] and lines[-1].endswith("\n")
    assert lines[2].count("#") == 15


def test_bar_without_a_terminal_is_silent():
    stream = io.StringIO()
    ProgressBar("mesh", stream)(0.5)
    assert stream.getvalue() == ""


def test_bar_without_any_stderr(monkeypatch):
    """As under pythonw or in a service."""
    import sys

    monkeypatch.setattr(sys, "stderr", None)
    ProgressReporter(True)(0.5)


def test_control_c_ends_a_native_call(scene):
    handler = signal.getsignal(signal.SIGINT)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        scene.density_grid(512)  # many seconds, were it not stopped
    assert signal.getsignal(signal.SIGINT) is handler
    scene.mesh()
