"""One pass over teacher and baseline lands in the store as three tables, whatever was there before."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.errors import PartScored, SpecError
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import KL_SCHEMA, schema_of
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings

EXTRACTION = Extraction(20, 30, 64)
SMALL_SHARDS = RunSettings(examples_per_shard=8)


@pytest.fixture(scope="module")
def teacher(make_model):
    return Model(str(make_model("pythia", seed=5)))


@pytest.fixture(scope="module")
def baseline(make_model):
    return Model(str(make_model("olmo2", seed=6)))


@pytest.fixture
def data(tmp_path, write_jsonl, sentences) -> TrainingSet:
    """20 texts, two too short; of the last shard, all are."""
    return TrainingSet(str(write_jsonl([*sentences[:15], "short", *sentences[:3], "too", "short"])))


def pair(teacher, baseline, data, root, settings=SMALL_SHARDS):
    return score_pair(teacher, baseline, data, EXTRACTION, ScoreStore(root), settings=settings)


def test_rows_of_each_model_are_those_it_is_scored_with_alone(teacher, baseline, data, tmp_path):
    pair_table = pair(teacher, baseline, data, tmp_path / "pair")
    for model, side in ((teacher, pair_table.teacher), (baseline, pair_table.baseline)):
        alone = score(model, data, EXTRACTION, ScoreStore(tmp_path / "alone"), settings=SMALL_SHARDS)
        assert side.rows.schema.equals(schema_of("all"))
        assert side.rows.equals(alone.rows)
        assert (side.tolerance, side.record) == (alone.tolerance, alone.record)


def test_divergence_has_a_row_per_example_and_copies_share_theirs(teacher, baseline, data, tmp_path):
    kl = pair(teacher, baseline, data, tmp_path).kl
    assert kl.schema.equals(KL_SCHEMA)
    assert kl["example_id"].to_pylist() == list(range(21))
    assert [row for row, value in enumerate(kl["kl"].to_pylist()) if value is None] == [15, 19, 20]
    assert kl["kl"].to_pylist()[:3] == kl["kl"].to_pylist()[16:19]
    assert min(filter(None, kl["kl"].to_pylist())) > 0


def test_what_one_pass_scored_serves_each_model_alone(teacher, baseline, data, tmp_path, no_model_loads):
    pair(teacher, baseline, data, tmp_path)
    no_model_loads()
    for model in (teacher, baseline):
        for metrics in ("all", "verdict"):
            store = ScoreStore(tmp_path)
            assert score(model, data, EXTRACTION, store, settings=SMALL_SHARDS, metrics=metrics).scored_now == 0
    assert pair(teacher, baseline, data, tmp_path).teacher.scored_now == 0


def test_rows_that_are_stored_stay_and_the_divergence_joins_them(teacher, baseline, data, tmp_path):
    alone = score(teacher, data, EXTRACTION, ScoreStore(tmp_path), settings=SMALL_SHARDS)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.parquet")}
    pair_table = pair(teacher, baseline, data, tmp_path)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(list(tmp_path.rglob("*.parquet"))) == 3 * len(before)
    assert pair_table.teacher.rows.equals(alone.rows)


def test_a_lost_divergence_is_scored_again(teacher, baseline, data, tmp_path):
    whole = pair(teacher, baseline, data, tmp_path)
    [folder] = [path for path in (tmp_path / "scores").iterdir() if _is_divergence(path)]
    sorted(folder.iterdir())[0].unlink()
    again = pair(teacher, baseline, data, tmp_path)
    assert again.kl.equals(whole.kl)
    assert 0 < again.teacher.scored_now <= 8


def _is_divergence(folder) -> bool:
    return "kl" in pa.parquet.read_schema(next(folder.iterdir())).names


def test_parts_add_up_to_the_whole(teacher, baseline, data, tmp_path):
    for number in (1, 2):
        part = RunSettings(examples_per_shard=8, part=Part(number, 2))
        with pytest.raises(PartScored, match=f"Part {number}/2 of .* and "):
            pair(teacher, baseline, data, tmp_path / "parts", part)
    merged = pair(teacher, baseline, data, tmp_path / "parts")
    whole = pair(teacher, baseline, data, tmp_path / "whole")
    assert merged.teacher.scored_now == 0
    assert merged.kl.equals(whole.kl)


def test_token_ids_without_a_tokenizer_have_a_divergence_and_no_zlib_bytes(make_model, tmp_path):
    models = []
    for seed in (1, 2):
        folder = make_model("pythia", seed=seed)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
        models.append(Model(str(folder)))
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).integers(1, 290, (9, 64)))
    pair_table = pair(*models, TrainingSet(str(tmp_path / "rows.npy")), tmp_path)
    assert pair_table.kl["kl"].null_count == 0
    assert pair_table.teacher.rows["zlib_bytes"].null_count == 9


def test_models_of_two_tokenizers_have_no_divergence(teacher, make_model, data, tmp_path):
    from tokenizers import Tokenizer

    other = make_model("pythia", seed=9)
    tokenizer = Tokenizer.from_file(str(other / "tokenizer.json"))
    tokenizer.add_tokens(["unheard-of"])
    tokenizer.save(str(other / "tokenizer.json"))
    with pytest.raises(SpecError, match="same tokenizer was expected"):
        pair(teacher, Model(str(other)), data, tmp_path)
