"""Time that the installed plugin adds to a project that audits nothing: `python benchmarks/plugin_cost.py`.

Collects an unrelated project with and without the plugin in turn, and prints the median of the paired differences.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def collection_seconds(folder: Path, *arguments: str) -> float:
    start = time.perf_counter()
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=21)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pytest.toml").write_text("[pytest]\n")
        (folder / "test_unrelated.py").write_text("def test_nothing():\n    pass\n")
        _warm_up, *timings = (
            (collection_seconds(folder), collection_seconds(folder, "-p", "no:kdmem")) for _ in range(pairs + 1)
        )
    added = [with_plugin - without for with_plugin, without in timings]
    print(f"without: {1000 * statistics.median(without for _, without in timings):.0f} ms (median of {pairs})")
    print(f"added by the plugin: {1000 * statistics.median(added):.0f} ms (median of paired differences)")


if __name__ == "__main__":
    main()
