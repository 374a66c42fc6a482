"""Time of the shipped audits with an empty cache and with a filled one: `python benchmarks/audit_time.py`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def audit_seconds(cache: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "audits", "-q", "--kdmem-cache-dir", cache],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as cache:
        cold, *warm = (audit_seconds(cache) for _ in range(4))
    print(f"cold: {cold:.1f} s; warm: {min(warm):.1f} to {max(warm):.1f} s (3 runs)")


if __name__ == "__main__":
    main()
