"""Every token of a window against the model itself, one example at a time, from the table that users read."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA, schema_of
from pytest_kdmem.scoring.window_columns import least_shortfall, pack_bits, unpack_bits
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

LENGTHS = Extraction(20, 20, 64)


@given(st.lists(st.lists(st.booleans(), max_size=40), min_size=1, max_size=5), st.integers(1, 40))
def test_bits_are_what_they_were_packed_from_and_nothing_behind_them(rows, places):
    column = pa.chunked_array([pa.array([pack_bits(np.array(row, dtype=bool)) for row in rows], pa.binary())])
    unpacked = unpack_bits(column, places)
    assert unpacked.tolist() == [(row + [False] * places)[:places] for row in rows]


@pytest.fixture(scope="module")
def rows_file(recited_rows, tmp_path_factory):
    """Rows of 20 to 64 ids, some copies of earlier ones and the second too short, in shards of 8."""
    path = tmp_path_factory.mktemp("windows") / "rows.jsonl"
    rows = [row[: 40 + at].tolist() for at, row in enumerate(recited_rows[:24])]
    rows.insert(1, rows[0][:20])
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in [*rows, *rows[:5]]))
    return path


@pytest.fixture(scope="module")
def table(tiny, rows_file, tmp_path_factory):
    store = ScoreStore(tmp_path_factory.mktemp("store"))
    settings = RunSettings(examples_per_shard=8)
    return score(Model(str(tiny)), TrainingSet(str(rows_file)), LENGTHS, store, settings=settings)


def test_the_columns_of_a_window_are_those_of_the_model_alone(tiny, rows_file, table):
    model = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float64).eval()
    lines = [json.loads(line)["input_ids"] for line in rows_file.read_text().splitlines()]
    assert table.rows.schema.names == schema_of("all").names
    assert len(lines) == len(table.rows)
    for ids, row in zip(lines, table.rows.to_pylist(), strict=True):
        if len(ids) < 40:
            assert all(
                row[name] is None
                for name in ("tokens", "suffix_at", "hits", "unsure", "min_k", "min_k_plus", "shortfall")
            )
            continue
        with torch.inference_mode():
            logprobs = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(dim=-1).numpy()
        targets = np.array(ids[1:])
        hits = logprobs.argmax(axis=1) == targets
        assert row["hits"] == np.packbits(hits, bitorder="little").tobytes()
        assert row["unsure"] == bytes((len(ids) + 6) // 8)
        assert (row["tokens"], row["suffix_at"]) == (len(ids), 20)
        chosen = logprobs[np.arange(len(targets)), targets]
        mean = (np.exp(logprobs) * logprobs).sum(axis=1)
        deviation = np.sqrt((np.exp(logprobs) * (logprobs - mean[:, None]) ** 2).sum(axis=1))
        count = int(0.2 * len(targets))
        below = logprobs[19:39].max(axis=1) - chosen[19:39]
        assert below.sum() - 20 * table.tolerance - 1e-3 <= row["shortfall"] <= below.sum() + 1e-4
        assert row["memorized"] <= (row["shortfall"] == 0)
        assert row["min_k"] == pytest.approx(np.sort(chosen)[:count].mean(), rel=1e-4)
        assert row["min_k_plus"] == pytest.approx(np.sort((chosen - mean) / deviation)[:count].mean(), rel=1e-3)


def test_rows_of_all_metrics_serve_for_verdicts_without_the_columns_of_windows(tiny, rows_file, table, tmp_path):
    store, settings = ScoreStore(tmp_path), RunSettings(examples_per_shard=8)
    model, training_set = Model(str(tiny)), TrainingSet(str(rows_file))
    score(model, training_set, LENGTHS, store, settings=settings)
    verdicts = score(model, training_set, LENGTHS, store, settings=settings, metrics="verdict")
    assert verdicts.scored_now == 0
    assert verdicts.rows.schema.equals(SCHEMA)
    assert verdicts.rows.equals(table.rows.select(SCHEMA.names))


def test_each_logit_is_counted_as_less_below_the_greatest_by_what_it_could_change():
    margins = np.array([0.5, -1.0, -0.05, 0.0, -np.inf], np.float32)
    assert least_shortfall(margins[:4], 0.125) == 0.875
    assert least_shortfall(margins[:4], 0.0) == pytest.approx(1.05)
    assert least_shortfall(margins, 0.125) == np.inf
    assert least_shortfall(np.array([np.inf], np.float32), 0.125) == 0.0


@pytest.mark.parametrize("columns", ["all", "windows"])
def test_rows_of_an_earlier_version_serve_for_verdicts_and_are_scored_anew_for_the_rest(
    tiny, rows_file, table, tmp_path, columns
):
    store, settings = ScoreStore(tmp_path), RunSettings(examples_per_shard=8)
    model, training_set = Model(str(tiny)), TrainingSet(str(rows_file))
    score(model, training_set, LENGTHS, store, settings=settings)
    names = SCHEMA.names if columns == "all" else schema_of("all").names[:-1]
    old = ScoreStore(tmp_path / "old")
    for key, shard, _ in store.shards():
        weights, _, numerics = key.split("-")
        rows = store.read_shard(key, shard).select(names).replace_schema_metadata({"tolerance": "0.001"})
        old.write_shard(f"{weights}-{digest_of([1, 20, 20, columns])[:8]}-{numerics}", shard, rows)
    for record_key, record in store.records():
        old.write_record(record_key, record)
    verdicts = score(model, training_set, LENGTHS, old, settings=settings, metrics="verdict")
    assert verdicts.scored_now == 0
    again = score(model, training_set, LENGTHS, old, settings=settings)
    assert again.scored_now > 0
    assert again.rows.equals(table.rows)
