"""Which suffixes of one set stand in another is what a search of all text finds, whatever form the other has."""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import Tokenizer, load_tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring import held_suffixes as module
from pytest_kdmem.scoring.held_suffixes import held_suffixes
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.metrics.score_tables import memorization_from, row

LENGTHS = Extraction(50, 50, 100)
TEMPLATE = "{% for message in messages %}[{{ message.role }}] {{ message.content }}{{ eos_token }}\n{% endfor %}"


@pytest.fixture(scope="module")
def rows(shipped: Path) -> list[str]:
    """Some hundred texts of the shipped training corpus, each once."""
    lines = gzip.decompress((shipped / "corpus/training.jsonl.gz").read_bytes()).decode().splitlines()
    return list(dict.fromkeys(json.loads(line)["text"] for line in lines))[:600]


@pytest.fixture(scope="module")
def tokenizer(shipped: Path) -> Tokenizer:
    loaded = load_tokenizer(shipped / "models/pythia/student")
    assert loaded is not None
    return loaded


def write(path: Path, texts: list[str]) -> TrainingSet:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return TrainingSet(str(path), add_special_tokens=False)


@pytest.fixture
def scored(shipped: Path, tmp_path: Path, tokenizer: Tokenizer) -> Callable[[list[str]], ScoreTable]:
    """Makes the table of a set, in which all examples that are long enough are scored."""

    def make(texts: list[str]) -> ScoreTable:
        teacher_set = write(tmp_path / "teacher.jsonl", texts)
        model = Model(str(shipped / "models/pythia/student"))
        examples = list(stream_examples(teacher_set, tokenizer, LENGTHS))
        table = memorization_from([row(example.digest) for example in examples if example.is_scored(LENGTHS)]).scores
        checkpoint = open_checkpoint(model)
        return replace(table, model=model, checkpoint=checkpoint, training_set=teacher_set, extraction=LENGTHS)

    return make


def plain(text: str) -> str:
    """The letters and digits of a text, one at a time: not by the code that is tested."""
    text = text.replace("<|endoftext|>", "").replace("<|padding|>", "")
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if re.match(r"\w", c) and c != "_")


def examples_of(table: ScoreTable, tokenizer: Tokenizer) -> list[Example]:
    wanted = set(table.rows["digest"].to_pylist())
    return [each for each in stream_examples(table.training_set, tokenizer, LENGTHS) if each.digest in wanted]


def slow_reference(table: ScoreTable, tokenizer: Tokenizer, texts: list[str]) -> set[str]:
    """Digests of the examples whose suffix stands in the texts, joined, by Python's search of a string."""
    joined = "".join(map(plain, texts))
    return {
        each.digest for each in examples_of(table, tokenizer) if plain(tokenizer.decode(each.ids[50:100])) in joined
    }


