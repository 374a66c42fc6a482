"""Lines are those of Python's own reading, however a file is compressed and wherever its chunks end."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.corpus import file_lines
from pytest_kdmem.corpus.file_lines import File, first_line, lines_of
from pytest_kdmem.corpus.read_meter import ReadMeter
from pytest_kdmem.errors import DataError

ENDINGS = {".txt": None, ".jsonl": None, ".jsonl.gz": "gzip", ".jsonl.zst": "zstd"}


def file(path: Path) -> File:
    return File(LocalFileSystem(), str(path), path.name)


def write(path: Path, content: bytes) -> File:
    """A file that is compressed as its name says."""
    compression = ENDINGS["".join(path.suffixes)]
    if compression is None:
        path.write_bytes(content)
    else:
        with pa.CompressedOutputStream(str(path), compression) as sink:
            sink.write(content)
    return file(path)


@given(text=st.text(alphabet="ab\u00e9\u2028\n\r \t", max_size=60), ending=st.sampled_from(sorted(ENDINGS)))
def test_lines_end_where_a_line_feed_stands_and_nowhere_else(
    text: str, ending: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    read = list(lines_of(write(tmp_path_factory.mktemp("lines") / f"a{ending}", text.encode())))
    pieces = text.split("\n")
    expected = [piece.rstrip("\r") for piece in (pieces if pieces[-1] else pieces[:-1])]
    assert read == list(enumerate(expected, start=1))


@pytest.mark.parametrize("ending", sorted(ENDINGS))
def test_a_meter_follows_the_file_and_changes_no_line(tmp_path: Path, ending: str) -> None:
    lines = [f"{number} " + "x" * (number % 977) for number in range(9_000)]
    source = write(tmp_path / f"a{ending}", "\n".join(lines).encode())
    meter, shares = ReadMeter(), []
    meter.begin_file(0, 1)
    for number, line in lines_of(source, meter):
        assert line == lines[number - 1]
        shares.append(meter.share)
    assert shares == sorted(shares)
    assert 0 <= shares[0] < 0.1
    assert 0.9 < shares[-1] <= 1
    assert len(set(shares)) > 20


def test_text_that_is_no_utf_8_is_refused_by_its_line(tmp_path: Path) -> None:
    source = write(tmp_path / "a.txt", b"one\ntw\xff\n")
    with pytest.raises(DataError, match=r"UTF-8 text was expected in line 2 of a\.txt \(invalid start byte\)"):
        list(lines_of(source))


def test_a_file_that_is_missing_or_was_cut_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt was expected to be readable as txt, and is not"):
        list(lines_of(file(tmp_path / "gone.txt")))
    content = gzip.compress(b"a line\n" * 9_000)
    (tmp_path / "a.jsonl.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"a\.jsonl\.gz was expected to be readable as gz, and is not"):
        list(lines_of(file(tmp_path / "a.jsonl.gz")))


@pytest.mark.parametrize("ending", [".jsonl.gz", ".jsonl.zst", ".jsonl"])
def test_a_line_that_would_fill_any_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(file_lines, "LONGEST_LINE", 1 << 21)
    path, content = tmp_path / f"a{ending}", b'{"text": "' + b"x" * (1 << 23)
    if ending == ".jsonl":
        path.write_bytes(content)
    else:
        with pa.CompressedOutputStream(str(path), {".jsonl.gz": "gzip", ".jsonl.zst": "zstd"}[ending]) as sink:
            sink.write(content)
    with pytest.raises(DataError, match="a line of more than 2097152 bytes"):
        list(lines_of(file(path)))


def test_an_error_is_shortened_to_its_first_line() -> None:
    assert first_line(ValueError("cannot read.\nTraceback: …")) == "cannot read"
    assert first_line(ValueError()) == "ValueError"
