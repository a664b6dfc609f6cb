"""What is kept of an error, so that it can be understood on another machine."""

from __future__ import annotations

import traceback
from typing import Any

LINES = 15


def last_lines() -> list[str]:
    """Of the traceback of the exception that is being handled."""
    return traceback.format_exc().splitlines()[-LINES:]


def row_of(error: Exception) -> dict[str, Any]:
    """In an `except` block: {"error": its first line, "traceback": the last lines}."""
    text = str(error).strip() or "no text"
    return {"error": f"{type(error).__name__}: {text.splitlines()[0]}", "traceback": last_lines()}
