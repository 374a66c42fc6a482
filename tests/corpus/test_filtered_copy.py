"""A copy without some documents holds the others as they were, in their order, in every format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.filtered_copy import copy_documents
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import TrainingSet

TEXTS = [f"text {at} of several" for at in range(9)]
KEPT = np.array([True, False, True, True, False, False, True, False, True])
LEFT = [text for text, keep in zip(TEXTS, KEPT, strict=True) if keep]


def table() -> pa.Table:
    return pa.table({"id": range(9), "text": TEXTS, "tags": [[at] for at in range(9)]}).replace_schema_metadata(
        {"who": "us"}
    )


def written(path: Path) -> Path:
    """The nine texts in the format of the path's ending."""
    lines = "".join(json.dumps({"text": text, "id": at}) + "\n" for at, text in enumerate(TEXTS))
    match path.name.partition(".")[2]:
        case "jsonl":
            path.write_text(lines)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case "jsonl.zst":
            with pa.CompressedOutputStream(str(path), "zstd") as sink:
                sink.write(lines.encode())
        case "txt":
            path.write_text("\n".join(TEXTS))
        case "parquet":
            pq.write_table(table(), path, compression="zstd", row_group_size=2)
        case "file.arrow" | "stream.arrow":
            new = pa.ipc.new_file if "file" in path.name else pa.ipc.new_stream
            with pa.OSFile(str(path), "wb") as sink, new(sink, table().schema) as writer:
                writer.write_table(table(), max_chunksize=4)
    return path


@pytest.mark.parametrize(
    "name", ["d.jsonl", "d.jsonl.gz", "d.jsonl.zst", "d.txt", "d.parquet", "d.file.arrow", "d.stream.arrow"]
)
def test_a_copy_is_read_as_what_was_kept(tmp_path, name):
    source = written(tmp_path / name)
    (tmp_path / "out").mkdir()
    copy = copy_documents(TrainingSet(str(source)), tmp_path / "out", KEPT)
    assert copy == tmp_path / "out" / name
    assert list(read_documents(TrainingSet(str(copy)))) == LEFT
    (tmp_path / "none").mkdir()
    empty = copy_documents(TrainingSet(str(source)), tmp_path / "none", np.zeros(9, bool))
    assert list(read_documents(TrainingSet(str(empty)))) == []


@pytest.mark.parametrize("name", ["train.npy", "train.arrow"])
def test_a_source_is_not_mapped_into_memory(tmp_path, monkeypatch, name):
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.asfortranarray(np.arange(27).reshape(9, 3)))
    else:
        with pa.OSFile(str(tmp_path / name), "wb") as sink, pa.ipc.new_file(sink, table().schema) as writer:
            writer.write_table(table())
    monkeypatch.setattr(pa, "memory_map", None)
    monkeypatch.setattr(np, "memmap", None)
    monkeypatch.setattr("pytest_kdmem.corpus.arrays.BYTES_AT_ONCE", 48)
    copy = copy_documents(TrainingSet(str(tmp_path / name)), folder_in(tmp_path), KEPT)
    documents = list(read_documents(TrainingSet(str(copy))))
    if name.endswith(".npy"):
        assert np.array_equal(documents, np.arange(27).reshape(9, 3)[KEPT])
    else:
        assert documents == LEFT


def test_a_link_keeps_its_ending(tmp_path):
    written(tmp_path / "train.jsonl").rename(tmp_path / "0f3a")
    (tmp_path / "train.jsonl").symlink_to(tmp_path / "0f3a")
    copy = copy_documents(TrainingSet(str(tmp_path / "train.jsonl")), folder_in(tmp_path), KEPT)
    assert copy.name == "train.jsonl"
    assert list(read_documents(TrainingSet(str(copy)))) == LEFT


def folder_in(path: Path) -> Path:
    (path / "cleaned").mkdir()
    return path / "cleaned"


def test_rows_keep_their_columns_schema_and_codec(tmp_path):
    source = written(tmp_path / "d.parquet")
    (tmp_path / "out").mkdir()
    copy = copy_documents(TrainingSet(str(source)), tmp_path / "out", KEPT)
    assert pq.read_table(copy).equals(table().filter(pa.array(KEPT)))
    assert pq.read_schema(copy).metadata[b"who"] == b"us"
    assert pq.read_metadata(copy).row_group(0).column(0).compression == "ZSTD"


