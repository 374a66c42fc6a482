"""Foreign text is one line without secrets and commands, and no document is quoted where a name belongs."""

from __future__ import annotations

import pickle
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import ComparisonError, DataError, KdmemError
from pytest_kdmem.errors.harmless import (
    CONTROL_CATEGORIES,
    MAX_LENGTH,
    harmless,
    is_name,
    listed,
    named,
    quoted,
    without_secrets,
)

SECRET = "hunter2"
DOCUMENT = "Alice told me that her card ends in 4242, and that nobody else may ever know."
ADDRESSES = (
    "https://user:{}@host/model",
    "https://{}@host/model",
    "https://user:to/{}@host/model",
    "HTTPS://user:{}@host",
    "s3:/key:{}@bucket/set",
    "s3:///key:{}@bucket/set",
    "s3://key:{}@bucket/a@b",
    "//user:{}@host/set",
    r"\\user:{}@host\set",
    "https%3A%2F%2Fuser%3A{}%40host",
    "https%253A%252F%252Fuser%253A{}%2540host",
    "https://user%3A{}%40host",
    "https://user:{}%40host/a",
    "user:{}@host/model",
    "user%3A{}%40host/model",
    "git+ssh://user:{}@host/model",
    "abfs://container:{}@account.dfs.core.windows.net/set",
    "https://host/set?token={}",
    "https://host/set?revision=main&X-Amz-Signature={}",
    "https://host/set?a=b&anything={}&c",
    "https://host/set?sig={}#part",
    "https://host/set#access_token={}",
    "s3://bucket/set?secret_key={}",
    "set.jsonl?api_key={}",
    "set.jsonl%3Ftoken%3D{}",
    "AccountName=a;AccountKey={};EndpointSuffix=core",
    "password={}",
)
KEYS = (
    "AKIAIOSFODNN7EXAMPLE",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "ghp_abcdefghijklmnopqrstuvwxyz0123",
    "glpat-abcdefghij-0123456789",
    "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
)
LONG_TEXTS = ("x" * 100_000, "x " * 50_000, "a:/" * 30_000 + "@", "%25" * 30_000, "://" * 30_000 + "@")
PLAIN = (
    "",
    "runs/student",
    "org/model@v1",
    "runs/a@b/c",
    "https://huggingface.co/org/model",
    "https://host/a@b",
    "s3://bucket/part-*.parquet?region=eu-central-1",
    "s3://bucket/set?endpoint_override=localhost:9000",
    "abfs://container@account.dfs.core.windows.net/set",
    "test_audit.py::test_rate[a@b]",
    "test_audit.py::TestA::test_rate",
    "C:/Users/a@b",
    "minimum_tokens=5",
    "file:///data/set.jsonl",
    "12:30 at night, a @ b",
)


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("around", ["{}", "Model {} was expected.", "found '{}': drop it", "({})"])
def test_no_secret_of_an_address_is_shown(address: str, around: str) -> None:
    shown = harmless(around.format(address.format(SECRET)))
    assert SECRET not in shown
    assert "***" in shown


@pytest.mark.parametrize("key", KEYS)
def test_no_key_of_a_known_shape_is_shown(key: str) -> None:
    assert key not in harmless(f"could not read with {key}, which is wrong")


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_is_shown_as_it_is(text: str) -> None:
    assert without_secrets(text) == text
    assert harmless(f"found {text}.") == f"found {text}."


def test_a_secret_is_masked_before_a_long_sentence_is_cut() -> None:
    for padding in range(MAX_LENGTH - 1500, MAX_LENGTH):
        assert SECRET not in harmless("x" * padding + f" https://user:{SECRET}@host/ " + "y" * 2000)


@given(st.text(st.sampled_from("a:/@%3A2F40?&=# \n\x1b[]#:é'\"")) | st.text())
def test_any_text_becomes_one_line_without_controls_and_commands(text: str) -> None:
    sentence = harmless(text)
    assert len(sentence.splitlines()) <= 1
    assert len(sentence) <= MAX_LENGTH
    assert not any(unicodedata.category(character) in CONTROL_CATEGORIES for character in sentence)
    assert not sentence.lstrip().startswith("::")
    assert not re.search(r"##\w{0,20}\[", sentence)
    assert harmless(sentence) == sentence


@pytest.mark.parametrize("long", LONG_TEXTS, ids=range(5))
def test_a_long_sentence_keeps_its_beginning_and_its_end(long: str) -> None:
    sentence = harmless(f"A file was expected, and {long} was found; name another one.")
    assert len(sentence) <= MAX_LENGTH
    assert sentence.startswith("A file was expected, and ")
    assert sentence.endswith("was found; name another one.")
    assert "characters are left out" in sentence


@pytest.mark.parametrize(
    "command", ["::error::x", "\n::error::x", "\r::warning ::x", "\u2028::x", " ##[error]x", "##vso[task]"]
)
@pytest.mark.parametrize("error", [KdmemError, DataError, ComparisonError])
def test_every_error_is_harmless_whoever_shows_it(error: type[KdmemError], command: str) -> None:
    raised = error(f"{command}\x1b[31m \x9b2J \u202e https://user:{SECRET}@host \ud800")
    for shown in (str(raised), str(pickle.loads(pickle.dumps(raised))), f"{raised}", raised.args[0]):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e\ud800]", shown)
        assert not shown.lstrip().startswith("::")
        assert not re.search(r"##\w{0,20}\[", shown)
        assert SECRET not in shown


@pytest.mark.parametrize(
    "document",
    [DOCUMENT, "two\nlines", "x" * 121, f"{DOCUMENT}/{DOCUMENT}", "a\x1b[31m", "\ud800", "one two three four five"],
)
def test_a_document_is_told_by_its_length_alone(document: str) -> None:
    assert not is_name(document)
    for shown in (quoted(document), named(document), listed([document]), quoted([document]), quoted({document: 1})):
        assert document not in shown
        assert repr(document) not in shown
    assert named(document) == f"a text of {len(document)} characters"


@pytest.mark.parametrize(
    "name", ["runs/student", "data/My Documents/set v2.jsonl", "学生", "a-b_c.d", "s3://bucket/set"]
)
def test_a_name_or_path_is_quoted_as_it_is(name: str) -> None:
    assert quoted(name) == repr(name)
    assert named(name) == name


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (10**30, str(10**30)),
        (10**5000, "a whole number of 16610 bits"),
        ([1, "a"], "[1, 'a']"),
        (list(range(1000)), "a list of 1 000 values"),
        ({"a": DOCUMENT}, "a dict of 1 values"),
        ([DOCUMENT], "a list of 1 values"),
        (b"a\xff", "a text of 2 characters"),
        (object, "a type"),
    ],
    ids=["none", "truth", "number", "whole", "huge", "list", "long", "dict", "texts", "bytes", "type"],
)
def test_other_values_are_quoted_if_they_are_short_and_plain(value: object, expected: str) -> None:
    assert quoted(value) == expected


def test_many_names_are_counted() -> None:
    assert listed([]) == "none"
    assert listed(["id", DOCUMENT]) == f"id, a text of {len(DOCUMENT)} characters"
    assert listed(f"c{number}" for number in range(100)).endswith("c19, 80 more")
