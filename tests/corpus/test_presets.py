"""Presets read what lies on the hub, and give the same examples to audits and to training, and others held out."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.corpus.presets import PRESETS, Selection
from pytest_kdmem.corpus.shards import CorpusReader
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import read_run_card

LAYOUTS = {
    "fineweb": ("sample/10BT/000.parquet", ["text", "id", "dump", "url", "language", "language_score", "token_count"]),
    "wikitext-103": ("wikitext-103-raw-v1/{split}-00000-of-00001.parquet", ["text"]),
    "nemotron-cc-v2": ("High-Quality/part_000000.parquet", ["uuid", "text", "url"]),
}
# Rows as the hub has them: a blank one is empty, the others end as lines do.
EXTRACTION = Extraction(5, 5, 64)
COMMIT = "0123456789" * 4
WIKI = ["", " = One = \n", "", " First . \n", " = = Section = = \n", "", " = Two = \n", ""]


@pytest.fixture
def hub_copy(tmp_path, monkeypatch):
    """Makes a local copy of a preset's layout on the hub, and has the preset read it."""

    def copy(name: str, changed: dict[str, object] | None = None, **splits: list[str]) -> None:
        file, columns = LAYOUTS[name]
        front = f"---\nconfigs:\n- config_name: {PRESETS[name].config}\n  data_files:\n"
        for split, rows in splits.items():
            path = tmp_path / name / file.format(split=split)
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(dict.fromkeys(columns, rows)), path)
            front += f"  - split: {split}\n    path: {path.relative_to(tmp_path / name)}\n"
        (tmp_path / name / "README.md").write_text(f"{front}---\n")
        here = replace(PRESETS[name], repository=str(tmp_path / name), **(changed or {}))
        monkeypatch.setitem(PRESETS, name, here)

    return copy


@pytest.mark.parametrize("name", ["fineweb", "nemotron-cc-v2"])
def test_web_presets_read_documents(hub_copy, name):
    hub_copy(name, train=["one\n\nand more", "two"])
    assert list(read_documents(TrainingSet(name))) == ["one\n\nand more", "two"]


def test_wikitext_reads_articles_by_its_name_alone(hub_copy):
    hub_copy("wikitext-103", train=WIKI, validation=WIKI[:3])
    articles = [" = One = \n First . \n = = Section = = ", " = Two = "]
    assert list(read_documents(TrainingSet("wikitext-103"))) == articles
    assert list(read_documents(TrainingSet("wikitext-103", split="validation"))) == [" = One = "]


def test_a_folder_of_a_presets_name_is_read_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    datasets.Dataset.from_dict({"text": WIKI}).save_to_disk("wikitext-103")
    assert list(read_documents(TrainingSet("wikitext-103"))) == WIKI


def test_a_gated_preset_without_access_says_how_to_get_it(monkeypatch):
    def refuse(*arguments, **named):
        raise ConnectionError("401 Client Error")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(DataError, match=r"nvidia/Nemotron-CC-v2 .*ask for access on its hub page.*hf auth login"):
        list(read_documents(TrainingSet("nemotron-cc-v2")))


def test_presets_name_the_studys_data_sets_and_its_number_of_examples():
    named = {name: (preset.repository, preset.config) for name, preset in PRESETS.items()}
    assert named == {
        "fineweb": ("HuggingFaceFW/fineweb", "sample-10BT"),
        "wikitext-103": ("Salesforce/wikitext", "wikitext-103-raw-v1"),
        "nemotron-cc-v2": ("nvidia/Nemotron-CC-v2", "High-Quality"),
    }
    assert (PRESETS["fineweb"].examples, PRESETS["fineweb"].minimum_tokens) == (1_000_000, 256)
    assert all(preset.licence for preset in PRESETS.values())


@pytest.fixture
def web_copy(hub_copy, sentences):
    """FineWeb with a short row before every long one: 4 of these to train on, 3 held out, and more behind them."""
    rows = [text for long in sentences[:12] for text in ("amber birch", long)]
    hub_copy("fineweb", {"examples": 4, "held_out": 3, "minimum_tokens": 30}, train=rows)


