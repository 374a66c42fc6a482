"""Two processes each score their share of the sample, with whole weights (DDP) or sharded weights (FSDP2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.tracking.trainings import random_ids


@pytest.mark.parametrize("sharded", [False, True], ids=["whole", "sharded"])
@pytest.mark.slow
def test_two_processes_measure_what_a_greedy_loop_counts_and_stop_together(tmp_path, sharded):
    """Fifteen rows, so that one process has a row less than the other."""
    np.save(tmp_path / "ids.npy", random_ids(15))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    environment |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"} if sharded else {}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.run(
        [*launcher, "-m", "tests.tracking.two_processes", str(tmp_path)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    rates = {step: rate[:2] for step, rate in first["rates"].items()}
    assert rates == {step: [count, 15] for step, count in first["counts"].items()}
    assert first["failed"]
    assert first["stopped"] < 60
    assert process.stderr.count("; the training stops") == 1


@pytest.mark.slow
def test_a_process_that_cannot_score_leaves_no_other_waiting(tmp_path):
    """The second process runs out of memory; both go on training, and the gate does not hold in either."""
    np.save(tmp_path / "ids.npy", random_ids(15))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.run(
        [*launcher, "-m", "tests.tracking.two_processes", str(tmp_path), "fails"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    for rank in (0, 1):
        content = json.loads((tmp_path / f"{rank}.json").read_text())
        assert list(content["rates"]) == ["0"]
        assert (content["stopped"], content["failed"]) == (60, True)
    assert "it did not in process 1, whose own log says why" in process.stderr
