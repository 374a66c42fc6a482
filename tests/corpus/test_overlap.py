"""A control set shares no text with the training set, however either is named or read."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from pyarrow.fs import LocalFileSystem

from pytest_kdmem.corpus import object_store
from pytest_kdmem.corpus.overlap import check_control, check_teacher_set, overlap
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders by relative paths; ``b`` is held out."""
    from datasets import Dataset, DatasetDict

    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.zeros((2, 8), dtype=np.int32))
    np.save("same.npy", np.zeros((2, 8), dtype=np.int32))
    np.save("b.npy", np.ones((2, 8), dtype=np.int32))
    for name in ("a", "b"):
        Path(f"{name}.jsonl").write_text(f'{{"text": "{name}", "other": "{name}!"}}\n')
    parts = {name: Dataset.from_dict({"text": [name]}) for name in ("train", "validation")}
    DatasetDict(parts).save_to_disk("parted")
    parts["train"].save_to_disk("plain")
    Path("link.jsonl").symlink_to("a.jsonl")


HUB = "HuggingFaceFW/fineweb"
WIKI = "Salesforce/wikitext"
SAME = [
    ({"source": "a.npy"}, {"source": "./a.npy"}),
    ({"source": "a.npy"}, {"source": "same.npy"}),
    ({"source": "a.npy"}, {"source": "a.npy", "text_column": "x"}),
    ({"source": "a.jsonl"}, {"source": "a.jsonl", "split": "validation"}),
    ({"source": "a.jsonl"}, {"source": "link.jsonl", "minimum_tokens": 3}),
    ({"source": "a.jsonl"}, {"source": "a.jsonl", "form": "blocks", "documents": "articles"}),
    ({"source": "a.jsonl", "sample": 1}, {"source": "a.jsonl", "add_special_tokens": True, "config": "x"}),
    ({"source": "plain"}, {"source": "plain", "split": "validation"}),
    ({"source": "parted"}, {"source": "parted/", "minimum_tokens": 2}),
    ({"source": HUB}, {"source": HUB.lower()}),
    ({"source": HUB}, {"source": HUB, "config": "sample-10BT"}),
    ({"source": HUB, "split": "train[:10%]"}, {"source": HUB, "split": "train[90%:]+test"}),
    ({"source": HUB, "split": "test"}, {"source": HUB, "split": "all"}),
    ({"source": "fineweb"}, {"source": HUB}),
    ({"source": HUB}, {"source": "fineweb:held-out"}),
    ({"source": "fineweb"}, {"source": "fineweb", "sample": 5}),
    ({"source": "fineweb:held-out"}, {"source": "fineweb:held-out"}),
    ({"source": "fineweb"}, {"source": "fineweb:held-out", "config": "sample-100BT"}),
    ({"source": "fineweb"}, {"source": "fineweb:held-out", "revision": "v1"}),
    ({"source": "fineweb"}, {"source": "fineweb:held-out", "add_special_tokens": True}),
    ({"source": "fineweb"}, {"source": "fineweb:held-out", "documents": "articles"}),
    ({"source": "wikitext-103", "split": "validation"}, {"source": "wikitext-103:held-out"}),
    ({"source": WIKI, "split": "validation"}, {"source": "wikitext-103:held-out"}),
]
APART = [
    ({"source": "a.npy"}, {"source": "b.npy"}),
    ({"source": "a.jsonl"}, {"source": "b.jsonl"}),
    ({"source": "a.jsonl"}, {"source": "a.jsonl", "text_column": "other"}),
    ({"source": "parted"}, {"source": "parted", "split": "validation"}),
    ({"source": "a.jsonl"}, {"source": "fineweb"}),
    ({"source": HUB}, {"source": WIKI}),
    ({"source": WIKI}, {"source": WIKI, "split": "validation"}),
    ({"source": WIKI}, {"source": "wikitext-103:held-out"}),
    ({"source": "fineweb"}, {"source": "fineweb:held-out"}),
    ({"source": "fineweb", "sample": 5, "form": "blocks"}, {"source": "fineweb:held-out"}),
    ({"source": "wikitext-103"}, {"source": "wikitext-103:held-out"}),
    ({"source": "wikitext-103"}, {"source": "wikitext-103", "split": "test"}),
]


@pytest.mark.parametrize(("left", "right"), SAME, ids=str)
def test_what_may_be_the_same_text_is_refused(left: dict[str, str], right: dict[str, str]) -> None:
    for pair in ((left, right), (right, left)):
        with pytest.raises(SpecError, match="hold some text out"):
            check_control(*(TrainingSet(**data) for data in pair))  # type: ignore[arg-type]


