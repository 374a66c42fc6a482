"""Workers of Ray answer what is asked beyond the pass as this process does: near-verbatim, samplers, other prefixes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.scoring.near_verbatim import near_verbatim
from pytest_kdmem.scoring.sampled import sampled_suffixes
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.scoring.without_prefix import suffixes_alone
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.sampler import Draws, Sampler
from tests.scoring.test_near_verbatim import altered

pytest.importorskip("ray")

pytestmark = pytest.mark.slow  # each starts workers, which load torch

EXTRACTION = Extraction(50, 50, 100)
SMALL_SHARDS = RunSettings(examples_per_shard=16)


def scored(tiny: Path, rows: np.ndarray, folder: Path, metrics) -> tuple[ScoreTable, Path]:
    """The table over rows of which some are copies, and the store."""
    np.save(folder / "rows.npy", rows)
    data, store = TrainingSet(str(folder / "rows.npy")), ScoreStore(folder / "store")
    return score(Model(str(tiny)), data, EXTRACTION, store, settings=SMALL_SHARDS, metrics=metrics), store.root


def test_workers_decode_the_same(on_cluster, tiny, recited_rows, tmp_path):
    rows = np.concatenate([altered(recited_rows[::2]), recited_rows[1:17:2]])
    table, root = scored(tiny, np.concatenate([rows, rows[:3]]), tmp_path, "verdict")
    settings = RunSettings(executor="ray", workers=2, examples_per_shard=16)
    by_ray = near_verbatim(table, Nearness(), ScoreStore(tmp_path / "ray"), settings=settings)
    assert by_ray.equals(near_verbatim(table, Nearness(), ScoreStore(root), settings=SMALL_SHARDS))


def test_workers_score_other_prefixes_the_same(on_cluster, tiny, recited_rows, tmp_path):
    table, root = scored(tiny, np.concatenate([recited_rows[:24], recited_rows[:4]]), tmp_path, "verdict")
    settings = RunSettings(executor="ray", workers=1)
    by_ray = suffixes_alone(table, ScoreStore(tmp_path / "ray"), settings=settings)
    here = suffixes_alone(table, ScoreStore(root))
    assert by_ray.drop_columns(["logprob"]).equals(here.drop_columns(["logprob"]))


def test_workers_score_samplers_the_same(on_cluster, tiny, recited_rows, tmp_path):
    table, root = scored(tiny, np.concatenate([recited_rows[:24], recited_rows[:4]]), tmp_path, "all")
    samplers, draws = [Sampler(0.02), Sampler(0.5, 5), Sampler(top_k=1)], Draws(100, 0.5)
    settings = RunSettings(executor="ray", workers=1)
    by_ray = sampled_suffixes(table, samplers, draws, ScoreStore(tmp_path / "ray"), settings=settings)
    here = sampled_suffixes(table, samplers, draws, ScoreStore(root))
    for rows, expected in zip(by_ray, here, strict=True):
        assert rows.select(["example_id", "digest"]).equals(expected.select(["example_id", "digest"]))
        for name in ("logprob", "least", "most"):
            np.testing.assert_allclose(rows[name].to_numpy(), expected[name].to_numpy(), atol=1e-3)
