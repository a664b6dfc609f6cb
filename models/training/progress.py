"""One progress bar for everything that takes minutes."""

from __future__ import annotations

import sys

from tqdm import tqdm

SELDOM = 30  # seconds between lines in a log file, where every refresh is a line


def progress_bar(total: int, *, done: int = 0, title: str = "") -> tqdm:
    """On stderr; a context manager with `update()` and `set_postfix(...)`."""
    interval = 0.1 if sys.stderr.isatty() else SELDOM
    return tqdm(total=total, initial=done, desc=title or None, unit="step", mininterval=interval)