def read(data: TrainingSet, tiny) -> tuple[list[list[int]], CorpusReader]:
    """Ids of the examples of a training set, in order, and the reader that counted."""
    reader = CorpusReader(data, load_tokenizer(tiny), EXTRACTION)
    return [example.ids.tolist() for shard in reader for example in shard.examples], reader


def encoded(texts: list[str], tiny) -> list[list[int]]:
    """First window of each text, by the tokenizers library itself."""
    from tokenizers import Tokenizer

    inner = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    return [inner.encode(text, add_special_tokens=False).ids[: EXTRACTION.window_tokens] for text in texts]


@pytest.mark.parametrize(
    ("source", "expected"), [("fineweb", (slice(0, 4), 4)), ("fineweb:held-out", (slice(4, 7), 3))]
)
def test_an_audit_scores_the_part_that_it_names(web_copy, tiny, sentences, tmp_path, source, expected):
    part, left_out = expected
    scores = score(Model(str(tiny)), TrainingSet(source), EXTRACTION, ScoreStore(tmp_path / "s"))
    record = scores.record
    assert (record.examples, record.left_out, record.exhaustive) == (part.stop - part.start, left_out, True)
    assert scores.rows["example_id"].to_pylist() == list(range(record.examples))
    assert read(TrainingSet(source), tiny)[0] == encoded(sentences[part], tiny)


def test_distilling_trains_on_the_training_part_and_evaluates_on_the_held_out_one(web_copy, tiny, sentences, tmp_path):
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.distill.run import distill

    model = distill(
        Recipe(mode="baseline", epochs=1, batch_size=2, precision="float32"),
        init=Model(str(tiny)),
        training_set=TrainingSet("fineweb"),
        held_out=TrainingSet("fineweb:held-out"),
        out=tmp_path / "model",
        extraction=EXTRACTION,
    )
    card = read_run_card(tmp_path / "model")
    assert model.source == str(tmp_path / "model")
    assert card.training_set.examples == 4
    assert card.training_set.tokens == sum(len(ids) for ids in encoded(sentences[:4], tiny))
    assert len(card.held_out) == 1


def test_a_held_out_split_is_read_whole_and_filtered_alike(hub_copy, tiny, sentences):
    def articles(bodies: list[str]) -> list[str]:
        return [line for at, body in enumerate(bodies) for line in ("", f" = {at} = \n", "", f" {body} \n")]

    def whole(numbers: dict[int, str]) -> list[list[int]]:
        return encoded([f" = {at} = \n {body} " for at, body in numbers.items()], tiny)

    long = sentences[:3]
    hub_copy(
        "wikitext-103",
        {"minimum_tokens": 30},
        train=articles([long[0], "x", long[1]]),
        validation=articles(["x", long[2]]),
    )
    trained, reader = read(TrainingSet("wikitext-103"), tiny)
    assert trained == whole({0: long[0], 2: long[1]})
    assert reader.record.left_out == 1
    for name in (TrainingSet("wikitext-103:held-out"), TrainingSet("wikitext-103", split="validation")):
        held_out, reader = read(name, tiny)
        assert held_out == whole({1: long[2]})
        assert reader.record.left_out == 1


def test_another_split_of_a_preset_is_taken_whole(hub_copy, tiny, sentences):
    changed = {"examples": 2, "held_out": 1, "minimum_tokens": 30}
    hub_copy("fineweb", changed, train=sentences[:4], other=[*sentences[4:9], "amber"])
    assert read(TrainingSet("fineweb", split="other"), tiny)[0] == encoded(sentences[4:9], tiny)


