"""Lines are copied byte for byte without those that are left out, whatever ends and compresses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.line_copies import BYTES_AT_ONCE, copy_lines

KEPT = np.array([True, False, True])


@pytest.mark.parametrize(
    ("suffix", "lines", "copied"),
    [
        (".txt", b"first\nsecond\nthird\n", b"first\nthird\n"),
        (".txt", b"first\nsecond\nthird", b"first\nthird"),
        (".txt", b"first\r\n\r\nsecond\n\nthird\n", b"first\r\n\r\n\nthird\n"),  # blank lines are no documents
        (".txt", b"first\n  \nthird\n", b"first\nthird\n"),  # spaces are text
        (".jsonl", b'{"text": "1"}\n  \n{"text": "2"}\n{"text": "3"}\n', b'{"text": "1"}\n  \n{"text": "3"}\n'),
        (".jsonl", b"1\n\xe2\x80\xa8\n2\n3\n", b"1\n\xe2\x80\xa8\n3\n"),
    ],
)
def test_documents_are_left_out_and_blank_lines_kept(tmp_path: Path, suffix: str, lines: bytes, copied: bytes) -> None:
    source, target = tmp_path / f"source{suffix}", tmp_path / f"target{suffix}"
    source.write_bytes(lines)
    assert copy_lines(source, target, KEPT) == 3
    assert target.read_bytes() == copied


@pytest.mark.parametrize(("suffix", "codec"), [(".gz", "gzip"), (".zst", "zstd")])
def test_a_compressed_copy_is_compressed(tmp_path: Path, suffix: str, codec: str) -> None:
    source, target = tmp_path / f"source.jsonl{suffix}", tmp_path / f"target.jsonl{suffix}"
    with pa.CompressedOutputStream(str(source), codec) as written:
        written.write(b"1\n2\n3\n")
    assert copy_lines(source, target, KEPT) == 3
    with pa.CompressedInputStream(pa.OSFile(str(target)), codec) as read:
        assert read.read() == b"1\n3\n"


def test_lines_longer_than_what_is_read_at_once_stay_whole(tmp_path: Path) -> None:
    lines = [letter * (BYTES_AT_ONCE + 7) + b"\n" for letter in (b"a", b"b", b"c")]
    source, target = tmp_path / "source.txt", tmp_path / "target.txt"
    source.write_bytes(b"".join(lines))
    assert copy_lines(source, target, KEPT) == 3
    assert target.read_bytes() == lines[0] + lines[2]


def test_documents_beyond_the_flags_are_counted_and_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source.txt", tmp_path / "target.txt"
    source.write_bytes(b"1\n2\n3\n4\n")
    assert copy_lines(source, target, KEPT) == 4
    assert target.read_bytes() == b"1\n3\n"
