"""A scoring run that is repeated in child processes, undisturbed or disturbed, and compared by the bytes it writes."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pytest_kdmem.base.files import write_table
from pytest_kdmem.engines.transformers import engine
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.conftest import FIXTURES

assert engine  # imported here, so that no child spends its time on it
ROWS, TOKENS, PER_SHARD = 40, 20, 4
SHAPE = {"num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
DONE, REFUSED, BROKEN = 0, 2, 3


class Trial:
    """A scoring run in a folder, repeated in child processes.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store, self.out = folder / "store", folder / "scores.parquet"
        rows = np.random.default_rng(0).integers(1, 200, (ROWS, TOKENS), dtype=np.int32)
        np.save(folder / "data.npy", rows)
        self.model = prepared_model(folder / "model")
        assert self.run() == DONE
        self.expected = self.out.read_bytes()
        self.shards = sorted(self.store.rglob("*.parquet"))

    def run(self, disturb: Callable[[], object] = lambda: None, root: Path | None = None) -> int:
        """Score in a child, after ``disturb`` was called there; returns its exit code, negative for a signal."""
        if (child := os.fork()) == 0:
            code = BROKEN
            try:
                import torch

                torch.set_num_threads(1)
                disturb()
                self._score(root or self.folder)
                code = DONE
            except KdmemError as error:
                code = REFUSED if len(str(error).splitlines()) == 1 else BROKEN
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def is_whole(self) -> bool:
        """Whether another run writes the bytes of an undisturbed one, and leaves one file for each shard."""
        self.out.unlink(missing_ok=True)
        if self.run() != DONE or self.out.read_bytes() != self.expected:
            return False
        names = [path.name.partition(".")[0] for path in self.store.rglob("*.parquet") if path.name[0] != "."]
        return sorted(names) == sorted(path.name.partition(".")[0] for path in self.shards)

    def forget(self) -> None:
        """Begin anew, with an empty store."""
        shutil.rmtree(self.store, ignore_errors=True)
        self.out.unlink(missing_ok=True)

    def _score(self, root: Path) -> None:
        settings = RunSettings(device="cpu", offline=True, examples_per_shard=PER_SHARD)
        training_set, extraction = TrainingSet(self.folder / "data.npy"), Extraction(12, 8, 20)
        scores = score(Model(self.model), training_set, extraction, ScoreStore(root / "store"), settings=settings)
        write_table(scores.rows, root / "scores.parquet")


def prepared_model(folder: Path) -> Path:
    """Save a tiny model, and import what transformers loads it with, so that each child inherits that.

    PyTorch computes in children alone: one that is forked from a process with threads for it has none of them.
    """
    from transformers import AutoTokenizer
    from transformers.models.gpt_neox import modeling_gpt_neox

    shipped = FIXTURES / "models" / "pythia" / "base-small"
    AutoTokenizer.from_pretrained(shipped).save_pretrained(folder)
    if (child := os.fork()) == 0:
        config = modeling_gpt_neox.GPTNeoXConfig.from_pretrained(shipped, **SHAPE)
        modeling_gpt_neox.GPTNeoXForCausalLM(config).save_pretrained(folder)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    gc.collect()
    gc.freeze()  # no child looks again through what it inherits
    return folder
