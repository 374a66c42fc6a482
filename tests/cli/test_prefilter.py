"""`kdmem prefilter`: what stays of a training set, and that nothing is left behind if it fails."""

from __future__ import annotations

import json
import re
import resource
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pytest_kdmem.cli.prefilter import parse_percentage
from pytest_kdmem.errors import SpecError


def test_a_cleaned_set_holds_the_other_lines_byte_for_byte(predict, training_lines):
    done = predict("prefilter", "--out=cleaned")
    assert done.code == 0
    folder = Path("cleaned")
    assert sorted(path.name for path in folder.iterdir()) == [
        "dropped.parquet",
        "manifest.json",
        "predictor.json",
        "train.jsonl",
    ]
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    dropped_ids = {row["example_id"] for row in dropped}
    assert dropped_ids >= {*range(25), *range(100, 110)}
    documents = [line for line in training_lines if line]
    kept = [line for line in training_lines if not line or documents.index(line) not in dropped_ids]
    assert (folder / "train.jsonl").read_text() == "\n".join(kept) + "\n"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sum(manifest["dropped"].values()) == len(dropped)
    assert manifest["dropped"]["exact duplicate"] == 10
    assert manifest["written"]["rows"] == 110 - len(dropped)
    assert f"left out {len(dropped)} of 110 rows" in done.out
    for path in folder.iterdir():
        assert path.name == "train.jsonl" or b"zq0" not in path.read_bytes()
    assert not list(Path().glob(".cleaned*"))


def test_what_stays_with_its_copies_and_what_was_not_looked_at_is_printed(predict, training_lines):
    documents = [json.loads(line)["text"] for line in training_lines if line]
    # Backwards, so that neither is a near-duplicate of what is at risk.
    short, other = (" ".join(documents[index].split()[8::-1]) for index in (40, 41))
    texts = [*documents, *[documents[30]] * 3, documents[31], *[short] * 4, other]
    Path("more.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = predict("prefilter", "--out=cleaned", data="more.jsonl")
    assert done.code == 0
    assert ", 3 copies of what is too short; a risk of " in done.out
    assert (
        "not looked at: 2 examples that are too short (5 rows, one stands 4 times); 2 of these rows stay\n" in done.out
    )
    assert "2 of the examples that stay still stand there several times (up to 4): only copies of " in done.out
    kept = [json.loads(line)["text"] for line in Path("cleaned/more.jsonl").read_text().splitlines()]
    assert (kept.count(short), kept.count(documents[30]), kept.count(documents[31])) == (1, 4, 2)
    done = predict("risk", data="more.jsonl")
    assert "not looked at: 2 examples that are too short (5 rows, one stands 4 times)\n" in done.out


def test_the_saved_predictor_finds_no_risk_in_the_cleaned_set(predict):
    predict("prefilter", "--out=cleaned", "--recall=99%")
    done = predict("risk", data="cleaned/train.jsonl")
    assert done.code == 2
    assert "At least 10 memorized examples are needed" in done.err
    done = predict("risk", "--predictor=cleaned/predictor.json", data="cleaned/train.jsonl")
    assert done.code == 0
    assert "predicted risk: 0.00%" in done.out


def test_no_more_rows_than_allowed_are_left_out_and_what_stays_at_risk_is_counted(predict):
    done = predict("prefilter", "--out=cleaned", "--at-most=5%")
    assert done.code == 0
    assert 0 < len(pq.read_table("cleaned/dropped.parquet")) <= 5
    assert " examples at risk (a risk of " in done.out
    assert re.search(r"(?m)^writing \d+ of \d+ documents of \S+ to cleaned$", done.out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold=0.5", "--recall=90%"], "One of --threshold, --recall and --at-most was expected; found"),
        (["--at-most=0"], "--at-most must be a percentage above 0%"),
        (["--form=blocks"], "blocks hold parts of several"),
        (["--predictor=nowhere.json"], "there is no such file"),
        (["--labels-from=nowhere.parquet"], "there is no such file"),
        (["--features=few"], "--features must be one of study, all"),
    ],
    ids=["two", "share", "blocks", "predictor", "labels", "features"],
)
def test_options_that_do_not_fit_are_one_sentence_and_nothing_is_written(predict, arguments, message):
    done = predict("prefilter", "--out=cleaned", "--cache-dir=unused", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not list(Path().glob("*cleaned*"))
    assert not Path("unused").exists()


def test_a_folder_that_exists_is_left_alone(predict):
    Path("cleaned").mkdir()
    Path("cleaned/mine").write_text("mine")
    done = predict("prefilter", "--out=cleaned")
    assert done.code == 2
    assert "cleaned exists; choose another one, or remove it" in done.err
    assert Path("cleaned/mine").read_text() == "mine"


def test_a_copy_that_fails_leaves_nothing(predict):
    """Files of this process may not grow beyond 4 KiB, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert Path("train.jsonl").stat().st_size > 3 * 4096
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        done = predict("prefilter", "--out=cleaned")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert done.code == 2
    assert "train.jsonl was to be copied to" in done.err
    assert "File too large" in done.err
    assert not list(Path().glob("*cleaned*"))


def test_a_folder_that_cannot_be_made_is_one_sentence(predict):
    done = predict("prefilter", "--out=train.jsonl/cleaned")
    assert done.code == 2
    assert "A cleaned training set was to be written to train.jsonl/cleaned, which failed (Not a dir" in done.err


def test_a_training_set_with_the_name_of_another_output_is_refused(predict, parquet):
    parquet.rename("dropped.parquet")
    done = predict("prefilter", "--out=cleaned", data="dropped.parquet")
    assert done.code == 2
    assert "A training set of another name was expected" in done.err


def test_a_percentage_is_the_share_that_it_says():
    assert parse_percentage("--recall", None) is None
    assert parse_percentage("--recall", "95%") == 0.95
    assert parse_percentage("--at-most", "0.5%") == 0.005


@pytest.mark.parametrize("text", ["", "%", "0", "0%", "100%", "100", "-1%", "nan", "inf%", "half"])
def test_what_is_no_percentage_is_refused(text):
    with pytest.raises(SpecError, match=r"^--recall must be a percentage above 0% and below 100%, such as "):
        parse_percentage("--recall", text)


@pytest.mark.parametrize(
    ("text", "meanings"), [("0.5", "0.5% or 50%"), ("0.005", "0.005% or 0.5%"), ("1", "1%"), ("95", "95%")]
)
def test_a_bare_number_is_refused_with_what_it_could_mean(text, meanings):
    with pytest.raises(SpecError, match=rf"percentage with its sign; found '?{text}'?: write {meanings}\.$"):
        parse_percentage("--at-most", text)
