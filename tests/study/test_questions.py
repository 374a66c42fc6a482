"""What a model is asked, with a shipped model, held against the package's own metrics and plain formulas."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.study.questions import Questioner

FIXTURES = Path(__file__).parents[2] / "fixtures"
PYTHIA = FIXTURES / "models/pythia"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> tuple[Path, Path]:
    """The rows of 60 texts of the shipped training set, half of them of many copies, and 12 controls."""
    folder = tmp_path_factory.mktemp("questions")
    with gzip.open(FIXTURES / "corpus/training.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(row)["text"] for row in file]
    copies = {text: rows.count(text) for text in dict.fromkeys(rows[:400])}
    most = sorted(copies, key=copies.__getitem__)
    texts = {*most[:30], *most[-30:]}
    training, controls = folder / "training.jsonl", folder / "controls.jsonl"
    training.write_text("".join(json.dumps({"text": text}) + "\n" for text in rows if text in texts), "utf-8")
    with gzip.open(FIXTURES / "corpus/control.jsonl.gz", "rt", encoding="utf-8") as file:
        controls.write_text("".join(row for row, _ in zip(file, range(12), strict=False)), "utf-8")
    return training, controls


@pytest.fixture(scope="module")
def answered(texts, tmp_path_factory):
    """The answers of the shipped baseline, and its score table."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    store = ScoreStore(tmp_path_factory.mktemp("scores"))
    questioner = Questioner(*(TrainingSet(str(path)) for path in texts), EXTRACTION, store)
    model = Model(str(PYTHIA / "baseline"))
    answers = questioner.ask(model, Model(str(PYTHIA / "base-small")))
    yield answers, questioner._memorization(model, questioner.training_set)
    torch.set_num_threads(threads)


def test_arrays_are_over_the_distinct_examples(answered, texts):
    answers, memorization = answered
    rows = [json.loads(row)["text"] for row in texts[0].read_text("utf-8").splitlines()]
    distinct = list(dict.fromkeys(rows))
    n = len(answers.memorized)
    assert n == len(distinct) - memorization.too_short
    assert sorted(answers.copies)[-10:] == sorted(map(rows.count, distinct))[-10:]
    arrays = [answers.longest_runs, answers.specific, *answers.near.values(), *answers.extractable.values()]
    arrays += [each.recited for each in answers.at_prefix.values()] + list(answers.secrets.values())
    assert {len(array) for array in arrays} == {n}
    assert 5 < answers.memorized.sum() < n - 5


def test_answers_agree_with_each_other_and_with_the_rate(answered):
    answers, memorization = answered
    assert answers.memorized.sum() == memorization.count
    assert answers.at_prefix[50].recited.tolist() == answers.memorized.tolist()
    assert answers.at_prefix[50].measured.all()
    for length, rate in memorization.curve:
        at = answers.at_prefix[length]
        assert (at.recited.sum(), at.measured.sum()) == (rate.k, rate.n)
    assert (answers.longest_runs[answers.memorized] >= 50).all()
    for near in answers.near.values():
        assert near[answers.memorized].all()
    assert not (answers.specific & ~answers.memorized).any()
    chances = np.exp(memorization.column("logprob"))
    expected = 1 - (1 - chances) ** 100 >= 0.5
    assert answers.extractable["at temperature 1"].tolist() == expected.tolist()
    truncated = answers.extractable["at temperature 1, top-k 40, top-p 0.95"]
    assert truncated[answers.memorized & expected].all()
    assert truncated.sum() >= expected.sum()


def test_secrets_are_looked_for_in_every_suffix(answered, texts):
    """An e-mail address in a suffix, by its text; one that is cut may begin in the prefix."""
    from transformers import AutoTokenizer

    answers, memorization = answered
    tokenizer = AutoTokenizer.from_pretrained(PYTHIA / "baseline")
    rows = [json.loads(row)["text"] for row in texts[0].read_text("utf-8").splitlines()]
    suffixes = [tokenizer.decode(tokenizer(rows[at])["input_ids"][50:100]) for at in memorization.example_ids]
    whole = [bool(re.search(r"\w+@\w+\.\w+", suffix)) for suffix in suffixes]
    touched = ["@" in suffix or has for suffix, has in zip(suffixes, whole, strict=True)]
    assert any(whole)
    assert (np.array(whole) <= answers.secrets["email"]).all()
    assert answers.secrets["email"].sum() <= sum(touched) + 2


def test_membership_of_too_few_controls_is_refused_with_the_reason(answered):
    answers, _ = answered
    assert answers.membership is None
    assert "At least 100 distinct examples" in answers.refusal
