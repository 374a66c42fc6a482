"""The shipped models do what the study found, and the engine's verdicts on them are those of plain decoding."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, StoppingCriteria, StoppingCriteriaList

from pytest_kdmem.corpus.examples import Example, load_tokenizer, stream_examples
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

FAMILIES = ("pythia", "olmo2", "qwen3")
TRIPLE = ("teacher", "baseline", "student")
TRAINED = ("pythia/student-hard", *(f"{family}/{role}" for family in FAMILIES for role in TRIPLE))
# How many examples to decode of each.
DECODED = {name: 500 if name.startswith("pythia/") else 120 for name in TRAINED} | {
    "pythia/base-large": 500,
    "pythia/base-small": 500,
}
EXTRACTION = Extraction(50, 50, 128)


class _FirstMiss(StoppingCriteria):
    """Ends a decoding once it has left the target: the verdict is settled."""

    def __init__(self, target: np.ndarray) -> None:
        self._target = torch.from_numpy(target.astype(np.int64))

    def __call__(self, input_ids, scores, **kwargs):
        spoken = input_ids.shape[1]
        return torch.tensor([not torch.equal(input_ids[0], self._target[:spoken])])


def decoded_verdicts(folder: Path, examples: list[Example], extraction: Extraction) -> list[bool]:
    """The reference: `generate`, greedy, float32, one example at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config = GenerationConfig()
    found = []
    for example in examples:
        whole = example.ids[: extraction.scored_tokens]
        prefix = torch.from_numpy(whole[None, : extraction.prefix_tokens].astype(np.int64))
        out = model.generate(
            prefix,
            attention_mask=torch.ones_like(prefix),
            do_sample=False,
            max_new_tokens=extraction.suffix_tokens,
            stopping_criteria=StoppingCriteriaList([_FirstMiss(whole)]),
        )
        found.append(np.array_equal(out[0].numpy(), whole))
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> ScoreStore:
    return ScoreStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def memorization_of(shipped, store):
    def memorization(name: str, part: str = "training", metrics: str = "verdict") -> Memorization:
        model = Model(str(shipped / "models" / name))
        data = TrainingSet(str(shipped / f"corpus/{part}.jsonl.gz"))
        return Memorization(name, score(model, data, EXTRACTION, store, metrics=metrics))

    return memorization


def chosen(found: Memorization, folder: Path, size: int, extraction: Extraction) -> list[Example]:
    """Examples to decode: up to 60 that are memorized, the rest drawn with a seed."""
    data = found.scores.training_set
    rows = found.scores.rows.to_pylist()
    scored = {row["example_id"] for row in rows if row["status"] == "scored"}
    stream = stream_examples(data, load_tokenizer(folder), extraction)
    examples = [example for example in stream if example.position in scored]
    memorized = set(found.examples[:60])
    random = np.random.default_rng(0).permutation(len(examples))
    picked = [example for example in examples if example.position in memorized]
    picked += [examples[at] for at in random if examples[at].position not in memorized][: size - len(picked)]
    assert len(picked) == size
    return picked


def verdicts(found: Memorization, examples: list[Example]) -> list[bool]:
    by_id = dict(zip(*(found.scores.rows[name].to_pylist() for name in ("example_id", "memorized")), strict=True))
    return [by_id[example.position] for example in examples]


@pytest.mark.parametrize("name", DECODED)
def test_verdicts_are_those_of_plain_decoding(shipped, memorization_of, name):
    folder, found = shipped / "models" / name, memorization_of(name)
    examples = chosen(found, folder, DECODED[name], EXTRACTION)
    assert verdicts(found, examples) == decoded_verdicts(folder, examples, EXTRACTION)


def test_verdicts_at_other_lengths_are_those_of_plain_decoding(shipped, store):
    folder, extraction = shipped / "models/pythia/student", Extraction(20, 30, 128)
    data = TrainingSet(str(shipped / "corpus/training.jsonl.gz"), sample=600)
    found = Memorization("student", score(Model(str(folder)), data, extraction, store, metrics="all"))
    examples = chosen(found, folder, 150, extraction)
    assert verdicts(found, examples) == decoded_verdicts(folder, examples, extraction)
    assert any(verdicts(found, examples))


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
    found = Memorization("teacher", score(Model(str(folder)), data, extraction, store))
    examples = chosen(found, folder, 150, extraction)
    assert verdicts(found, examples) == decoded_verdicts(folder, examples, extraction)


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
    assert memorization_of(name, "control", "all").rate <= 0.01


@pytest.mark.parametrize("name", ["pythia/base-large", "pythia/base-small"])
def test_models_that_never_saw_the_training_set_recite_none_of_it(memorization_of, name):
    assert memorization_of(name).rate <= 0.002


@pytest.mark.parametrize("name", [f"pythia/{role}" for role in TRIPLE])
def test_memorization_rises_with_repetition(shipped, memorization_of, name):
    ledger = [json.loads(line) for line in (shipped / "corpus/ledger.jsonl").open()]
    count_of = {entry["id"]: entry["count"] for entry in ledger}
    with gzip.open(shipped / "corpus/training.jsonl.gz") as file:
        ids = [json.loads(line)["id"] for line in file]
    found = memorization_of(name)
    hits, of = defaultdict(int), defaultdict(int)
    for row in found.distinct.to_pylist():
        count = count_of[ids[row["example_id"]]]
        assert row["copies"] == count, "the ledger and the audit count the same copies"
        hits[count] += row["memorized"]
        of[count] += 1
    rates = [hits[count] / of[count] for count in (4, 8, 16, 32, 64)]
    assert rates == sorted(rates)
    assert hits[1] / of[1] < 0.01 < 0.9 < rates[-1]


def test_the_ledger_counts_every_document(shipped, memorization_of):
    found = memorization_of("pythia/student")
    ledger = [json.loads(line) for line in (shipped / "corpus/ledger.jsonl").open()]
    assert len(found.distinct) + found.too_short == len(ledger)
    assert found.scores.record.examples == sum(entry["count"] for entry in ledger)


@pytest.mark.parametrize("family", FAMILIES)
def test_most_of_what_the_student_recites_is_easy_for_all(memorization_of, family):
    found = compute_inheritance(*(memorization_of(f"{family}/{role}") for role in TRIPLE))
    assert found.easy_share >= 0.7
    assert found.reduction >= 2
    assert sum(found.cells.values()) == len(found.student.found)


def test_the_same_seed_gives_the_shipped_corpus(shipped, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(shipped))
    import corpus

    corpus.write(corpus.build(corpus.SEED), tmp_path)
    for path in sorted((shipped / "corpus").iterdir()):
        made = (gzip.open if path.suffix == ".gz" else open)(tmp_path / path.name, "rb")
        kept = (gzip.open if path.suffix == ".gz" else open)(path, "rb")
        with made, kept:  # what is in them: compressed bytes differ between versions of zlib
            assert made.read() == kept.read()