def test_token_ids_keep_their_type(tmp_path):
    rows = np.arange(45, dtype=np.uint16).reshape(9, 5)
    np.save(tmp_path / "d.npy", rows)
    (tmp_path / "out").mkdir()
    copy = np.load(copy_documents(TrainingSet(str(tmp_path / "d.npy")), tmp_path / "out", KEPT))
    assert copy.dtype == np.uint16
    assert np.array_equal(copy, rows[KEPT])


def test_of_a_saved_folder_the_other_splits_stay(tmp_path):
    from datasets import Dataset, DatasetDict, load_from_disk

    (tmp_path / "out").mkdir()
    whole = Dataset.from_dict({"text": TEXTS, "id": range(9)})
    DatasetDict({"train": whole, "test": whole}).save_to_disk(tmp_path / "saved")
    copy = load_from_disk(copy_documents(TrainingSet(str(tmp_path / "saved")), tmp_path / "out", KEPT))
    assert copy["train"]["text"][:] == LEFT
    assert copy["test"]["text"][:] == TEXTS


LINES = st.lists(
    st.one_of(
        st.sampled_from(["", " ", "\r", "\t\r"]),
        st.builds(lambda text, end: json.dumps({"text": text}, ensure_ascii=False) + end,
                  st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.sampled_from(["", "\r", " "])),
    ),
    max_size=12,
)  # fmt: skip


@given(LINES, st.integers(0, 2**12 - 1), st.booleans())
def test_lines_come_out_byte_for_byte_and_blank_ones_stay(tmp_path_factory, lines, flags, ends):
    folder = tmp_path_factory.mktemp("lines")
    raw = "\n".join(lines) + "\n" * ends
    (folder / "d.jsonl").write_bytes(raw.encode())
    pieces = raw.encode().split(b"\n")
    pieces = [piece + b"\n" for piece in pieces[:-1]] + ([pieces[-1]] if pieces[-1] else [])
    documents = [bool(piece.decode().strip()) for piece in pieces]
    kept = np.array([bool(flags >> at & 1) for at in range(sum(documents))], dtype=bool)
    number, expected = 0, []
    for piece, is_document in zip(pieces, documents, strict=True):
        if not is_document or kept[number]:
            expected.append(piece)
        number += is_document
    (folder / "out").mkdir()
    copy = copy_documents(TrainingSet(str(folder / "d.jsonl")), folder / "out", kept)
    assert copy.read_bytes() == b"".join(expected)


def test_a_line_longer_than_what_is_read_at_once_stays_whole(tmp_path):
    lines = [json.dumps({"text": "x" * size}) for size in (10, 3_000_000, 20)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    (tmp_path / "out").mkdir()
    copy = copy_documents(TrainingSet(str(tmp_path / "d.jsonl")), tmp_path / "out", np.array([False, True, True]))
    assert copy.read_text() == "\n".join(lines[1:])


@pytest.mark.parametrize("documents", [8, 10])
def test_a_source_that_was_changed_meanwhile_is_refused(tmp_path, documents):
    source = written(tmp_path / "d.jsonl")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match=f"{documents} documents were expected in .* holds 9 now: it was changed"):
        copy_documents(TrainingSet(str(source)), tmp_path / "out", np.ones(documents, bool))


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"form": "blocks"}, "blocks hold parts of several"),
        ({"sample": 3}, "takes every line or row"),
        ({"minimum_tokens": 3}, "takes every line or row"),
        ({"documents": "articles"}, "takes every line or row"),
        ({"source": "someone/texts"}, "A file or folder on this machine was expected"),
        ({"source": "fineweb"}, "A file or folder on this machine was expected"),
    ],
    ids=["blocks", "sample", "minimum", "articles", "hub", "preset"],
)
def test_what_cannot_be_left_out_line_by_line_is_refused(tmp_path, declared, words):
    source = str(written(tmp_path / "d.jsonl"))
    with pytest.raises(SpecError, match=words):
        copy_documents(TrainingSet(**({"source": source} | declared)), tmp_path, KEPT)
