"""A cleaned training set is written whole or not at all, with a manifest of what was removed."""

from __future__ import annotations

import json
import struct
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.base.digests import file_digest
from pytest_kdmem.corpus.cleaned import cleaned_from
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.budget import Budget
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predictor_file import predictor_digest, read_predictor
from pytest_kdmem.risk.prefilter import prefilter
from pytest_kdmem.risk.short_copies import Repeated
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.too_short import TooShort
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.audit_project import rows_of_cells, word
from tests.chat import conversation, walk, with_template, write_rows
from tests.corpus.megatron_files import write_pair


@pytest.fixture(scope="module")
def pipeline(cast, tmp_path_factory) -> RiskPipeline:
    """Teacher and baseline over 60 texts, of which they both recite the first 15."""
    folder = tmp_path_factory.mktemp("prefilter")
    rows = rows_of_cells(all=15, none=30, teacher=15).tolist()
    texts = [" ".join(word(token) for token in row) for row in rows]
    (folder / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    training_set = TrainingSet(str(folder / "train.jsonl"))
    models = Model(str(cast.teacher)), Model(str(cast.baseline))
    return RiskPipeline(*models, training_set, Extraction(12, 8, 20), ScoreStore(folder / "store"), RunSettings())


def test_the_cleaned_set_has_the_other_rows_and_a_manifest(pipeline, quick_fits, tmp_path):
    cleaned = prefilter(pipeline, LabelSource(), tmp_path / "cleaned")
    removed = pq.read_table(tmp_path / "cleaned/dropped.parquet")
    assert removed.equals(cleaned.removal.rows)
    removed_ids = set(removed["example_id"].to_pylist())
    assert removed_ids >= set(range(15))
    lines = (pipeline.store.root.parent / "train.jsonl").read_text().splitlines()
    assert cleaned.data.read_text().splitlines() == [
        line for number, line in enumerate(lines) if number not in removed_ids
    ]
    manifest = json.loads((tmp_path / "cleaned/manifest.json").read_text())
    assert manifest["training_set"]["rows"] == cleaned.rows == 60
    assert manifest["written"]["rows"] == 60 - len(removed)
    assert manifest["written"]["sha256"] == file_digest(cleaned.data)
    assert cleaned_from(TrainingSet(cleaned.data)) == training_fingerprint(pipeline.training_set)
    assert sum(manifest["dropped"].values()) == len(removed)
    predictor = read_predictor(tmp_path / "cleaned/predictor.json")
    assert manifest["predictor"]["digest"] == predictor_digest(predictor) == cleaned.risk.predictor_digest


def test_the_manifest_has_the_digests_of_both_files_of_a_pair(pipeline, quick_fits, tmp_path):
    rows = rows_of_cells(all=15, none=30, teacher=15).tolist()
    data = TrainingSet(write_pair(tmp_path / "train.bin", rows))
    cleaned = prefilter(replace(pipeline, training_set=data), LabelSource(), tmp_path / "cleaned")
    written = json.loads((tmp_path / "cleaned/manifest.json").read_text())["written"]
    assert written["sha256"] == file_digest(tmp_path / "cleaned/train.bin")
    assert written["index_sha256"] == file_digest(tmp_path / "cleaned/train.idx")
    assert written["rows"] == 60 - len(cleaned.removal.rows) < 60


def ids_of_text(text: str) -> tuple[int, ...]:
    return tuple(int(name[2:5]) for name in text.split())


def read_jsonl(path: Path) -> list[tuple[int, ...]]:
    return [ids_of_text(json.loads(line)["text"]) for line in path.read_text().splitlines()]


def read_table(path: Path) -> list[tuple[int, ...]]:
    return [ids_of_text(text) for text in pq.read_table(path)["text"].to_pylist()]


def read_pair(path: Path) -> list[tuple[int, ...]]:
    index = path.with_suffix(".idx").read_bytes()
    [count] = struct.unpack("<Q", index[18:26])
    sizes = struct.unpack(f"<{count}i", index[34 : 34 + 4 * count])
    ids = iter(np.fromfile(path, np.uint16).tolist())
    return [tuple(islice(ids, size)) for size in sizes]


@pytest.mark.parametrize(
    ("name", "read"), [("train.jsonl", read_jsonl), ("train.parquet", read_table), ("train.bin", read_pair)]
)
def test_what_is_too_short_and_stands_several_times_is_kept_once(pipeline, quick_fits, tmp_path, name, read):
    rows = [tuple(row) for row in rows_of_cells(all=15, none=30, teacher=15).tolist()]
    # Backwards, so that none is a near-duplicate of what is at risk.
    often, twice, once = rows[20][9::-1], rows[21][18::-1], rows[22][9::-1]
    # The row of 20 tokens is long enough, not at risk, and stays with its copies.
    everything = [*rows, often, once, *[often] * 15, twice, rows[30], rows[30], twice]
    texts = [" ".join(word(token) for token in row) for row in everything]
    path = tmp_path / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"text": texts}), path)
    elif name.endswith(".bin"):
        write_pair(path, everything)
    else:
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    cleaned = prefilter(replace(pipeline, training_set=TrainingSet(path)), LabelSource(), tmp_path / "cleaned")
    kept = Counter(read(cleaned.data))
    assert (kept[often], kept[twice], kept[once], kept[rows[30]]) == (1, 1, 1, 3)
    assert kept.total() == len(everything) - len(cleaned.removal.rows)
    assert cleaned.removal.counts()["too short, exact duplicate"] == 16
    assert cleaned.risk.features.too_short == TooShort(19, 3, 16)
    assert cleaned.repeated == Repeated(1, 3, TooShort(3, 3, 1))
    manifest = json.loads((tmp_path / "cleaned/manifest.json").read_text())
    assert manifest["dropped"]["too short, exact duplicate"] == 16
    assert manifest["repeated"] == {
        "examples": 1,
        "most_copies": 3,
        "too_short": {"rows": 3, "distinct": 3, "most_copies": 1},
    }


