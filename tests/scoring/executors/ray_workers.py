"""The processes of Ray workers that were started below this process."""

from __future__ import annotations

import time
from contextlib import suppress

import psutil


def living_workers() -> set[int]:
    """Process ids of the workers of this process's clusters; other test runs on the machine have their own."""
    living = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if title.startswith("ray::RayWorker") and process.status() != psutil.STATUS_ZOMBIE:
                living.add(process.pid)
    return living


def all_gone(seconds: float = 15.0) -> bool:
    """Whether every worker is gone within some seconds."""
    deadline = time.monotonic() + seconds
    while living_workers() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not living_workers()
