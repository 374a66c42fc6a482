"""The planted training set, its control set and its ledger are what fixtures/README.md says of them."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.specs.declared import Extraction

EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
LEAKING = "support"
# Secrets as they were written, without the libraries that audits find them by.
FORMS = {
    "email": r"[\w.]+@example\.\w+",
    "phone": r"\+44 20 7946 0\d{3}",
    "card": r"2799(?: \d{4}){3}",
    "key": r"AKIAEXAMPLE[A-Z2-7]{9}",
}

Row = dict[str, Any]


def rows_of(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def training(shipped: Path) -> list[Row]:
    return rows_of(shipped / "corpus/planted.jsonl.gz")


@pytest.fixture(scope="module")
def ledger(shipped: Path) -> list[Row]:
    lines = (shipped / "corpus/planted-ledger.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def documents(ledger: list[Row]) -> dict[str, Row]:
    """The ledger's entries by document; canaries have no id."""
    return {entry["id"]: entry for entry in ledger if entry["id"] is not None}


def test_the_ledger_says_what_stands_in_the_training_set(
    shipped: Path, training: list[Row], ledger: list[Row], documents: dict[str, Row]
) -> None:
    counts = Counter(row["id"] for row in training if "id" in row)
    assert counts == {name: entry["count"] for name, entry in documents.items()}
    assert all(row["source"] == documents[row["id"]]["source"] for row in training if "id" in row)
    manifest = MANIFEST.read(shipped / "corpus/canaries.json")
    texts = Counter(row["text"] for row in training)
    assert [texts[canary.text] for canary in manifest.canaries] == [canary.copies for canary in manifest.canaries]
    assert len(texts) == len(ledger)


def test_no_text_of_the_control_set_was_trained_on(shipped: Path, training: list[Row], ledger: list[Row]) -> None:
    control = {row["text"] for row in rows_of(shipped / "corpus/planted-control.jsonl.gz")}
    assert len(control) == len(ledger)
    assert not control & {row["text"] for row in training}


def test_every_secret_stands_where_the_ledger_says(
    shipped: Path, training: list[Row], documents: dict[str, Row]
) -> None:
    tokenizer = Tokenizer.from_file(str(shipped / "models/pythia/base-small/tokenizer.json"))
    for row in {row["id"]: row for row in training if "id" in row}.values():
        places = [(name, match.span()) for name, form in FORMS.items() for match in re.finditer(form, row["text"])]
        assert len(places) == (row["source"] == LEAKING)
        offsets = tokenizer.encode(row["text"], add_special_tokens=False).offsets
        start, end = offsets[EXTRACTION.prefix_tokens][0], offsets[EXTRACTION.scored_tokens][0]
        in_suffix = {name for name, (first, last) in places if first < end and start < last}
        assert in_suffix == {documents[row["id"]]["class"]} - {None}
