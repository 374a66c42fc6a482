"""WikiText's lines become its articles: no section and no legend of a table begins one, and no line is lost."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.sources import expected_examples, fingerprint, read_documents
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.corpus.wikitext import join_articles
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

LINES = [
    "",
    " = Homarus = ",
    "",
    " A lobster . ",
    "",
    " = = Description = = ",
    "",
    " Large . ",
    " = = = Claws = = = ",
    "",
    " = E = mc2 = ",  # a title may hold the sign
    "",
    " = = Statistics = = ",
    "",
    " Note : W ",
    " = Wins ; L = ",  # the legend of a table
    " Losses ; OT ",
    "",
    " = Zagreb = ",
    "",
]
ARTICLES = [
    " = Homarus = \n A lobster . \n = = Description = = \n Large . \n = = = Claws = = = ",
    " = E = mc2 = \n = = Statistics = = \n Note : W \n = Wins ; L = \n Losses ; OT ",
    " = Zagreb = ",
]
blank = st.sampled_from(["", " ", "\n", " \n"])
words = st.text("ab=; ", min_size=1, max_size=9).map(lambda text: f" w{text}w \n")


def test_articles_begin_at_titles_between_blank_lines_only():
    assert list(join_articles(LINES, "wiki")) == ARTICLES


def test_lines_of_the_hub_and_of_a_file_give_the_same_articles(tmp_path):
    for name, lines in {"blank": [line or " " for line in LINES], "empty": LINES}.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pq.write_table(pa.table({"text": [line and line + "\n" for line in LINES]}), tmp_path / "hub.parquet")
    for name in ("blank.txt", "empty.txt", "hub.parquet"):
        assert list(read_documents(TrainingSet(tmp_path / name, documents="articles"))) == ARTICLES


@given(st.lists(st.lists(st.one_of(words, blank), max_size=6), min_size=1, max_size=5), blank, blank)
def test_every_article_is_what_was_put_between_titles(bodies, before, after):
    lines = [line for at, body in enumerate(bodies) for line in (before, f" = Title {at} = \n", after, *body)]
    wanted = [
        [f" = Title {at} = ", *(line.rstrip("\n") for line in body if line.strip())] for at, body in enumerate(bodies)
    ]
    assert list(join_articles(lines, "wiki")) == ["\n".join(article) for article in wanted]


def test_what_stands_before_the_first_title_is_kept():
    assert list(join_articles([" end of one . ", *LINES], "wiki")) == [" end of one . ", *ARTICLES]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["", " = = Section = = ", ""],
        ["", " = = Unbalanced = ", ""],
        ["", " = Unbalanced = = ", ""],
        ["", " = Title = ", " text "],
        [" text ", " = Title = ", ""],
        [" = = = "],
        [" = = "],
    ],
)
def test_no_title_at_all_is_an_error(lines):
    with pytest.raises(DataError, match=r"heading ` = Title = ` .* expected in wiki, .*documents='lines'"):
        list(join_articles(lines, "wiki"))


def test_articles_are_not_joined_from_token_ids():
    with pytest.raises(DataError, match=r"found token ids in row 2"):
        list(join_articles(["", np.array([1, 2], np.int32)], "wiki"))


def test_articles_come_before_the_rest_is_read():
    read = []

    def lines():
        for line in LINES:
            read.append(line)
            yield line

    assert next(join_articles(lines(), "wiki")) == ARTICLES[0]
    assert len(read) == LINES.index(" = E = mc2 = ") + 2


def test_reading_as_articles_is_another_corpus_and_lines_are_the_one_they_were(tmp_path):
    path = tmp_path / "wiki.txt"
    path.write_bytes("\n".join(LINES).encode())
    # Written down before `documents` was there: stores made then must stay valid.
    assert fingerprint(TrainingSet(path)) == "55e84f99622059baada06cb04d0e4c2f"
    assert fingerprint(TrainingSet(path, documents="articles")) != fingerprint(TrainingSet(path))
    commit = "0123456789" * 4
    assert fingerprint(TrainingSet("owner/name", revision=commit)) == "10ec1ab710f586fecf0da55cf3696965"
    drawn = TrainingSet("owner/name", revision=commit, split="validation", config="x", sample=3, seed=1)
    assert fingerprint(drawn) == "8f2cd9809f1a3b23ff93a9213d5d168b"  # since copies in samples are counted


def test_progress_does_not_count_lines_as_articles(tmp_path):
    path = tmp_path / "wiki.txt"
    path.write_text("\n".join(LINES))
    assert expected_examples(TrainingSet(path, documents="articles")) is None
    assert expected_examples(TrainingSet(path)) == len(LINES) - 1


@pytest.mark.parametrize(("name", "articles"), [("train", 155), ("valid", 60)])
def test_real_articles(real_text, name, articles):
    """WikiText-2's validation text is known to have 60; of 163 lines like titles in the excerpt, 8 are in lists."""
    path = real_text / "wikitext" / f"{name}.txt"
    read = list(read_documents(TrainingSet(path, documents="articles")))
    assert len(read) == articles
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
    assert "\n".join(read).split("\n") == lines
    assert all(article.startswith(" = ") and not article.startswith(" = =") for article in read)
    titles = [article.split("\n", 1)[0] for article in read]
    assert " = Wins ; L = " in lines or name == "valid"
    assert " = Wins ; L = " not in titles


def test_real_articles_become_examples(real_text, tiny):
    data = TrainingSet(real_text / "wikitext" / "valid.txt", documents="articles")
    examples = list(stream_examples(data, load_tokenizer(tiny), Extraction()))
    assert [len(example.ids) for example in examples] == [256] * 60
