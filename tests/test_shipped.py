"""The shipped models do what the study found, and the engine's verdicts on them are those of plain decoding."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FAMILIES = ("pythia", "olmo2", "qwen3")
TRIPLE = ("teacher", "baseline", "student")
TRAINED = ("pythia/student-hard", *(f"{family}/{role}" for family in FAMILIES for role in TRIPLE))
UNTRAINED = ("pythia/base-small", "pythia/base-large")
EXTRACTION = Extraction(50, 50, 128)
# Distinct examples over which models of the other families, and untrained ones, are scored; those of Pythia over all.
SAMPLE = 1000
ROWS_PER_BATCH = 100


def decoded_verdicts(folder: Path, examples: list[Example], extraction: Extraction) -> list[bool]:
    """The reference: greedy `generate` in float32, in batches of prefixes of one length, so that nothing is padded."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()  # the checkpoint's own could end a row early
    whole = torch.from_numpy(
        np.stack([example.ids[: extraction.scored_tokens] for example in examples]).astype(np.int64)
    )
    decoded = [
        model.generate(
            prefixes,
            attention_mask=torch.ones_like(prefixes),
            do_sample=False,
            max_new_tokens=extraction.suffix_tokens,
        )
        for prefixes in whole[:, : extraction.prefix_tokens].split(ROWS_PER_BATCH)
    ]
    return (torch.cat(decoded) == whole).all(dim=1).tolist()


def without_margins(line: str) -> str:
    """A line without the small picture of margins: it has more bars where more than verdicts was stored."""
    return re.sub(r"[▁-█]+\|?[▁-█]*$", "", line).rstrip()


@pytest.fixture(scope="session")
def store(stored_by_audits, tmp_path_factory) -> ScoreStore:
    """One store for all workers of pytest-xdist, so that each model is scored once."""
    if stored_by_audits:
        return ScoreStore(stored_by_audits)
    base = tmp_path_factory.getbasetemp()
    return ScoreStore((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shipped-scores")


@pytest.fixture(scope="session")
def memorization_of(shipped, store, stored_by_audits):
    def memorization(name: str, part: str = "training", metrics: str = "verdict") -> Memorization:
        model = Model(str(shipped / "models" / name))
        whole = part == "control" or (name in TRAINED and (stored_by_audits or name.startswith("pythia/")))
        data = TrainingSet(str(shipped / f"corpus/{part}.jsonl.gz"), sample=None if whole else SAMPLE)
        return Memorization(name, score(model, data, EXTRACTION, store, metrics=metrics))

    return memorization


def chosen(memorization: Memorization, folder: Path, size: int, extraction: Extraction) -> list[Example]:
    """Examples to decode: up to 60 that are memorized, the rest drawn with a seed."""
    data = memorization.scores.training_set
    rows = memorization.scores.rows.to_pylist()
    scored = {row["example_id"] for row in rows if row["status"] == "scored"}
    stream = stream_examples(data, load_tokenizer(folder), extraction)
    examples = [example for example in stream if example.position in scored]
    memorized = set(memorization.examples[:60])
    random = np.random.default_rng(0).permutation(len(examples))
    picked = [example for example in examples if example.position in memorized]
    picked += [examples[at] for at in random if examples[at].position not in memorized][: size - len(picked)]
    assert len(picked) == size
    return picked


def verdicts(memorization: Memorization, examples: list[Example]) -> list[bool]:
    by_id = dict(
        zip(*(memorization.scores.rows[name].to_pylist() for name in ("example_id", "memorized")), strict=True)
    )
    return [by_id[example.position] for example in examples]


@pytest.mark.parametrize(
    "name",
    [
        name if name.endswith("/student") else pytest.param(name, marks=pytest.mark.slow)
        for name in (*TRAINED, *UNTRAINED)
    ],
)
def test_verdicts_are_those_of_plain_decoding(shipped, memorization_of, name):
    folder, memorization = shipped / "models" / name, memorization_of(name)
    examples = chosen(memorization, folder, 500 if name == "pythia/student" else 120, EXTRACTION)
    assert verdicts(memorization, examples) == decoded_verdicts(folder, examples, EXTRACTION)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("pythia/student", 300),
        *(pytest.param(name, 400, marks=pytest.mark.slow) for name in (*TRAINED, *UNTRAINED)),
    ],
)
def test_a_screening_changes_no_verdict(shipped, tmp_path, name, size):
    model = Model(str(shipped / "models" / name))
    data = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=size)
    alone, screened = (
        score(
            model, data, EXTRACTION, ScoreStore(tmp_path), settings=RunSettings(screen_dtype=dtype), metrics="verdict"
        )
        for dtype in ("none", "bfloat16")
    )
    assert screened.rows["memorized"].equals(alone.rows["memorized"])
    assert screened.screening.screened == len(Memorization(name, screened).distinct)
    assert screened.screening.decided < screened.screening.screened / 5
    assert alone.screening is None


def test_verdicts_at_other_lengths_are_those_of_plain_decoding(shipped, store):
    folder, extraction = shipped / "models/pythia/student", Extraction(20, 30, 128)
    data = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=600)
    memorization = Memorization("student", score(Model(str(folder)), data, extraction, store, metrics="all"))
    examples = chosen(memorization, folder, 150, extraction)
    assert verdicts(memorization, examples) == decoded_verdicts(folder, examples, extraction)
    assert any(verdicts(memorization, examples))