@pytest.mark.parametrize(("left", "right"), APART, ids=str)
def test_what_is_apart_is_taken(left: dict[str, str], right: dict[str, str]) -> None:
    assert not overlap(TrainingSet(**left), TrainingSet(**right))  # type: ignore[arg-type]
    assert not overlap(TrainingSet(**right), TrainingSet(**left))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("file://{0}/a.jsonl", "a.jsonl", True),
        ("file://{0}/a.jsonl", "link.jsonl", True),
        ("file://{0}/*.jsonl", "a.jsonl", True),
        ("file://{0}/*.jsonl", "file://{0}/b.jsonl", True),
        ("file://{0}/more", "file://{0}/more/c.jsonl", True),
        ("file://{0}/a.jsonl", "b.jsonl", False),
        ("file://{0}/a.jsonl", "file://{0}/more", False),
        ("file://{0}/a.jsonl", HUB, False),
        ("file://{0}/a.jsonl", "s3://bucket/a.jsonl", False),
        ("s3://bucket/a.jsonl", "a.jsonl", False),
        ("s3://bucket/a.jsonl", "gs://bucket/a.jsonl", False),
        ("s3://bucket/a.jsonl", HUB, False),
        ("file://{0}/a.jsonl", "file://{0}/copies", True),
        ("file://{0}/copies/*.jsonl", "a.jsonl", True),
        ("file://{0}/copies", "b.jsonl", False),
        ("file://{0}/more", "file://{0}/copies", False),
    ],
)
def test_addresses_overlap_where_they_name_the_same_files(tmp_path, left, right, same):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/c.jsonl").write_text('{"text": "c"}\n')
    (tmp_path / "copies").mkdir()
    shutil.copy(tmp_path / "a.jsonl", tmp_path / "copies/x.jsonl")
    for folder in ("more", "copies"):
        (tmp_path / folder / "none.jsonl").touch()
    first, second = (TrainingSet(source.format(tmp_path)) for source in (left, right))
    assert overlap(first, second) is overlap(second, first) is same
    assert overlap(first, TrainingSet(first.source, split="validation")) is True


ADDRESSES = [
    ("s3://bucket/a.jsonl", "s3://bucket//a.jsonl", True),
    ("s3://bucket/set", "s3://bucket/set/", True),
    ("s3://bucket/set", "s3://bucket/set/a%20b.jsonl?region=us-east-1", True),
    ("s3://bucket/set/*.jsonl", "s3://bucket/set/a.jsonl", True),
    ("gs://bucket/set", "gcs://bucket/set", True),
    ("abfs://c@account/set", "abfss://c@account/set", True),
    ("s3://bucket/set", "s3://bucket/other", False),
    ("s3://bucket/set", "s3://other/set", False),
    ("s3://bucket/set", "s3://bucket/set-2", False),
    ("s3://bucket/set/*.jsonl", "s3://bucket/set/a.txt", False),
    ("s3://bucket/set", "gs://bucket/set", False),
    ("s3://bucket/set", "a.jsonl", False),
    ("s3://bucket/set", HUB, False),
]


@pytest.mark.parametrize(("left", "right", "same"), ADDRESSES)
def test_offline_addresses_are_compared_and_no_connection_is_opened(monkeypatch, left, right, same):
    monkeypatch.setattr(object_store, "FileSystem", SimpleNamespace(from_uri=lambda _: pytest.fail("opened")))
    first, second = TrainingSet(left), TrainingSet(right)
    assert overlap(first, second, offline=True) is overlap(second, first, offline=True) is same
    if same:
        with pytest.raises(SpecError, match="hold some text out"):
            check_control(first, second, offline=True)


def test_two_names_of_one_kind_of_store_are_compared_by_their_files(monkeypatch, tmp_path):
    def stands_for(address):
        return LocalFileSystem(), address.replace("gcs://", "gs://").replace("gs://bucket", str(tmp_path))

    monkeypatch.setattr(object_store, "FileSystem", SimpleNamespace(from_uri=stands_for))
    assert overlap(TrainingSet("gs://bucket/*.jsonl"), TrainingSet("gcs://bucket/a.jsonl"))
    assert not overlap(TrainingSet("gs://bucket/b.jsonl"), TrainingSet("gcs://bucket/a.jsonl"))


@pytest.mark.parametrize(
    ("teacher_set", "training_set", "control_set", "refused"),
    [
        ({"source": "a.npy"}, {"source": "same.npy", "sample": 3}, None, "is the training set"),
        ({"source": "a.jsonl", "sample": 3}, {"source": "link.jsonl", "form": "blocks"}, None, "is the training set"),
        ({"source": HUB, "seed": 1}, {"source": HUB, "group_column": "g"}, None, "is the training set"),
        ({"source": "a.npy"}, None, {"source": "same.npy"}, "is the control set"),
        ({"source": HUB, "split": "train[:9%]"}, {"source": HUB, "split": "train[9%:]"}, None, ""),
        ({"source": "a.npy"}, {"source": "b.npy"}, {"source": "a.jsonl"}, ""),
    ],
)
def test_a_teacher_set_is_neither_of_the_other_sets(teacher_set, training_set, control_set, refused) -> None:
    sets = [TrainingSet(**given) if given else None for given in (teacher_set, training_set, control_set)]
    if not refused:
        check_teacher_set(*sets)
        return
    with pytest.raises(SpecError, match=refused):
        check_teacher_set(*sets)
