"""Ray Data gives the documents of the plain reader in the same order, and the faults in the same place."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.presets import PRESETS
from pytest_kdmem.corpus.shards import CorpusReader
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.executors.ray import RayExecutor
from pytest_kdmem.scoring.executors.ray_cluster import cluster
from pytest_kdmem.scoring.executors.ray_reading import gather_by_ray
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

pytest.importorskip("ray")

EXTRACTION = Extraction(10, 10, 20)


@pytest.fixture(scope="module", autouse=True)
def connected(two_nodes):
    """One connection for all tests, so that the processes that read are started once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", two_nodes.address)
        with cluster():
            yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files whose order, types and blank lines another reader would change."""
    folder = tmp_path_factory.mktemp("parts")
    for number in range(5):
        rows = [{"text": f"2020-01-0{number + 1}"}, {"text": f"{number} näïve", "tags": [1]}]
        rows += [{"text": f"{number} {row}"} for row in range(700 * (5 - number))]
        (folder / f"{number}.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    (folder / "5.txt").write_text("one\n\ntwo\r\n")
    pq.write_table(pa.table({"text": [f"row {row}" for row in range(3000)]}), folder / "6.parquet", row_group_size=100)
    return folder


@pytest.fixture
def hub_copy(tmp_path, monkeypatch, sentences) -> str:
    """FineWeb's layout on the hub in three files, of which the first 70 long documents are trained on."""
    names = [f"data/{number}.parquet" for number in range(3)]
    (tmp_path / "data").mkdir()
    for number, name in enumerate(names):
        pq.write_table(pa.table({"text": [*sentences[number * 40 : number * 40 + 40], "short"]}), tmp_path / name)
    front = {"configs": [{"config_name": "sample-10BT", "data_files": [{"split": "train", "path": names}]}]}
    (tmp_path / "README.md").write_text(f"---\n{json.dumps(front)}\n---\n")
    preset = replace(PRESETS["fineweb"], repository=str(tmp_path), examples=70, held_out=3, minimum_tokens=15)
    monkeypatch.setitem(PRESETS, "fineweb", preset)
    return "fineweb"


def test_files_give_the_plain_readers_documents_in_its_order(folder):
    data = TrainingSet(f"file://{folder}")
    plain = list(read_documents(data))
    assert len(plain) == 5 * 2 + 700 * 15 + 2 + 3000
    assert list(RayExecutor().documents(data, offline=True)) == plain


def test_ids_come_through(tmp_path):
    rows = [[1, 2, 3], [], [4]]
    pq.write_table(pa.table({"input_ids": rows}), tmp_path / "a.parquet")
    documents = list(RayExecutor().documents(TrainingSet(f"file://{tmp_path}"), offline=True))
    assert [ids.tolist() for ids in documents] == rows
    assert all(ids.dtype == np.int32 and ids.flags.owndata for ids in documents)


def test_a_hub_data_set_keeps_its_order(hub_copy, sentences):
    data = TrainingSet(hub_copy)
    expected = [text for start in (0, 40, 80) for text in [*sentences[start : start + 40], "short"]]
    assert list(read_documents(data)) == expected
    assert list(RayExecutor().documents(data, offline=False)) == expected


def test_a_fault_is_raised_after_the_documents_before_it(tmp_path):
    for number in range(3):
        (tmp_path / f"{number}.jsonl").write_text('{"text": "good"}\n')
    (tmp_path / "1.jsonl").write_text('{"text": "good"}\n{"text": 3}\n')
    documents = RayExecutor().documents(TrainingSet(f"file://{tmp_path}"), offline=True)
    assert [next(documents), next(documents)] == ["good", "good"]
    with pytest.raises(DataError, match=r"Text was expected in column 'text', line 2 of file://.*1.jsonl; found int"):
        next(documents)


def test_what_ray_cannot_do_is_one_sentence():
    def broken():
        raise RuntimeError("the text that was read\nand more")

    with pytest.raises(DataError, match=r"readable by Ray, and RuntimeError ended the reading; read without") as raised:
        list(gather_by_ray([broken]))
    assert "\n" not in str(raised.value)
    assert "the text" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("reading", [{}, {"sample": 2}, {"minimum_tokens": 6}])
def test_copies_of_what_is_too_short_are_counted_as_without_ray(tiny, tmp_path, reading):
    texts = [*(" ".join(f"word{number}{place}" for place in range(200)) for number in range(4)), *["a b"] * 16]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    records = []
    for read in (RayExecutor().documents, read_documents):
        data = TrainingSet(tmp_path / "data.jsonl", **reading)
        reader = CorpusReader(data, load_tokenizer(tiny), EXTRACTION, read=read)
        list(reader)
        records.append(reader.record)
    assert records[0] == records[1]
    [unseen] = (*records[0].short, *records[0].shorter)
    assert (unseen.copies, unseen.distinct) == (16, 1)


def test_scoring_that_holds_every_cpu_waits_for_no_reading_that_waits_for_it(hub_copy, tiny, tmp_path):
    """Held to what it would be without Ray: a preset's part, which ends before the source does."""
    tables = {
        name: score(
            Model(str(tiny)),
            TrainingSet(hub_copy),
            EXTRACTION,
            ScoreStore(tmp_path / name),
            settings=RunSettings(executor=name, examples_per_shard=8),
        )
        for name in ("ray", "local")
    }
    assert tables["ray"].record == tables["local"].record
    assert tables["ray"].record.examples == 70
    for column in ("example_id", "digest", "memorized"):
        assert tables["ray"].rows[column].to_pylist() == tables["local"].rows[column].to_pylist()


def test_token_ids_keep_what_stands_beside_them(tmp_path):
    rows = [
        {"input_ids": [0, 0, 5, 6], "attention_mask": [0, 0, 1, 1], "text": "a"},
        {"input_ids": [5, 6, 7, 8], "labels": [-100, 6, 7, 8], "attention_mask": [1, 1, 1, 1]},
        {"input_ids": [7, 8]},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = TrainingSet(f"file://{tmp_path}")
    first, second, third = read_documents(data, gather=gather_by_ray)
    assert (first.ids.tolist(), first.text, first.learned) == ([5, 6], "a", None)
    assert (second.ids.tolist(), second.learned.tolist()) == ([5, 6, 7, 8], [False, True, True, True])
    assert first.where.startswith("line 1 of")
    assert third.tolist() == [7, 8]


def test_conversations_come_through(tmp_path):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ann – 7."}]
    rows = [
        {"messages": turns, "tools": '[{"name": "search"}]'},
        {"messages": turns * 2, "chat_template_kwargs": {"thinking": False}},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = TrainingSet(f"file://{tmp_path}")
    plain = list(read_documents(data))
    assert [len(conversation.messages) for conversation in plain] == [2, 4]
    assert plain[1].settings["thinking"] is False
    assert list(map(vars, read_documents(data, gather=gather_by_ray))) == list(map(vars, plain))
    completions = tmp_path / "plain"
    completions.mkdir()
    (completions / "rows.jsonl").write_text(json.dumps({"prompt": "a b", "completion": " c d"}))
    data = TrainingSet(f"file://{completions}")
    assert list(map(vars, read_documents(data, gather=gather_by_ray))) == list(map(vars, read_documents(data)))
