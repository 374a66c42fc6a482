"""Object stores and shared folders give the documents of the same files on a disk, in the order of their paths."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus import object_store
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import DataError, KdmemError
from pytest_kdmem.plugin.settings import path_from_root
from pytest_kdmem.specs.declared import TrainingSet

TEXTS = [f"{number} näïve 2020-01-0{number % 9 + 1}" for number in range(30)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A folder of every format, in which TEXTS stand in the order of the paths, with others that are not read."""
    folder = tmp_path_factory.mktemp("store") / "set"
    (folder / "c" / "_temporary").mkdir(parents=True)
    lines = ["".join(json.dumps({"text": text}) + "\n\n" for text in TEXTS[at : at + 5]).encode() for at in (0, 5, 10)]
    (folder / "a-10.jsonl").write_bytes(lines[0])
    (folder / "a-9.jsonl.gz").write_bytes(gzip.compress(lines[1]))
    with pa.CompressedOutputStream(str(folder / "b.jsonl.zst"), "zstd") as sink:
        sink.write(lines[2])
    pq.write_table(pa.table({"text": TEXTS[15:25], "id": range(10)}), folder / "c" / "part.parquet", row_group_size=3)
    (folder / "d.txt").write_text("\r\n".join([*TEXTS[25:], ""]), encoding="utf-8", newline="")
    for name in ("README.md", "_SUCCESS", ".hidden.txt", "c/_temporary/e.txt"):
        (folder / name).write_text("no document")
    return folder


@pytest.fixture(scope="module")
def store(files, s3_client):
    """A bucket that holds the folder as ``s3://texts/set``."""
    s3_client.create_bucket(Bucket="texts")
    for path in files.rglob("*"):
        if path.is_file():
            s3_client.upload_file(str(path), "texts", f"set/{path.relative_to(files)}")


PASSWORDS = [
    "s3://name:secret@bucket/set",
    "s3://name:sec/secret@bucket/set",
    "s3://secret@bucket/set",
    "s3://name:secret/set",
    "gs://bucket/set@secret",
    "s3://bucket/set?endpoint_override=name:secret@host",
    "abfs://:secret@account.dfs.core.windows.net/set",
    "abfss://name:secret@account/set",
    "abfs://container@account/secret@set",
    "hdfs://name:secret@host:9000/set",
]
OPTIONS = [
    "s3://bucket/set?secret_key=secret",
    "s3://bucket/set?secret",
    "s3://bucket/set?region=us-east-1&session_token=secret",
    "s3://bucket/set?endpoint_override=http://name%3Asecret%40host",
    "abfss://container@account/set?sig=secret",
    "abfs://container@account/set?region=secret",
    "file:///set/secret-?.jsonl",
]


def read(source: str, **how) -> list:
    return list(read_documents(TrainingSet(source), **how))


NAMED = [
    ("", TEXTS),
    ("/", TEXTS),
    ("/a-9.jsonl.gz", TEXTS[5:10]),
    ("/a-*.jsonl", TEXTS[:5]),
    ("/a-*", TEXTS[:10]),
    ("/*/*.parquet", TEXTS[15:25]),
    ("/c", TEXTS[15:25]),
]


@pytest.mark.parametrize(("below", "texts"), NAMED)
def test_files_folders_and_patterns_of_a_shared_file_system(files, below, texts):
    assert read(f"file://{files}{below}") == texts
    assert read(f"file://{files}{below}", offline=True) == texts


@pytest.mark.parametrize(("below", "texts"), NAMED)
def test_files_folders_and_patterns_of_a_bucket(s3, store, below, texts):
    assert read(f"s3://texts/set{below}") == texts


def test_a_file_has_the_documents_of_its_path(files):
    for path in sorted(files.rglob("*")):
        if path.suffix in (".jsonl", ".gz", ".zst", ".parquet", ".txt"):
            assert read(f"file://{path}") == read(str(path))


def test_articles_begin_in_one_file_and_end_in_another(tmp_path):
    lines = ["", " = One = ", "", " first ", "", " = Two = ", "", " second "]
    for number, part in enumerate((lines[:4], lines[4:])):
        (tmp_path / f"{number}.txt").write_text("\n".join(part) + "\n")
    documents = read_documents(TrainingSet(f"file://{tmp_path}", documents="articles"))
    assert list(documents) == [" = One = \n first ", " = Two = \n second "]


def test_a_star_stands_for_one_name_only(files):
    with pytest.raises(DataError, match=r"Files were expected at .*/\*.parquet, and there are none"):
        read(f"file://{files}/*.parquet")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "ok"}\n{\n', r"line 2 of file:///.*b.jsonl, which is malformed"),
        (b'{"body": "ok"}\n', r"Column 'text' was expected in line 1 of file:///.*b.jsonl; found body"),
        (b"\xff\n", r"UTF-8 text was expected in line 1 of file:///.*b.jsonl"),
    ],
)
def test_faults_are_told_with_their_file_and_line(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text('{"text": "before"}\n')
    (tmp_path / "b.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(f"file://{tmp_path}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://nobody/set", r"Files were expected at s3://nobody/set, and there are none; check"),
        ("s3://texts/other", r"Files were expected at s3://texts/other, and there are none"),
        ("s3://texts/set/z-*.txt", r"there are none"),
        ("s3://texts/set/README.md", r"Files that end in .jsonl, .* found s3://texts/set/README.md"),
    ],
)
def test_what_is_not_there_is_one_sentence(s3, store, source, message):
    with pytest.raises(DataError, match=message) as raised:
        read(source)
    assert "\n" not in str(raised.value)