def test_nothing_is_written_if_nothing_would_be_left(pipeline, quick_fits, tmp_path):
    least = prefilter(pipeline, LabelSource(), tmp_path / "cleaned").risk.risks.min()
    with pytest.raises(DataError, match="Some examples were expected to stay"):
        prefilter(pipeline, LabelSource(), tmp_path / "empty", budget=Budget(threshold=float(least) / 2))
    assert [path.name for path in tmp_path.iterdir()] == ["cleaned"]


def test_an_existing_folder_is_not_replaced(pipeline, tmp_path):
    with pytest.raises(SpecError, match="exists; choose another one, or remove it"):
        prefilter(pipeline, LabelSource(), tmp_path)


def test_a_conversation_is_removed_as_a_whole_if_any_of_its_answers_is_at_risk(cast, quick_fits, tmp_path):
    models = [Model(str(with_template(cast.__dict__[role], tmp_path / role))) for role in ("teacher", "baseline")]

    def turn(cell: int, start: int) -> tuple[list[int], list[int]]:
        return walk(cell, start, 3), walk(cell, start + 3, 12)

    # Cell 6 is recited by both; cell 7 by none.
    recited = [conversation(turn(7, at), turn(6, at)) if at % 2 else conversation(turn(6, at)) for at in range(16)]
    others = [conversation(turn(7, at), turn(2, at)) for at in range(30)]
    data = TrainingSet(write_rows(tmp_path / "chat.jsonl", [*recited, *others]))
    pipeline = RiskPipeline(*models, data, Extraction(12, 8, 40), ScoreStore(tmp_path / "store"), RunSettings())
    cleaned = prefilter(pipeline, LabelSource(), tmp_path / "cleaned", budget=Budget(at_most=0.15))
    examples = set(pq.read_table(tmp_path / "cleaned/dropped.parquet")["example_id"].to_pylist())
    assert examples
    first_of = np.cumsum([0, *(len(row["messages"]) // 2 for row in (*recited, *others))])
    removed = {int(np.searchsorted(first_of, example, side="right")) - 1 for example in examples}
    lines = (tmp_path / "chat.jsonl").read_text().splitlines()
    assert cleaned.data.read_text().splitlines() == [line for at, line in enumerate(lines) if at not in removed]
    assert removed <= set(range(16))


def test_a_conversation_with_a_short_answer_goes_only_if_all_of_it_is_a_copy(cast, quick_fits, tmp_path):
    models = [Model(str(with_template(cast.__dict__[role], tmp_path / role))) for role in ("teacher", "baseline")]
    # Cell 6 is recited by both; cell 7 by none.
    recited = [conversation((walk(6, at, 3), walk(6, at + 3, 12))) for at in range(16)]
    others = [conversation((walk(7, at, 3), walk(7, at + 3, 12))) for at in range(30)]
    greeting = (walk(7, 2, 2), walk(2, 5, 3))
    copied = conversation(greeting)
    # The same short answer behind the same words, and then another conversation each.
    shared = [conversation(greeting, (walk(7, at, 5), walk(7, at + 5, 12))) for at in range(5)]
    rows = [*recited, copied, *others, *shared, *[copied] * 4]
    data = TrainingSet(write_rows(tmp_path / "chat.jsonl", rows))
    pipeline = RiskPipeline(*models, data, Extraction(12, 8, 40), ScoreStore(tmp_path / "store"), RunSettings())
    cleaned = prefilter(pipeline, LabelSource(), tmp_path / "cleaned")
    kept = [json.loads(line) for line in cleaned.data.read_text().splitlines()]
    assert kept.count(copied) == 1
    assert all(row in kept for row in shared)
    assert cleaned.removal.counts()["too short, exact duplicate"] == 4
    assert cleaned.risk.features.too_short == TooShort(10, 1, 10)
    assert cleaned.repeated.too_short == TooShort(6, 1, 6)
