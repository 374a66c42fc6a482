"""A pair of .bin and .idx gives its sequences, whatever their type and order, and every fault is one sentence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus import megatron
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import DataError, KdmemError
from pytest_kdmem.specs.declared import TrainingSet
from tests.corpus.megatron_files import write_pair

ROWS = [[5, 6, 7], [1], [9, 8, 7, 6, 0], [3, 3]]


def read(path, **declared):
    return [row.tolist() for row in read_documents(TrainingSet(path, **declared))]


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32"])
def test_sequences_come_in_order_whatever_their_type(tmp_path, dtype):
    path = write_pair(tmp_path / "a.bin", ROWS, dtype)
    assert read(path) == ROWS
    assert expected_examples(TrainingSet(path)) == len(ROWS)


@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=5), max_size=9), st.integers(1, 8), st.integers(1, 5))
def test_what_is_read_at_once_makes_no_difference(tmp_path_factory, rows, read_at_once, sequences):
    path = write_pair(tmp_path_factory.mktemp("pair") / "a.bin", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(megatron, "BYTES_AT_ONCE", read_at_once)
        patch.setattr(megatron, "SEQUENCES_AT_ONCE", sequences)
        assert read(path) == rows


def test_pointers_may_go_back_and_leave_gaps(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS, pointers=[16, 6, 8, 0], sizes=[3, 1, 4, 2])
    stream = [token for row in ROWS for token in row]
    assert read(path) == [stream[8:11], stream[3:4], stream[4:8], stream[:2]]


def test_an_index_without_sequences_has_no_documents(tmp_path):
    assert read(write_pair(tmp_path / "a.bin", [])) == []


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"magic": b"TNTIDX\0\0\0"}, r"A Megatron index .* and it is an older one of fairseq"),
        ({"magic": b"ZIP......"}, r"A Megatron index .* and it is another file"),
        ({"version": 2}, r"A Megatron index \(MMIDIDX, version 1\)"),
        ({"code": 7}, r"An index of token ids was expected at .*a\.idx, and it is one of real numbers"),
        ({"code": 77}, r"a type of code 77, which is unknown"),
        ({"count": 3}, r"by the 3 sequences and 5 documents.*longer, as one of images"),
        ({"count": 2**62}, r"it is cut short"),
        ({"behind": bytes(4)}, r"longer, as one of images or other modes is"),
        ({"sizes": [3, 1, 5, 3]}, r"An index of all 22 bytes of .*a\.bin was expected.* it is of 24 bytes"),
        ({"sizes": [3, 1, 5, 1]}, r"it is of 20 bytes: one of the two was cut short"),
        ({"sizes": [3, 0, 5, 2]}, r"at least one token were expected.*found 0 tokens in document 2"),
        ({"sizes": [3, -1, 5, 2]}, r"found -1 tokens in document 2"),
        ({"pointers": [-2, 6, 8, 18]}, r"Pointers into the 11 ids .*document 1 has 3 tokens from byte -2 on"),
        ({"pointers": [0, 7, 8, 18]}, r"document 2 has 1 tokens from byte 7 on"),
        ({"pointers": [0, 2**63 - 1, 8, 18]}, r"document 2 has 1 tokens"),
    ],
)  # fmt: skip
def test_a_fault_of_an_index_is_one_sentence(tmp_path, other, message):
    with pytest.raises(DataError, match=message) as raised:
        read(write_pair(tmp_path / "a.bin", ROWS, **other))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("size", [0, 9, 33, 40, 100])
def test_an_index_that_is_cut_short_is_refused(tmp_path, size):
    path = write_pair(tmp_path / "a.bin", ROWS)
    path.with_suffix(".idx").write_bytes(path.with_suffix(".idx").read_bytes()[:size])
    with pytest.raises(DataError, match="cut short"):
        read(path)


def test_an_index_of_another_bin_file_is_refused(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"An index of all 20 bytes"):
        read(path)


def test_negative_ids_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"Token ids from 0 up were expected in .*a\.bin; found -3 to 4"):
        read(write_pair(tmp_path / "a.bin", [[4, -3]], "int32"))


def test_half_a_pair_is_refused_and_a_pair_has_one_name(tmp_path):
    path = write_pair(tmp_path / "a.bin", ROWS)
    for name in ("a.idx", "a"):
        with pytest.raises(DataError, match=r"was expected as its name; found .*: name .*a\.bin"):
            check_source(TrainingSet(tmp_path / name))
    path.unlink()
    for name in ("a.idx", "a", "a.bin"):
        with pytest.raises(DataError, match=r"token ids .*a\.bin were expected beside their index .*are missing"):
            check_source(TrainingSet(tmp_path / name))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"dtype": "uint32"}, r'Type uint16, which .*a\.idx names.*found dtype="uint32"'),
        ({"eos_id": 0}, r"expected to end where .*found eos_id 0"),
    ],
)
def test_what_the_index_says_is_not_declared_otherwise(tmp_path, declared, message):
    path = write_pair(tmp_path / "a.bin", ROWS)
    assert read(path, dtype="uint16") == ROWS
    with pytest.raises(KdmemError, match=message):
        read(path, **declared)


def test_the_fingerprint_covers_both_files(tmp_path):
    prints = set()
    for rows in (ROWS, [[5], [6, 7, 1], *ROWS[2:]]):  # the same .bin file
        path = write_pair(tmp_path / "a.bin", rows)
        prints.add(fingerprint(TrainingSet(path)))
    path.write_bytes(np.array([4, *[0] * 10], "<u2").tobytes())
    prints.add(fingerprint(TrainingSet(path)))
    assert len(prints) == 3
    assert fingerprint(TrainingSet(path)) == fingerprint(TrainingSet(path, dtype="uint16"))
