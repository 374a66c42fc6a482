"""A control set shares no text with the training set, however either is named or read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.audit import check_control
from pytest_kdmem.corpus.overlap import overlap
from pytest_kdmem.errors import SpecError
from pytest_kdmem.spec import TrainingSet


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


@pytest.mark.parametrize(("one", "other"), SAME, ids=str)
def test_what_may_be_the_same_text_is_refused(one: dict[str, str], other: dict[str, str]) -> None:
    for pair in ((one, other), (other, one)):
        with pytest.raises(SpecError, match="hold some text out"):
            check_control(*(TrainingSet(**data) for data in pair))  # type: ignore[arg-type]


@pytest.mark.parametrize(("one", "other"), APART, ids=str)
def test_what_is_apart_is_taken(one: dict[str, str], other: dict[str, str]) -> None:
    assert not overlap(TrainingSet(**one), TrainingSet(**other))  # type: ignore[arg-type]
    assert not overlap(TrainingSet(**other), TrainingSet(**one))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("file://{0}/a.jsonl", "a.jsonl", True),
        ("file://{0}/a.jsonl", "link.jsonl", True),
        ("file://{0}/*.jsonl", "a.jsonl", True),
        ("file://{0}/*.jsonl", "file://{0}/b.jsonl", True),
        ("file://{0}/more", "file://{0}/more/c.jsonl", True),
        ("file://{0}/a.jsonl", "b.jsonl", False),
        ("file://{0}/a.jsonl", "file://{0}/more", False),
        ("file://{0}/a.jsonl", HUB, False),
    ],
)
def test_addresses_overlap_where_they_name_the_same_files(tmp_path, one, other, same):
    (tmp_path / "more").mkdir()
    (tmp_path / "more/c.jsonl").write_text('{"text": "c"}\n')
    first, second = (TrainingSet(source.format(tmp_path)) for source in (one, other))
    assert overlap(first, second) is overlap(second, first) is same
    assert overlap(first, TrainingSet(first.source, split="validation")) is True
