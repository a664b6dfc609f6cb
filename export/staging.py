"""Build in a temporary directory, then rename: an interrupted build leaves nothing behind."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path


class TargetExists(RuntimeError):
    """The output path is taken."""


@contextlib.contextmanager
def staged_directory(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Yields an empty directory beside `target`; renames it to `target` if the block succeeds.

    With `force` an existing target is replaced, after the new one is complete. Two builds into one
    target do not mix: each has a directory of its own, and without `force` the second to finish
    raises TargetExists. A termination signal counts as an interruption.
    """
    target = target.absolute()
    if target.exists() and not force:
        raise TargetExists(f"{target}: already exists; give another --out, or --force to replace it")
    target.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        with _terminate_as_interrupt():
            yield stage
            stage.chmod(0o755)  # mkdtemp makes it private
            _replace(stage, target, force)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _replace(stage: Path, target: Path, force: bool) -> None:
    if force and target.exists():
        _exchange(stage, target)
        return
    try:
        stage.rename(target)
    except OSError as error:
        message = f"{target}: another build finished first; give another --out, or --force"
        raise TargetExists(message) from error


def _exchange(stage: Path, target: Path) -> None:
    """Interrupted between the two renames, the old target comes back."""
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(old / target.name)
        stage.rename(target)
    except BaseException:
        if (old / target.name).exists() and not target.exists():
            (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old)


@contextlib.contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: signals are not ours to change
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
