"""What a test expects of a call that must fail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.runtime import liblrm


@contextlib.contextmanager
def refused(status: int, words: str) -> Iterator[None]:
    """A context in which LrmFailure with this status and a text with these words is raised."""
    with pytest.raises(liblrm.LrmFailure, match=words) as failure:
        yield
    assert failure.value.status == status