def test_half_of_a_corpus_holds_what_a_slow_search_finds(
    scored: Callable[[list[str]], ScoreTable], rows: list[str], tokenizer: Tokenizer, tmp_path: Path
) -> None:
    students, only_teachers = rows[::2], rows[1::2]
    copied = [text for text in students if len(text) > 500][:5]
    # A row that stands in the training set with other words before and behind it, and in other writing.
    embedded = [f"Found in a drawer: {text.upper()} That is all." for text in only_teachers[10:20]]
    table = scored([*only_teachers, *copied, *only_teachers[:7]])
    training_set = write(tmp_path / "train.jsonl", [*students, *embedded])
    expected = slow_reference(table, tokenizer, [*students, *embedded])
    assert 10 <= len(expected) < len(table.rows) - 200
    held = held_suffixes(table, training_set, ScoreStore(tmp_path / "store"))
    assert held == expected
    # The sample of an audit does not narrow what is looked at, and the order is no matter.
    assert held_suffixes(table, replace(training_set, sample=3, seed=5), ScoreStore(tmp_path / "a")) == expected
    other = write(tmp_path / "other.jsonl", [*embedded, *students][::-1])
    assert held_suffixes(table, other, ScoreStore(tmp_path / "b")) >= expected


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet", "txt", "blocks", "ids", "chat", "completions", "system"])
def test_no_form_of_the_same_rows_hides_them(
    scored: Callable[[list[str]], ScoreTable], rows: list[str], tokenizer: Tokenizer, tmp_path: Path, form: str
) -> None:
    texts = [text.replace("\n", " ") for text in rows if len(text) > 500][:40]
    table = scored(texts)
    path = tmp_path / f"train.{form if form in ('jsonl.gz', 'parquet', 'txt') else 'jsonl'}"
    declared: dict[str, object] = {"add_special_tokens": False}
    lines = [{"text": text} for text in texts]
    if form in ("chat", "system"):
        (tmp_path / "template.jinja").write_text(TEMPLATE)
        declared = {"chat_template": str(tmp_path / "template.jinja")}
        short = {"role": "user" if form == "chat" else "assistant", "content": "Yes, of course."}
        long = [{"role": "assistant" if form == "chat" else "system", "content": text} for text in texts]
        lines = [{"messages": [short, each] if form == "chat" else [each, short]} for each in long]
    if form == "completions":
        lines = [{"prompt": text[: len(text) // 2], "completion": text[len(text) // 2 :]} for text in texts]
    if form == "blocks":
        declared |= {"form": "blocks"}
    if form == "ids":
        # Cut off otherwise, so that the text begins with other tokens than the example.
        lines = [{"input_ids": ids} for ids in tokenizer.encode([text[3:] for text in texts], add_special_tokens=False)]
        declared = {}
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(lines), path)
    elif form == "txt":
        path.write_text("\n".join(texts))
    else:
        path.write_bytes(gzip.compress(content) if form == "jsonl.gz" else content)
    training_set = TrainingSet(str(path), **declared)  # type: ignore[arg-type]
    held = held_suffixes(table, training_set, ScoreStore(tmp_path / "store"))
    assert held == set(table.rows["digest"].to_pylist())


def test_the_outcome_is_stored_by_the_content_of_both_sets(
    scored: Callable[[list[str]], ScoreTable], rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for text in rows if len(text) > 500][:10]
    table, store = scored(texts), ScoreStore(tmp_path / "store")
    training_set = write(tmp_path / "train.jsonl", texts[:4])
    held = held_suffixes(table, training_set, store)
    assert len(held) == 4
    [entry] = (tmp_path / "store/overlaps").glob("*.json")
    assert not any(text[:40] in entry.read_text() for text in texts)
    monkeypatch.setattr(module, "read_documents", None)
    assert held_suffixes(table, training_set, ScoreStore(tmp_path / "store")) == held
    monkeypatch.undo()
    assert len(held_suffixes(table, write(tmp_path / "train.jsonl", texts[:5]), store)) == 5


def test_a_suffix_of_next_to_no_letters_counts_as_held(
    scored: Callable[[list[str]], ScoreTable], rows: list[str], tmp_path: Path
) -> None:
    table = scored(["- . " * 200, next(text for text in rows if len(text) > 500)])
    assert len(table.rows) == 2
    held = held_suffixes(table, write(tmp_path / "train.jsonl", ["Other words."]), ScoreStore(tmp_path / "store"))
    assert held == {table.rows["digest"][0].as_py()}


def test_a_set_that_is_changed_is_refused(
    scored: Callable[[list[str]], ScoreTable], rows: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [text for text in rows if len(text) > 500][:4]
    table, store = scored(texts), ScoreStore(tmp_path / "store")
    training_set = write(tmp_path / "train.jsonl", texts[:2])
    fingerprints = iter(["before", "after"])
    monkeypatch.setattr(module, "training_fingerprint", lambda _: next(fingerprints))
    with pytest.raises(DataError, match="was expected to stay as it is while suffixes are looked for"):
        held_suffixes(table, training_set, store)
    monkeypatch.undo()
    write(tmp_path / "teacher.jsonl", texts[1:])
    with pytest.raises(DataError, match="1 of 4 are no longer there"):
        held_suffixes(table, training_set, store)


def test_without_a_tokenizer_token_ids_are_compared(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    folder = make_model(seed=3)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    rows = np.random.default_rng(0).integers(1, 250, (20, 100)).astype(np.int32)
    np.save(tmp_path / "teacher.npy", rows)
    np.save(tmp_path / "train.npy", np.concatenate([rows[:6, 40:], rows[6:12, :60]], axis=0))
    teacher_set, model = TrainingSet(str(tmp_path / "teacher.npy")), Model(str(folder))
    digests = [example.digest for example in stream_examples(teacher_set, None, LENGTHS)]
    table = replace(
        memorization_from([row(digest) for digest in digests]).scores,
        **{"model": model, "checkpoint": open_checkpoint(model), "training_set": teacher_set, "extraction": LENGTHS},
    )
    held = held_suffixes(table, TrainingSet(str(tmp_path / "train.npy")), ScoreStore(tmp_path / "store"))
    assert held == set(digests[:6])
