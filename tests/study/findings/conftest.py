"""Findings are computed in one thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Hundreds of small fits are slower on two threads than on one, most of all on a busy machine."""
    with threadpool_limits(1):
        yield