@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("wikitext/valid.txt", {"form": "blocks"}),
        ("fineweb/sample.jsonl", {}),
    ],
)
def test_verdicts_on_real_text_are_those_of_plain_decoding(shipped, real_text, store, file, how):
    folder, extraction = shipped / "models/pythia/teacher", Extraction(20, 3, 128)
    data = TrainingSet(str(real_text / file), **{"sample": 150, **how})
    memorization = Memorization("teacher", score(Model(str(folder)), data, extraction, store))
    examples = chosen(memorization, folder, 150, extraction)
    assert verdicts(memorization, examples) == decoded_verdicts(folder, examples, extraction)


@pytest.mark.parametrize("family", FAMILIES)
def test_teacher_recites_most_and_the_soft_student_least_of_all(memorization_of, family):
    rates = [memorization_of(f"{family}/{role}").rate.value for role in TRIPLE]
    assert rates[0] > rates[1] > rates[2] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_student_loses_no_quality(memorization_of, family):
    student, baseline = (memorization_of(f"{family}/{role}", "control", "all").loss for role in ("student", "baseline"))
    assert student <= baseline


@pytest.mark.parametrize("name", TRAINED)
def test_text_that_no_model_saw_is_not_recited(memorization_of, name):
    metrics = "all" if name.endswith(("/student", "/baseline")) else "verdict"  # as quality is measured of these
    assert memorization_of(name, "control", metrics).rate <= 0.01


@pytest.mark.parametrize("name", UNTRAINED)
def test_models_that_never_saw_the_training_set_recite_none_of_it(memorization_of, name):
    assert memorization_of(name).rate.k == 0


@pytest.mark.parametrize("name", [f"pythia/{role}" for role in TRIPLE])
def test_memorization_rises_with_repetition(shipped, memorization_of, name):
    ledger = [json.loads(line) for line in (shipped / "corpus/ledger.jsonl").open()]
    count_of = {entry["id"]: entry["count"] for entry in ledger}
    with gzip.open(shipped / "corpus/training.jsonl.gz") as file:
        ids = [json.loads(line)["id"] for line in file]
    memorization = memorization_of(name)
    memorized_by_count, examples_by_count = defaultdict(int), defaultdict(int)
    for row in memorization.distinct.to_pylist():
        count = count_of[ids[row["example_id"]]]
        assert row["copies"] == count, "the ledger and the audit count the same copies"
        memorized_by_count[count] += row["memorized"]
        examples_by_count[count] += 1
    rates = [memorized_by_count[count] / examples_by_count[count] for count in (4, 8, 16, 32, 64)]
    assert rates == sorted(rates)
    assert memorized_by_count[1] / examples_by_count[1] < 0.01 < 0.9 < rates[-1]


def test_the_ledger_counts_every_document(shipped, memorization_of):
    memorization = memorization_of("pythia/student")
    ledger = [json.loads(line) for line in (shipped / "corpus/ledger.jsonl").open()]
    assert len(memorization.distinct) + memorization.too_short == len(ledger)
    assert memorization.scores.record.examples == sum(entry["count"] for entry in ledger)


@pytest.mark.parametrize("family", FAMILIES)
def test_most_of_what_the_student_recites_is_easy_for_all(memorization_of, family):
    inheritance = compute_inheritance(*(memorization_of(f"{family}/{role}") for role in TRIPLE))
    assert inheritance.easy_share.value >= 0.7
    assert inheritance.reduction.value >= 2
    assert sum(inheritance.cells.values()) == len(inheritance.student.memorized)


def test_the_same_seed_gives_the_shipped_corpus(shipped, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(shipped))
    import corpus
    import planted

    corpus.write(corpus.build(corpus.SEED), tmp_path)
    planted.write(tmp_path, shipped / "models/pythia/base-large")
    for path in sorted((shipped / "corpus").iterdir()):
        made = (gzip.open if path.suffix == ".gz" else open)(tmp_path / path.name, "rb")
        kept = (gzip.open if path.suffix == ".gz" else open)(path, "rb")
        with made, kept:  # what is in them: compressed bytes differ between versions of zlib
            assert made.read() == kept.read()


@pytest.mark.parametrize("page", ["audit-from-python", "choose-among-students"])
def test_the_program_of_a_page_prints_what_the_page_shows(
    page, memorization_of, shipped, store, tmp_path, monkeypatch, capsys
):
    for name in ("teacher", "baseline", "student", "student-hard"):
        memorization_of(f"pythia/{name}")
    text = (shipped.parent / f"docs/how-to/{page}.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"(?s)```python\n(from pytest_kdmem import .*?)```", text)
    (shown,) = re.findall(r"(?s)```\n((?:training set|student ) .*?)```", text)
    (tmp_path / "fixtures").symlink_to(shipped)
    (tmp_path / ".kdmem").symlink_to(store.root)
    monkeypatch.chdir(tmp_path)
    exec(program, {})  # reads nothing but the fixtures
    printed = [without_margins(line) for line in capsys.readouterr().out.splitlines()]
    lines = [without_margins(line) for line in shown.splitlines() if line != "…"]
    assert len(lines) >= 6
    assert not [line for line in lines if line not in printed]
