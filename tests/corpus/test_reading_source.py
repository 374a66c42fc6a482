"""A few documents are read as declared, cut to what is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.columns import TokenRow
from pytest_kdmem.corpus.reading_source import DOCUMENTS_READ, SKIPPED_TOKENS, Source, ids_of
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


def source_of(path: Path, folder: Path, *, lengths: Extraction | None = None, **declared: object) -> Source:
    training_set = TrainingSet(str(path), **declared)  # type: ignore[arg-type]
    return Source(
        training_set, load_tokenizer(folder), open_checkpoint(Model(str(folder))), lengths or Extraction(10, 20, 40)
    )


def test_the_first_documents_are_read_and_no_others(tiny, write_jsonl):
    texts = [f"amber {number}" for number in range(DOCUMENTS_READ + 9)]
    assert source_of(write_jsonl(texts), tiny).documents() == texts[:DOCUMENTS_READ]


def test_a_document_is_cut_to_what_gates_read_and_a_block_is_whole(tiny, write_jsonl, sentences):
    path = write_jsonl(sentences)
    documents, blocks = (source_of(path, tiny, form=form) for form in ("documents", "blocks"))
    assert (documents.window, blocks.window) == (30, 40)
    assert {len(row) for row in documents.encode(sentences[:5])} == {30}
    assert {len(row) for row in blocks.blocks(sentences[:5])[:-1]} == {40}
    assert [len(row) for row in documents.encode(sentences[:2], window=7)] == [7, 7]


@pytest.mark.parametrize(("prefix", "skipped"), [(5, 5), (50, SKIPPED_TOKENS)])
def test_no_more_than_the_prefix_is_skipped(tiny, write_jsonl, prefix, skipped):
    lengths = Extraction(prefix, 20, 100)
    assert source_of(write_jsonl(["amber"]), tiny, lengths=lengths).skipped == skipped


def test_texts_and_token_ids_keep_their_order(tiny, write_jsonl, sentences):
    ids = np.arange(1, 6, dtype=np.int32)
    source = source_of(write_jsonl(sentences), tiny)
    rows = source.encode([sentences[0], ids, sentences[1]])
    assert rows[1].tolist() == ids.tolist()
    assert [rows[0].tolist(), rows[2].tolist()] == [row.tolist() for row in source.encode(sentences[:2])]
    assert ids_of(TokenRow(ids, where="line 1")) is ids


def test_the_end_token_of_the_tokenizer_goes_before_that_of_the_model(tiny, write_jsonl):
    source = source_of(write_jsonl(["amber"]), tiny)
    config = {"text_config": {"bos_token_id": 7}, "eos_token_id": 9}
    other = replace(source, checkpoint=replace(source.checkpoint, config=config))
    assert source.tokenizer is not None
    assert other.edge_ids() == {"bos": 7, "eos": source.tokenizer.eos_id}
    assert replace(other, tokenizer=None).edge_ids() == {"bos": 7, "eos": 9}
