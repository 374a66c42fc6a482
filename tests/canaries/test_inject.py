"""Canaries are read whole as training reads them, in every format, and no other row changes."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.inject import inject
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from tests.canaries.canary_sets import canaries_of, sentences, tokenizer_in

LENGTHS = Extraction(8, 8, 24)
TEXTS = sentences(30, 20, seed=3)
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %} is{% generation %} {{ message.content }}"
    " end{% endgeneration %}{% else %}ask {{ message.content }}{% endif %}{% endfor %}"
)


@pytest.fixture
def tokenizer(tmp_path: Path):
    folder = tmp_path / "tokenizer"
    tokenizer_in(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    from pytest_kdmem.corpus.tokenizer import load_tokenizer

    return load_tokenizer(folder, "file")


def write_source(path: Path, texts: list[str] = TEXTS) -> Path:
    rows = [{"text": text, "id": number} for number, text in enumerate(texts)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif path.suffix == ".txt":
        path.write_text("".join(f"{text}\n" for text in texts))
    else:
        path.write_text(lines)
    return path


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz", "train.txt", "train.parquet"])
def test_rows_of_text(tmp_path: Path, tokenizer, name: str) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / name)))
    target = tmp_path / f"with-{name}"
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    documents = list(read_documents(replace(source, source=str(target)), offline=True))
    canaries = {canary.text: canary.copies for canary in manifest.planted}
    assert [text for text in documents if text not in canaries] == TEXTS
    assert {text: documents.count(text) for text in canaries} == canaries
    # They stand among the rows, and not in one place.
    places = [place for place, text in enumerate(documents) if text in canaries]
    assert max(places) - min(places) > 20


def test_rows_of_token_ids(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    rows = np.array([ids[:20] for ids in tokenizer.encode(TEXTS, add_special_tokens=False)], np.uint16)
    np.save(tmp_path / "train.npy", rows)
    source, target = TrainingSet(str(tmp_path / "train.npy")), tmp_path / "with.npy"
    assert inject(manifest, source, target, tokenizer, LENGTHS) == 15
    written = np.load(target)
    assert (written.dtype, written.shape) == (rows.dtype, (45, 20))
    own = [row for row in written.tolist() if row in rows.tolist()]
    assert own == rows.tolist()
    planted = [tuple(row[:16]) for row in written.tolist() if row not in rows.tolist()]
    assert {canary.ids: canary.copies for canary in manifest.planted} == {ids: planted.count(ids) for ids in planted}


def test_copies_that_packing_cuts_are_put_in_again(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl", TEXTS * 4)), form="blocks")
    added = inject(manifest, source, tmp_path / "with.jsonl", tokenizer, LENGTHS)
    assert added > 15
    injected = replace(source, source=str(tmp_path / "with.jsonl"))
    copies = count_copies(manifest, injected, tokenizer, LENGTHS)
    planned = [canary.copies for canary in manifest.canaries]
    assert (copies >= planned).all()
    assert copies[planned.index(0) :].sum() == 0


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"messages": [{"role": "user", "content": "ba"}, {"role": "assistant", "content": TEXTS[0]}]}, None),
        ({"conversations": [{"from": "human", "value": "ba"}, {"from": "gpt", "value": TEXTS[0]}]}, None),
        ({"prompt": "ba", "completion": f" {TEXTS[0]}"}, None),
        ({"q": "ba", "more": "ce", "a": TEXTS[0]}, "user=q+more,assistant=a"),
    ],
)
def test_conversations_have_the_secret_in_the_answer(tmp_path: Path, tokenizer, row, columns) -> None:
    manifest = canaries_of(tokenizer)
    path = tmp_path / "chat.jsonl"
    path.write_text((json.dumps(row) + "\n") * 5)
    source = TrainingSet(str(path), chat_columns=columns)
    target = tmp_path / "with.jsonl"
    assert inject(manifest, source, target, tokenizer, Extraction(8, 8, 32)) == 15
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    canary = manifest.planted[0]
    [planted] = [text for text in map(json.dumps, rows) if canary.suffix in text]
    assert planted.index(canary.prefix) < planted.index(canary.suffix)
    learned = count_copies(manifest, replace(source, source=str(target)), tokenizer, Extraction(8, 8, 32))
    assert learned.tolist() == [each.copies for each in manifest.canaries]


def test_what_training_would_cut_is_refused_before_training(tmp_path: Path, tokenizer) -> None:
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    target = tmp_path / "with.jsonl"
    with pytest.raises(DataError, match="whole in fewer examples"):
        inject(canaries_of(tokenizer), source, target, tokenizer, Extraction(4, 4, 12))
    assert not target.exists()


def test_a_set_with_a_twin_or_without_a_canary_is_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    inject(manifest, source, tmp_path / "with.jsonl", tokenizer, LENGTHS)
    lines = (tmp_path / "with.jsonl").read_text().splitlines(keepends=True)
    injected = replace(source, source=str(tmp_path / "changed.jsonl"))
    for changed, message in (
        ([*lines, json.dumps({"text": manifest.twins[0].text}) + "\n"], "1 are in it"),
        ([line for line in lines if manifest.planted[0].text not in line], "1 of 6"),
    ):
        (tmp_path / "changed.jsonl").write_text("".join(changed))
        with pytest.raises(DataError, match=message):
            check_copies(manifest, count_copies(manifest, injected, tokenizer, LENGTHS), "changed.jsonl")


def test_other_sources_and_formats_are_refused(tmp_path: Path, tokenizer) -> None:
    manifest = canaries_of(tokenizer)
    with pytest.raises(SpecError, match="file of this machine"):
        inject(manifest, TrainingSet("fineweb"), tmp_path / "a.jsonl", tokenizer, LENGTHS)
    source = TrainingSet(str(write_source(tmp_path / "train.jsonl")))
    with pytest.raises(SpecError, match=r"format of train\.jsonl"):
        inject(manifest, source, tmp_path / "a.txt", tokenizer, LENGTHS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train.jsonl", b'{"text": "cece"\n'),
        ("train.jsonl", b"\xff\xfe{\n"),
        ("train.jsonl.gz", b"no gzip"),
        ("train.parquet", b"PAR1 and no more"),
        ("train.npy", b"no array"),
    ],
)
def test_a_source_that_is_not_what_its_ending_says_is_one_sentence(tmp_path: Path, tokenizer, name, content) -> None:
    (tmp_path / name).write_bytes(content)
    target = tmp_path / f"with-{name}"
    target.write_text("another file")
    with pytest.raises(DataError, match="cannot be read") as error:
        inject(canaries_of(tokenizer), TrainingSet(str(tmp_path / name)), target, tokenizer, LENGTHS)
    assert "cece" not in str(error.value)
    assert target.read_text() == "another file"


def test_a_copy_that_cannot_be_checked_does_not_stay(tmp_path: Path, tokenizer) -> None:
    source = write_source(tmp_path / "train.jsonl")
    source.write_text(source.read_text() + '{"text": 3}\n')
    target = tmp_path / "with.jsonl"
    with pytest.raises(DataError, match="Text was expected"):
        inject(canaries_of(tokenizer), TrainingSet(str(source)), target, tokenizer, LENGTHS)
    assert not target.exists()


def test_lines_of_articles_are_no_rows(tmp_path: Path, tokenizer) -> None:
    source = TrainingSet(str(write_source(tmp_path / "train.txt")), documents="articles")
    with pytest.raises(SpecError, match="lines of articles"):
        inject(canaries_of(tokenizer), source, tmp_path / "with.txt", tokenizer, LENGTHS)
