"""The comparison with peers runs at its smallest size; peers that are not installed are left out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_smallest_comparison_with_peers(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peers", "--size", "smoke", "--rounds", "1", "--json", tmp_path / "out.json"],
        cwd=ROOT,
        check=True,
    )
    verdicts, step = json.loads((tmp_path / "out.json").read_text())["cases"]
    assert {"pytest-kdmem", "transformers generate", "one pass, all logits"} <= verdicts["sides"].keys()
    assert {"pytest-kdmem step", "full logits"} <= step["sides"].keys()
    for case in (verdicts, step):
        for side in case["sides"].values():
            assert side["per_second"] > 0
            assert side["peak_mib"] is not None