def test_a_store_that_refuses_is_one_sentence(s3, store, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"s3://texts/set was expected to be readable, .*your credentials") as raised:
        read("s3://texts/set")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("http://name:secret@host/set.jsonl", r"must begin with file://, s3://, .*found http://\."),
        ("S3://name:secret@bucket/set", r"must begin with .*found S3://\."),
        *((source, r"an @ or a : where a password stands; .*environment") for source in PASSWORDS),
        *((source, r"Behind the \? of a \w+:// address only these options") for source in OPTIONS),
        ("s3://bucket/secret#1.jsonl", r"without a # was expected, .*write it as %23"),
        ("file:///secret#1.jsonl", r"without a # was expected"),
        ("s3://[secret/x", r"names and \* alone was expected in a s3:// address"),
        ("s3://bucket/secret-{1,2}.txt", r"names and \* alone was expected"),
    ],
)
def test_what_can_be_seen_to_be_wrong_is_told_before_anything_is_opened(source, message):
    # A password or key is refused where the set is declared, and all else where it is checked.
    with pytest.raises(KdmemError, match=f"{message}|must be without a password or key") as raised:
        check_source(TrainingSet(source))
    assert "secret" not in str(raised.value).replace("secret_key=***", "")


def test_offline_opens_no_connection():
    with pytest.raises(DataError, match=r"s3://bucket/set lies in an object store, and --kdmem-offline forbids"):
        read("s3://bucket/set", offline=True)


def test_only_content_at_hand_has_a_fingerprint(files, tmp_path):
    whole = TrainingSet(f"file://{files}")
    assert fingerprint(TrainingSet("s3://texts/set")) is None
    assert expected_examples(whole) is None
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("a-10.jsonl", "d.txt"):
        (copy / name).write_bytes((files / name).read_bytes())
    before = fingerprint(TrainingSet(f"file://{copy}"))
    assert before == fingerprint(TrainingSet(f"file://{copy}/"))
    (copy / "_SUCCESS").touch()
    assert before == fingerprint(TrainingSet(f"file://{copy}"))
    (copy / "d.txt").write_text("other")
    assert before != fingerprint(TrainingSet(f"file://{copy}"))


def test_settings_leave_addresses_as_they_are(tmp_path):
    for source in ("s3://bucket/set", f"file://{tmp_path}"):
        assert path_from_root(source, tmp_path) == source


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/set?region=eu-west-1&scheme=http&endpoint_override=localhost:9000",
        "s3://bucket/set?endpoint_override=https://minio.local:9000",
        "abfs://container@account.dfs.core.windows.net/set",
        "abfss://container@127.0.0.1:10000/set/*.jsonl",
        "hdfs://host:9000/set",
        "file:///data/a%40b%23c%3F.jsonl",
    ],
)
def test_addresses_without_a_secret_are_taken(source):
    check_source(TrainingSet(source))


def test_a_name_of_signs_that_mean_something_else_is_read_where_they_are_written_otherwise(tmp_path):
    (tmp_path / "a#b?c@d.txt").write_text("text\n")
    assert read(f"file://{tmp_path}/a%23b%3Fc%40d.txt") == ["text"]


@pytest.mark.parametrize(
    ("name", "below"),
    [
        *(
            (name, "")
            for name in ("b.TXT", "b.jsonl.bz2", "b.csv", "b.json", "c/b.Parquet", "b.txt.gz", "b.npy", "b.zip")
        ),
        *((name, "/*") for name in ("b.md", "b.jsonl.xz", "_SUCCESS")),
    ],
)
def test_no_text_is_passed_by(tmp_path, name, below):
    (tmp_path / "a.txt").write_text("text\n")
    (tmp_path / "README.md").write_text("of a folder")
    if below:
        (tmp_path / "README.md").unlink()
    assert read(f"file://{tmp_path}{below}") == ["text"]
    (tmp_path / "c").mkdir()
    (tmp_path / name).write_text("text\n")
    with pytest.raises(DataError, match=rf"alone were expected at .*; found file://.*/{name}: convert it") as raised:
        read(f"file://{tmp_path}{below}")
    assert "\n" not in str(raised.value)
    assert read(f"file://{tmp_path}/*.txt") == ["text"]


@pytest.mark.parametrize("error", [pa.ArrowNotImplementedError, pa.ArrowException, UnicodeError, OSError])
def test_whatever_pyarrow_raises_is_one_sentence(monkeypatch, error):
    def refused(_):
        raise error("no such\nthing")

    monkeypatch.setattr(object_store, "FileSystem", SimpleNamespace(from_uri=refused))
    with pytest.raises(DataError, match=r"abfs://c@account/set was expected to be readable, and is not \(no such\)"):
        read("abfs://c@account/set")


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("address", ["", "file://"])
def test_columns_that_are_no_utf8_are_told_by_their_rows(tmp_path, ending, address):
    if address and ending == "arrow":
        pytest.skip("not read from addresses")
    text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    table, path = pa.table({"text": text}), tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    with pytest.raises(DataError, match=rf"Intact values were expected in rows 0 to 1 of .*a.{ending} \(.*UTF8"):
        read(f"{address}{path}")