def test_a_source_smaller_than_the_preset_is_an_error(hub_copy, tiny, sentences):
    hub_copy("fineweb", {"examples": 4, "held_out": 3, "minimum_tokens": 30}, train=[*sentences[:5], "amber"])
    with pytest.raises(
        DataError, match=r"3 documents of at least 30 tokens .* fineweb:held-out after the first 4; .* 1,"
    ):
        read(TrainingSet("fineweb:held-out"), tiny)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"source": "fineweb", "minimum_tokens": 100}, r"fewer than 256 tokens.*found minimum_tokens=100: drop it"),
        ({"source": "fineweb:held-out", "split": "test"}, r"has a split of its own; found split='test'"),
        ({"source": "fineweb:heldout"}, r"nothing is there; .*fineweb, .* with :held-out appended"),
    ],
)
def test_what_would_mix_the_parts_is_refused_at_once(asked, message):
    with pytest.raises((SpecError, DataError), match=message):
        check_source(TrainingSet(**asked))
    check_source(TrainingSet("fineweb:held-out", minimum_tokens=256))


def test_a_folder_of_a_presets_name_hides_its_held_out_part_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fineweb").mkdir()
    with pytest.raises(DataError, match="nothing is there"):
        check_source(TrainingSet("fineweb:held-out"))


def test_parts_are_corpora_of_their_own_and_unlike_the_unfiltered_ones_of_before():
    sources = ["fineweb", "fineweb:held-out", "wikitext-103", "wikitext-103:held-out", "nemotron-cc-v2"]
    prints = {source: fingerprint(TrainingSet(source, revision=COMMIT)) for source in sources}
    # Written down when a preset was all of its source: what a store holds of that must not be taken for a part.
    before = {
        "366fdd6215832fd07b942715457e6c37",
        "78e11013d11bffebe84e00758b991f5f",
        "bcf3b7acbadd7305563acb171d2c864e",
    }
    assert len({*prints.values(), *before}) == len(sources) + len(before)


def test_progress_knows_how_many_are_taken():
    assert expected_examples(TrainingSet("fineweb")) == 1_000_000
    assert expected_examples(TrainingSet("fineweb:held-out")) == 10_000
    assert expected_examples(TrainingSet("wikitext-103")) is None


def test_examples_held_out_after_training_need_its_number():
    with pytest.raises(SpecError, match="number of training examples of fineweb"):
        replace(PRESETS["fineweb"], examples=None)


lengths = st.lists(st.integers(0, 9), max_size=40)


@given(lengths, st.integers(0, 9))
def test_every_document_is_taken_or_counted(sizes, least):
    selection = Selection("data", least)
    rows = [[0] * size for size in sizes]
    wanted = [row for row in rows if len(row) >= least]
    if rows and not wanted:
        with pytest.raises(DataError, match=f"at least {least} tokens were expected in data, and all {len(rows)} are"):
            list(selection.select(rows))
    else:
        assert list(selection.select(rows)) == wanted
    assert selection.taken + selection.left_out == len(rows)


@given(lengths, st.integers(1, 9), st.integers(0, 5), st.integers(1, 5))
def test_parts_that_follow_each_other_are_the_whole_and_count_each_document_once(sizes, least, first, second):
    rows = [[at] * size for at, size in enumerate(sizes)]
    wanted = [row for row in rows if len(row) >= least]
    if len(wanted) < first + second:
        return
    parts = [Selection("data", least, take=first), Selection("data", least, skip=first, take=second)]
    taken = [row for part in parts for row in part.select(iter(rows))]
    assert taken == wanted[: first + second]
    read = rows.index(taken[-1]) + 1
    assert sum(part.taken + part.left_out for part in parts) == read


def test_too_few_documents_are_an_error_that_counts_the_short_ones():
    with pytest.raises(
        DataError, match=r"5 documents of at least 3 tokens .* in data after the first 1; found 1, and 2"
    ):
        list(Selection("data", 3, skip=1, take=5).select([[0] * 3, [0], [0] * 4, [0]]))


def test_no_more_is_read_than_is_taken():
    rows = count()
    assert len(list(Selection("data", skip=2, take=4).select([next(rows)] for _ in rows))) == 4
    assert next(rows) == 12  # six rows were read, by two numbers each
