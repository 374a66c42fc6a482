"""Every format gives the same documents, and every fault one sentence with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.sources import fingerprint, read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

TEXTS = ["one line", "näïve – “quoted” 漢字", 'tab\tand \\ "escapes"', "x" * 3_000_000, "last"]


def read(path, **how):
    return list(read_documents(TrainingSet(str(path), **how)))


def write(folder: Path, ending: str) -> Path:
    path = folder / f"data{ending}"
    lines = "".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in enumerate(TEXTS)).encode()
    match ending:
        case ".jsonl":
            path.write_bytes(lines)
        case ".jsonl.gz":
            path.write_bytes(gzip.compress(lines))
        case ".jsonl.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as sink:
                sink.write(lines)
        case ".txt":
            path.write_text("\n".join(TEXTS), encoding="utf-8")
        case ".parquet":
            pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), path, row_group_size=2)
        case ".arrow":
            table = pa.table({"text": TEXTS})
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=2)
        case "-stream.arrow":
            table = pa.table({"text": TEXTS})
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=2)
        case "":
            datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(path)
    return path


@pytest.mark.parametrize(
    "ending", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".txt", ".parquet", ".arrow", "-stream.arrow", ""]
)
def test_every_format_gives_the_same_documents_in_order(tmp_path, ending):
    assert read(write(tmp_path, ending)) == TEXTS


def test_blank_lines_are_no_documents_and_windows_ends_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\n\r\ntwo\r\n")
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\r\n\n{"text": "two"}')
    assert read(tmp_path / "a.txt") == read(tmp_path / "a.jsonl") == ["one", "two"]


def test_arrays_and_columns_of_ids_are_taken_as_they_are(tmp_path):
    ids = np.arange(12, dtype=np.uint16).reshape(3, 4)
    np.save(tmp_path / "a.npy", ids)
    pq.write_table(pa.table({"input_ids": ids.tolist(), "text": ["a", "b", "c"]}), tmp_path / "a.parquet")
    for name in ("a.npy", "a.parquet"):
        assert [getattr(row, "ids", row).tolist() for row in read(tmp_path / name)] == ids.tolist()


def test_a_column_named_by_the_user_wins_over_ids(tmp_path):
    pq.write_table(pa.table({"input_ids": [[1]], "body": ["text"]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet", text_column="body") == ["text"]


def test_splits_of_a_saved_dictionary(tmp_path):
    train, test = (datasets.Dataset.from_dict({"text": [name]}) for name in ("one", "other"))
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "d")
    assert read(tmp_path / "d", split="test") == ["other"]
    with pytest.raises(DataError, match=r"Split 'dev' was expected in .*found train, test"):
        read(tmp_path / "d", split="dev")


def test_a_lone_surrogate_is_replaced(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a\\ud800b"}\n')
    assert read(tmp_path / "a.jsonl") == ["a?b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "ok"}\n{"text": \n', r"line 2 of .*malformed"),
        ("a.jsonl", b'{"text": "ok"}\n[1]\n', r"line 2 of .*found a list"),
        ("a.jsonl", b'{"body": "ok"}\n', r"Column 'text' was expected in line 1 of .*found body.*--kdmem-text-column"),
        ("a.jsonl", b'{"text": 3}\n', r"Text was expected in column 'text', line 1 .*found int"),
        ("a.jsonl", b'{"input_ids": "no"}\n', r"list of token ids was expected in line 1"),
        ("a.jsonl", b'{"input_ids": [-1, 2]}\n', r"Token ids from 0 up .*found -1 to 2"),
        ("a.jsonl", b'{"input_ids": [1.5]}\n', r"list of token ids"),
        ("a.jsonl", b"\xff\xfe\n", r"UTF-8 text was expected in line 1"),
        ("a.jsonl.gz", b"plain", r"readable as gz"),
        ("a.parquet", b"plain", r"A parquet file was expected"),
        ("a.arrow", b"plain", r"An arrow file was expected"),
        ("a.npy", b"plain", r"no plain .npy file"),
        ("a.csv", b"a,b", r"must end in .jsonl, "),
    ],
)
def test_faults_are_one_sentence_with_their_place(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_pickled_arrays_are_never_read(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"no plain .npy"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.zeros(5, dtype=int), np.zeros((2, 3)), np.zeros((1, 2, 3), dtype=int)])
def test_arrays_of_another_shape_or_kind_are_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=r"shape \[examples, tokens\]"):
        read(tmp_path / "a.npy")


def test_a_missing_file_is_told_before_anything_is_opened(tmp_path):
    with pytest.raises(DataError, match=r"expected at .*gone.jsonl, and nothing is there"):
        read_documents(TrainingSet(str(tmp_path / "gone.jsonl")))


def test_the_fingerprint_follows_content_and_reading_not_name_or_time(tmp_path):
    first, copy = write(tmp_path, ".jsonl"), tmp_path / "copy.jsonl"
    copy.write_bytes(first.read_bytes())
    assert fingerprint(TrainingSet(str(first))) == fingerprint(TrainingSet(str(copy)))
    for changed in (
        {"text_column": "id"},
        {"form": "blocks"},
        {"sample": 2},
        {"seed": 1},
        {"add_special_tokens": True},
    ):
        assert fingerprint(TrainingSet(str(first), **changed)) != fingerprint(TrainingSet(str(first)))
    copy.write_bytes(first.read_bytes().replace(b"one", b"two"))
    assert fingerprint(TrainingSet(str(first))) != fingerprint(TrainingSet(str(copy)))


def test_offline_opens_no_connection(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: pytest.fail("a connection was asked for"))
    with pytest.raises(DataError, match="--kdmem-offline forbids"):
        list(read_documents(TrainingSet("fineweb"), offline=True))


def test_real_documents(real_text):
    documents = read(real_text / "fineweb" / "sample.jsonl")
    assert len(documents) == 210
    assert all(documents)


@pytest.mark.parametrize("eos", [None, "once", "always"])
def test_rows_that_are_cut_already_are_not_joined_by_an_eos(tmp_path, eos):
    np.save(tmp_path / "rows.npy", np.arange(20, dtype=np.int32).reshape(4, 5))
    with pytest.raises(SpecError, match=r'rows of .*rows\.npy are cut already.*drop form="blocks"'):
        read(tmp_path / "rows.npy", form="blocks", eos=eos)
    assert len(read(tmp_path / "rows.npy", form="blocks", eos="never")) == 4
