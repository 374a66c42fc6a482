"""A folder of .bin files is their contents one after another, in the order of their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.filtered_copy import copy_documents
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.corpus.token_files import is_token_folder
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.corpus.megatron_files import write_order, write_pair

ROWS = np.random.default_rng(0).integers(1, 300, (12, 20)).tolist()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "README.md").write_text("Shards of a training.")
    return tmp_path / "shards"


def write_flat(path: Path, ids: list[int]) -> None:
    path.write_bytes(np.array(ids, "uint16").tobytes())


def test_flat_files_are_one_stream(folder: Path) -> None:
    tokens = np.array(ROWS).reshape(-1).tolist()
    for name, part in {"b": tokens[101:], "a": tokens[:101], "c": []}.items():
        write_flat(folder / f"{name}.bin", part)
    data = TrainingSet(folder, dtype="uint16", form="blocks")
    read = [example.ids.tolist() for example in stream_examples(data, None, Extraction(4, 4, 20))]
    assert read == ROWS
    assert expected_examples(data, 20) == 12
    write_flat(folder.with_name("whole.bin"), tokens)
    whole = TrainingSet(folder.with_name("whole.bin"), dtype="uint16", form="blocks")
    assert [example.ids.tolist() for example in stream_examples(whole, None, Extraction(4, 4, 20))] == read


def test_documents_end_where_a_file_ends(folder: Path) -> None:
    for name, rows in {"a": ROWS[:5], "b": ROWS[5:]}.items():
        write_flat(folder / f"{name}.bin", [token for row in rows for token in (*row, 0)][:-1])
    data = TrainingSet(folder, dtype="uint16", eos_id=0)
    read = [row.tolist() for row in read_documents(data)]
    assert [row[:20] for row in read] == ROWS


def test_pairs_follow_one_another(folder: Path) -> None:
    write_pair(folder / "part_1.bin", ROWS[7:])
    write_pair(folder / "part_0.bin", ROWS[:7])
    data = TrainingSet(folder)
    assert [row.tolist() for row in read_documents(data)] == ROWS
    assert expected_examples(data) == 12
    check_source(data)


@pytest.fixture
def stored(folder: Path, s3: None, s3_client: Any) -> Callable[[], str]:
    """Puts the folder into a bucket; gives the address of its .bin files there."""

    def put() -> str:
        s3_client.create_bucket(Bucket="tokens")
        for path in folder.iterdir():
            s3_client.upload_file(str(path), "tokens", f"{folder.parent.name}/{path.name}")
        return f"s3://tokens/{folder.parent.name}/*.bin"

    return put


LENGTHS = Extraction(4, 4, 20)
AT_ADDRESSES = [
    {"dtype": "uint16", "form": "blocks"},
    {"dtype": "uint16", "eos_id": 0},
    {},
    {"form": "blocks", "eos": "never"},
]


@pytest.mark.parametrize("declared", AT_ADDRESSES, ids=str)
def test_files_at_an_address_are_read_as_here(folder: Path, stored: Callable[[], str], declared: dict) -> None:
    for name, rows in {"b": ROWS[5:], "a": ROWS[:5]}.items():
        if "dtype" in declared:
            write_flat(folder / f"{name}.bin", [token for row in rows for token in (*row, 0)])
        else:
            write_pair(folder / f"{name}.bin", rows)
    examples, digests = [], []
    for source in (str(folder), f"file://{folder}/*.bin", stored(), stored().replace("*", "b")):
        data = TrainingSet(source, **declared)
        check_source(data)
        examples.append([example.ids.tolist() for example in stream_examples(data, None, LENGTHS)])
        digests.append(fingerprint(data))
    here, shared, in_store, part = examples
    assert here == shared == in_store
    assert 0 < len(part) < len(here)
    assert part == [
        example.ids.tolist() for example in stream_examples(TrainingSet(folder / "b.bin", **declared), None, LENGTHS)
    ]
    assert digests[:2] == [fingerprint(TrainingSet(folder, **declared))] * 2
    assert digests[2:] == [None, None]
    with pytest.raises(DataError, match="lies in an object store, and --kdmem-offline forbids"):
        read_documents(TrainingSet(stored(), **declared), offline=True)


def test_parts_that_are_fetched_one_after_another_are_one_file(folder, stored, monkeypatch) -> None:
    monkeypatch.setattr("pytest_kdmem.corpus.number_files.FETCHED_AT_ONCE", 64)
    monkeypatch.setattr("pytest_kdmem.corpus.megatron.SEQUENCES_AT_ONCE", 3)
    write_pair(folder / "a.bin", ROWS, "int32")
    assert [row.tolist() for row in read_documents(TrainingSet(stored()))] == ROWS


def _pair(path: Path) -> None:
    write_pair(path, ROWS)


def _flat(path: Path) -> None:
    write_flat(path, ROWS[0])


def _no_ids(path: Path) -> None:
    path.write_bytes(b"abc")


@pytest.mark.parametrize(
    ("write", "below", "declared", "message"),
    [
        (lambda path: write_pair(path, ROWS, count=13), "a.bin", {}, "An index of .* at s3://tokens/.*a.idx"),
        (_pair, "*.bin", {"order": "x_shuffle_idx.npy"}, "A .bin file of this machine"),
        (_pair, "*.bin", {"dtype": "uint32"}, "Type uint16, which s3://.*a.idx names"),
        (_flat, "*.bin", {}, r"in s3://.*a.bin was expected to be declared.*\(and a.idx"),
        (_flat, "a.bin", {"dtype": "uint32", "form": "blocks"}, "Ids of type uint32 were"),
        (_no_ids, "a.bin", {"dtype": "uint16", "form": "blocks"}, "Whole ids of type uint16"),
        (_flat, "", {}, r"name files of token ids by a pattern like \*\.bin"),
        (_flat, "b.bin", {}, "Files were expected at s3://.*b.bin, and there are none"),
    ],
)  # fmt: skip
def test_a_fault_at_an_address_is_one_sentence(folder, stored, write, below, declared, message) -> None:
    (folder / "README.md").unlink()
    write(folder / "a.bin")
    source = stored().replace("*.bin", below)
    with pytest.raises(KdmemError, match=message) as raised:
        list(read_documents(TrainingSet(source, **declared)))
    assert "\n" not in str(raised.value)


def test_the_fingerprint_follows_every_file_and_their_order(folder: Path) -> None:
    write_pair(folder / "a.bin", ROWS[:7])
    write_pair(folder / "b.bin", ROWS[7:])
    data = TrainingSet(folder)
    seen = {fingerprint(data)}
    (folder / "a.bin").rename(folder / "c.bin")
    (folder / "a.idx").rename(folder / "c.idx")
    seen.add(fingerprint(data))
    write_pair(folder / "b.bin", [*ROWS[7:11], ROWS[11][:-1]])
    seen.add(fingerprint(data))
    assert len(seen) == 3


def _mixed(folder: Path) -> TrainingSet:
    write_pair(folder / "a.bin", ROWS[:7])
    write_flat(folder / "b.bin", ROWS[7])
    return TrainingSet(folder)


def _ordered(folder: Path) -> TrainingSet:
    write_pair(folder / "a.bin", ROWS)
    return TrainingSet(folder, order=str(write_order(folder.parent, ROWS, 20)[0]))


def _undeclared(folder: Path) -> TrainingSet:
    write_flat(folder / "a.bin", ROWS[0])
    return TrainingSet(folder)


def _damaged(folder: Path) -> TrainingSet:
    write_pair(folder / "a.bin", ROWS)
    write_pair(folder / "b.bin", ROWS)
    (folder / "b.bin").write_bytes(b"1234")
    return TrainingSet(folder)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (_mixed, "which holds both; move one kind into a folder of its own"),
        (_ordered, "One .bin file was expected with the order of its samples"),
        (_undeclared, r"The type of the token ids in .*a\.bin was expected to be declared"),
        (_damaged, r"b\.bin"),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_sentence(
    folder: Path, write: Callable[[Path], TrainingSet], message: str
) -> None:
    with pytest.raises((DataError, SpecError), match=message) as caught:
        check_source(write(folder))
    assert "\n" not in str(caught.value)


def test_documents_are_left_out_of_single_files_alone(folder: Path, tmp_path: Path) -> None:
    write_pair(folder / "a.bin", ROWS)
    with pytest.raises(KdmemError, match="clean each of them by itself"):
        copy_documents(TrainingSet(folder), tmp_path / "out", np.ones(12, dtype=bool))


def test_a_folder_of_datasets_is_none(folder: Path) -> None:
    assert not is_token_folder(folder)
    write_flat(folder / "a.bin", ROWS[0])
    assert is_token_folder(folder)
    (folder / "state.json").write_text("{}")
    assert not is_token_folder(folder)
