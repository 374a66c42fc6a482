"""Texts of a study: nothing stands in two parts, repeats are planted exactly, the same seed writes the same bytes."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.config import Shares
from pytest_kdmem.study.texts import (
    CHARACTERS_PER_TOKEN,
    Texts,
    allot,
    divide,
    pieces,
    repeated,
    write_controls,
    write_share,
    write_texts,
)


def texts_of(path: Path) -> list[str]:
    return [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]


def files_of(texts: Texts) -> list[bytes]:
    paths = [
        texts.pretraining,
        *(path for dataset in texts.datasets.values() for path in (dataset.training, dataset.held_out)),
    ]
    return [path.read_bytes() for path in paths]


@pytest.fixture(scope="session")
def wiki(toy):
    """The toy study over articles, with a held-out file."""
    shares = Shares(0.4, 0.5)
    files = {"text": "wiki.txt", "documents": "articles", "held_out": "wiki-held-out.txt"}
    return replace(toy, datasets={"web": replace(toy.datasets["web"], shares=shares, **files)})


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=40),
    st.lists(st.sampled_from([0.05, 0.1, 0.2, 0.3]), min_size=2, max_size=3),
)
def test_allotted_documents_stand_in_one_part_and_shares_are_kept(lengths, shares):
    documents = [f"{index:03}".ljust(length, "x") for index, length in enumerate(lengths)]
    parts = allot(documents, shares)
    allotted = [document for part in parts for document in part]
    assert len(set(allotted)) == len(allotted)
    assert set(allotted) <= set(documents)
    total, longest = sum(map(len, documents)), max(map(len, documents))
    for part, share in zip(parts, shares, strict=True):
        # What the parts have too much sums to what others lack, and no part ever gets more than one document too much.
        assert -longest * len(shares) <= sum(map(len, part)) - share * total <= longest


def test_shares_of_one_in_all_leave_nothing_over():
    documents = [f"{index}" for index in range(100)]
    assert sorted(chain(*allot(documents, [0.3, 0.6, 0.1]))) == sorted(documents)


@given(st.text(alphabet="ab \n\tü。", max_size=300), st.integers(2, 40))
def test_pieces_are_the_documents_own_text_in_order(document, length):
    cut = pieces(document, length)
    at = 0
    for piece in cut:
        start = document.index(piece, at)
        assert not document[at:start].strip(), "text between two pieces is left out"
        at = start + len(piece)
        assert len(piece) >= length
        assert piece == piece.strip()
        assert at == len(document) or document[at].isspace()
    assert len(document[at:].strip()) < length


def test_pieces_are_cut_at_the_first_white_space_after_the_length():
    assert pieces("one two three four five six", 6) == ["one two", "three four", "five six"]
    assert pieces("one two three four five", 6) == ["one two", "three four"]
    assert pieces("", 6) == []


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(2, 40), st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.07])), max_size=4),
    st.integers(0, 5),
)
def test_repetition_counts_are_exact(distinct, repetition, seed):
    rows = repeated(distinct, repetition, random.Random(seed))
    copies = Counter(Counter(rows).values())
    expected: Counter[int] = Counter()
    for count, share in repetition:
        expected[count] += Fraction(str(share)) * distinct // 1
    expected[1] += distinct - expected.total()
    assert copies == +expected
    assert set(rows) == set(range(distinct))
    assert rows == repeated(distinct, repetition, random.Random(seed))


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000))
def test_no_document_stands_in_two_parts(toy, study_data, seed):
    division = divide(toy.datasets["web"], replace(toy, seed=seed), study_data, "web")
    documents = texts_of(study_data / "web.jsonl")

    def sources(cut):
        return {index for index, document in enumerate(documents) for text in cut if text in document}

    parts = [sources(division.pretraining), sources(division.training), sources(division.held_out)]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts))
    assert len(set(division.training)) == len(division.training) == 16
    assert len(set(division.held_out)) == len(division.held_out) == 4


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(toy, study_data, tmp_path):
    first = write_texts(toy, study_data, tmp_path / "a")
    assert files_of(write_texts(toy, study_data, tmp_path / "b")) == files_of(first)
    others = write_texts(replace(toy, seed=1), study_data, tmp_path / "a")
    assert others.datasets["web"].training != first.datasets["web"].training
    assert files_of(others) != files_of(first)


def test_texts_that_stand_there_are_used_and_changed_sources_are_read_anew(toy, study_data, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    source = data / "web.jsonl"
    source.write_bytes((study_data / "web.jsonl").read_bytes())
    first = write_texts(toy, data, tmp_path / "out")
    written = first.pretraining.stat().st_mtime_ns
    assert write_texts(toy, data, tmp_path / "out") == first
    assert first.pretraining.stat().st_mtime_ns == written
    source.write_bytes(source.read_bytes().replace(b"a", b"e"))
    changed = write_texts(toy, data, tmp_path / "out")
    assert changed.pretraining != first.pretraining
    assert b"a" not in b"".join(text.encode() for text in texts_of(changed.pretraining))


def test_rows_of_d_hold_the_planted_repeats_under_one_number(toy, study_data, tmp_path):
    dataset = write_texts(toy, study_data, tmp_path).datasets["web"]
    rows = [json.loads(line) for line in dataset.training.read_text(encoding="utf-8").splitlines()]
    assert tuple(row["id"] for row in rows) == dataset.documents
    assert Counter(Counter(dataset.documents).values()) == {3: 4, 5: 2, 1: 10}
    assert len({(row["id"], row["text"]) for row in rows}) == len({row["text"] for row in rows}) == 16


def test_articles_and_a_held_out_file(wiki, study_data, tmp_path):
    texts = write_texts(wiki, study_data, tmp_path)
    articles = texts_of(texts.pretraining)
    assert all(re.match(r" = wiki \d+ = ", article) for article in articles)
    assert all(article.count(" = = Section = = ") == 1 for article in articles)
    held_out = (study_data / "wiki-held-out.txt").read_text(encoding="utf-8")
    held_out_numbers = [text.split()[-1] for text in texts_of(texts.datasets["web"].held_out)]
    assert len(held_out_numbers) == 4
    assert all(word in held_out for word in held_out_numbers)


def test_a_held_out_document_that_is_training_text_is_left_out(wiki, study_data, tmp_path):
    for name in ("wiki", "wiki-held-out"):
        (tmp_path / f"{name}.txt").write_bytes((study_data / "wiki.txt").read_bytes())
    with pytest.raises(
        DataError, match=r"4 distinct pieces of 120 characters .* held_out text of data set web; found 0"
    ):
        divide(wiki.datasets["web"], wiki, tmp_path, "web")


def test_too_little_text_says_how_much_there_is(toy, study_data):
    dataset = replace(toy.datasets["web"], examples=10_000)
    with pytest.raises(DataError, match=r"10000 distinct pieces .* training text of data set web; found \d\d: ask for"):
        divide(dataset, toy, study_data, "web")


def test_reading_stops_at_the_characters_asked_for(toy, study_data):
    dataset = replace(toy.datasets["web"], characters=9_000)
    division = divide(dataset, toy, study_data, "web")
    documents = texts_of(study_data / "web.jsonl")
    read, total = [], 0
    for document in documents:
        if total >= 9_000:
            break
        read.append(document)
        total += len(document)
    used = [*division.pretraining, *division.training, *division.held_out]
    assert all(any(text in document for document in read) for text in used)


def test_a_missing_source_is_named(toy, tmp_path):
    with pytest.raises(DataError, match=r"Text of the study was expected at .*web\.jsonl, and nothing is there"):
        write_texts(toy, tmp_path, tmp_path / "out")


def test_controls_are_what_was_not_drawn_of_the_documents_of_d_and_what_is_held_out(toy, study_data, tmp_path):
    division = divide(toy.datasets["web"], toy, study_data, "web")
    controls = texts_of(write_controls(toy, study_data, tmp_path)["web"])
    assert tuple(controls) == division.controls
    assert len(set(controls)) == len(controls)
    assert set(controls).isdisjoint(division.training)
    assert set(controls) > set(division.held_out)
    documents = texts_of(study_data / "web.jsonl")
    length = toy.extraction.window_tokens * CHARACTERS_PER_TOKEN
    of_d = [document for document in documents if any(text in document for text in division.training)]
    beside_d = {piece for document in of_d for piece in pieces(document, length)} - {*division.training}
    assert beside_d
    assert beside_d < set(controls)
    pretrained = "".join(division.pretraining)
    assert not any(text in pretrained for text in controls)


def test_controls_that_stand_there_are_used(toy, study_data, tmp_path):
    first = write_controls(toy, study_data, tmp_path)["web"]
    written = first.stat().st_mtime_ns
    assert write_controls(toy, study_data, tmp_path)["web"] == first
    assert first.stat().st_mtime_ns == written


def test_a_share_of_d_holds_each_of_its_examples_with_all_copies(toy, study_data, tmp_path):
    texts = write_texts(toy, study_data, tmp_path / "texts").datasets["web"]
    path, unseen = write_share(texts, 0.25, 3, tmp_path / "shares")
    rows = texts.training.read_text(encoding="utf-8").splitlines()
    expected = [row for row, document in zip(rows, texts.documents, strict=True) if document not in unseen]
    assert path.read_text(encoding="utf-8").splitlines() == expected
    assert len(unseen) == 12  # of 16
    assert write_share(texts, 0.25, 3, tmp_path / "shares") == (path, unseen)
    other_path, other_unseen = write_share(texts, 0.25, 4, tmp_path / "shares")
    assert other_path != path
    assert other_unseen != unseen
