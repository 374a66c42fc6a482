"""Share of a cold run of the shipped audits that the check of readings takes: `python benchmarks/reading_check.py`."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.scoring.documents_guard import DocumentsGuard

ROOT = Path(__file__).parents[1]
# What the check does: it tokenizes and aligns, scores, and judges; losses are scored within the calls of no other.
STEPS = (
    (DocumentsGuard, "_made_plan"),
    (DocumentsGuard, "_judge"),
    (DocumentsGuard, "_keep"),
    (TransformersEngine, "losses"),
)


def main() -> None:
    seconds = dict.fromkeys((name for _, name in STEPS), 0.0)

    def timed(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            start = time.perf_counter()
            try:
                return step(*arguments)
            finally:
                seconds[name] += time.perf_counter() - start

        return run

    for owner, name in STEPS:
        setattr(owner, name, timed(name, getattr(owner, name)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as cache:
        code = pytest.main([str(ROOT / "audits"), "-q", "-p", "no:cacheprovider", "--kdmem-cache-dir", cache])
    total = time.perf_counter() - start
    for name, taken in seconds.items():
        print(f"{name.strip('_').replace('_', ' ')}: {taken:.2f} s")
    print(f"check of readings: {sum(seconds.values()):.2f} of {total:.1f} s ({sum(seconds.values()) / total:.1%})")
    sys.exit(code)


if __name__ == "__main__":
    main()
