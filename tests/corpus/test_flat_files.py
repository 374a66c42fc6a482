"""A flat file is cut as declared and keeps every token; what is not declared, or not so, is one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus import flat_files
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.flat_files import number_of_tokens
from pytest_kdmem.corpus.sources import expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import DataError, KdmemError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

IDS = np.random.default_rng(0).integers(1, 50_000, 1000)
IDS[::97] = 0


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(flat_files, "TOKENS_AT_ONCE", 128)


def flat(folder, ids=IDS, dtype="uint16", **declared) -> TrainingSet:
    path = folder / "train.bin"
    path.write_bytes(np.asarray(ids, dtype).tobytes())
    return TrainingSet(path, **({"dtype": dtype} | declared))


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
@pytest.mark.parametrize("window", [9, 128, 300, 2000])
def test_blocks_are_windows_of_the_stream(tmp_path, dtype, window):
    data = flat(tmp_path, dtype=dtype, form="blocks")
    rows = [example.ids.tolist() for example in stream_examples(data, None, Extraction(4, 4, window))]
    assert rows == [IDS[at : at + window].tolist() for at in range(0, 1000, window)]
    assert expected_examples(data, window) == len(rows)
    assert number_of_tokens(tmp_path / "train.bin", data) == 1000


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_documents_end_behind_the_declared_token(tmp_path_factory, ids, at_once):
    folder = tmp_path_factory.mktemp("flat")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flat_files, "TOKENS_AT_ONCE", at_once)
        rows = [row.tolist() for row in read_documents(flat(folder, [token + 100 for token in ids], eos_id=100))]
    expected: list[list[int]] = [[]]
    for token in ids:
        expected[-1].append(token + 100)
        if token == 0:
            expected.append([])
    assert rows == [row for row in expected if row]


def test_the_ids_of_a_sample_are_not_held_by_parts_of_the_file(tmp_path):
    from pytest_kdmem.corpus.shards import CorpusReader

    reader = CorpusReader(flat(tmp_path, form="blocks", sample=5), None, Extraction(4, 4, 10))
    assert all(example.ids.base is None for shard in reader for example in shard.examples)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"dtype": None}, r'the token ids in .*train\.bin was expected to be declared.*dtype="uint16" or "uint32"'),
        ({}, r'how training cut .*declare form="blocks".*eos_id='),
        ({"form": "blocks", "eos_id": 0}, r"One way to cut"),
        ({"form": "blocks", "eos": "always"}, r'are joined already.*drop eos="always"'),
        ({"form": "blocks", "minimum_tokens": 5}, r"drop minimum_tokens"),
        ({"form": "blocks", "order": "x_shuffle_idx.npy"}, r"An index train\.idx was expected beside"),
    ],
)
def test_what_is_not_declared_of_a_flat_file_or_not_so_is_refused(tmp_path, declared, message):
    with pytest.raises(KdmemError, match=message):
        list(read_documents(flat(tmp_path, **declared)))


def test_a_file_of_the_other_type_is_refused(tmp_path):
    flat(tmp_path)
    with pytest.raises(DataError, match=r'token 0 would be \d+, which no vocabulary holds.*declare dtype="uint16"'):
        list(read_documents(TrainingSet(tmp_path / "train.bin", dtype="uint32", form="blocks")))
    (tmp_path / "train.bin").write_bytes(IDS.astype("uint32").tobytes())
    with pytest.raises(DataError, match=r'every second one is at most 3.*declare dtype="uint32"'):
        read_documents(TrainingSet(tmp_path / "train.bin", dtype="uint16", form="blocks"))


@pytest.mark.parametrize(("dtype", "cut"), [("uint16", 1), ("uint32", 1), ("uint32", 2)])
def test_a_file_of_a_part_of_an_id_is_refused(tmp_path, dtype, cut):
    data = flat(tmp_path, dtype=dtype, form="blocks")
    (tmp_path / "train.bin").write_bytes((tmp_path / "train.bin").read_bytes()[:-cut])
    with pytest.raises(DataError, match=r"bytes are no multiple of"):
        read_documents(data)


def test_the_header_of_llm_c_is_not_read_as_tokens(tmp_path):
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, 1000
    data = flat(tmp_path, form="blocks")
    (tmp_path / "train.bin").write_bytes(header.tobytes() + IDS.astype("<u2").tobytes())
    with pytest.raises(DataError, match=r"begins with a header as llm\.c writes it; cut the first 1024 bytes off"):
        read_documents(data)


def test_a_token_that_ends_no_document_is_noticed_before_memory_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(flat_files, "LONGEST_DOCUMENT", 500)
    with pytest.raises(DataError, match=r"A document that ends in token 60000 was expected within 500 tokens"):
        list(read_documents(flat(tmp_path, eos_id=60_000)))


def test_a_file_that_is_cut_short_while_it_is_read_is_refused(tmp_path):
    data = flat(tmp_path, form="blocks")
    parts = read_documents(data)
    next(parts)
    (tmp_path / "train.bin").write_bytes((tmp_path / "train.bin").read_bytes()[:600])
    with pytest.raises(DataError, match="cut short while it was read"):
        list(parts)


def test_a_stream_of_padded_rows_is_refused(tmp_path):
    rows = np.random.default_rng(0).integers(1, 500, (40, 32))
    rows[np.arange(32) > np.random.default_rng(1).integers(8, 40, (40, 1))] = 0
    padded = flat(tmp_path, rows.ravel(), form="blocks")
    with pytest.raises(DataError, match=r"without padding was expected in .*found token 0 in a run at \d+ ends of"):
        list(stream_examples(padded, None, Extraction(4, 4, 32)))


def test_the_fingerprint_follows_content_and_what_is_declared_of_it(tmp_path):
    data = flat(tmp_path, form="blocks")
    first = fingerprint(data)
    others = [
        flat(tmp_path, eos_id=0), flat(tmp_path, eos_id=1), TrainingSet(data.source, dtype="uint32", form="blocks"),
    ]  # fmt: skip
    assert len({first, *map(fingerprint, others)}) == 4
    (tmp_path / "copy.bin").write_bytes((tmp_path / "train.bin").read_bytes())
    assert fingerprint(TrainingSet(tmp_path / "copy.bin", dtype="uint16", form="blocks")) == first
    assert fingerprint(flat(tmp_path, IDS[::-1], form="blocks")) != first


@pytest.mark.parametrize("bad", [{"dtype": "int8"}, {"eos_id": -1}, {"eos_id": True}, {"order": 3}])
def test_declared_values_of_another_kind_are_refused(bad):
    with pytest.raises(SpecError, match=f"{next(iter(bad))} of training set train.bin must be"):
        TrainingSet("train.bin", **bad)
