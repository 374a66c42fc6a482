"""The part that distils again on cleaned data: what is planted is found at risk, left out, and not memorized."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.scoring.table import KL_SCHEMA
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.study.config_file import read_config
from pytest_kdmem.study.findings.examples import examples_of
from pytest_kdmem.study.findings.prefilter import prefilter
from pytest_kdmem.study.findings.risk import risk
from pytest_kdmem.study.plan import plan
from pytest_kdmem.study.record import Study
from pytest_kdmem.study.report import write_report
from pytest_kdmem.study.run import run_study

# Half of D stands there 32 times, enough for all models to recite it; nobody recites the other half.
COPIES = 32
STUDY = f"""
name = "again"
window_tokens = 24
prefix_tokens = 6
suffix_tokens = 6
vocabulary = 300
family = "pythia"
seeds = [0, 1]
repetition = [[{COPIES}, 0.5]]

[sizes]
large = {{ layers = 2, width = 64, heads = 2 }}
small = {{ layers = 2, width = 48, heads = 2 }}

[datasets.web]
text = "web.jsonl"
examples = 40
held_out_examples = 4
shares = {{ pretraining = 0.2, training = 0.6, held_out = 0.1 }}

[recipes]
base-large = {{ epochs = 1, learning_rate = 1e-3, precision = "float32" }}
base-small = {{ epochs = 1, learning_rate = 1e-3, precision = "float32" }}
teacher = {{ epochs = 3, learning_rate = 5e-3, batch_size = 8, precision = "float32" }}
baseline = {{ epochs = 3, learning_rate = 5e-3, batch_size = 8, precision = "float32" }}
soft = {{ epochs = 3, learning_rate = 5e-3, batch_size = 8, precision = "float32", temperature = 1.0 }}

[parts.prefilter]
datasets = ["web"]
recall = 0.9
"""


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Operations of toy size are slower on two threads than on one, by far where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def study(folder, study_data) -> Study:
    config, out = folder / "study.toml", folder / "out"
    return run_study(config, out, only=("prefilter",), data=study_data, report=lambda line: None)


@pytest.fixture(scope="module")
def students(study):
    return study.select(part="prefilter")


@pytest.fixture(scope="module")
def cleaned(folder, study) -> Path:
    """The only folder of cleaned data: the students of both seeds share it."""
    (cleaned,) = (folder / "out" / "cleaned").iterdir()
    return cleaned


def recited_by_both(study: Study) -> Flags:
    """By teacher and baseline, of the 40 distinct examples."""
    teacher, baseline = (examples_of(study, study.one(role=role)).memorized for role in ("teacher", "baseline"))
    return teacher & baseline


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def training_of(folder: Path) -> list[str]:
    (path,) = (folder / "out" / "texts").glob("*/web/training.jsonl")
    return lines_of(path)


def test_the_part_brings_the_students_before_and_after(study):
    assert [(run.part, run.role, run.seed) for run in study.runs] == [
        ("main", "teacher", 0),
        ("main", "baseline", 0),
        ("main", "soft", 0),
        ("main", "soft", 1),
        ("prefilter", "soft", 0),
        ("prefilter", "soft", 1),
    ]


def test_the_cleaned_folder_holds_data_and_what_was_left_out(folder, cleaned, study, students):
    assert sorted(path.name for path in cleaned.iterdir()) == [
        "dropped.parquet",
        "manifest.json",
        "predictor.json",
        "training.jsonl",
    ]
    manifest = json.loads((cleaned / "manifest.json").read_text(encoding="utf-8"))
    whole, left_out = len(training_of(folder)), students[0].left_out.num_rows
    assert manifest["training_set"]["rows"] == whole == 20 * COPIES + 20
    assert manifest["written"]["rows"] == len(lines_of(cleaned / "training.jsonl")) == whole - left_out
    assert sum(manifest["dropped"].values()) == left_out
    assert manifest["asked_for"] == "90% of what is memorized"
    assert manifest["predictor"]["labels"] == "teacher and baseline"
    assert manifest["predictor"]["positives"] == recited_by_both(study).sum()


def test_left_out_rows_are_those_missing_from_the_cleaned_file(folder, cleaned, students, study):
    lines = training_of(folder)
    assert [json.loads(line)["id"] for line in lines] == list(study.documents["web"])
    for student in students:
        gone = set(student.left_out["example_id"].to_pylist())
        assert len(gone) == student.left_out.num_rows > 0
        assert [line for at, line in enumerate(lines) if at not in gone] == lines_of(cleaned / "training.jsonl")


def test_what_teacher_and_baseline_memorized_is_left_out_with_all_copies(study, students):
    documents = np.asarray(study.documents["web"])
    gone = np.isin(np.arange(len(documents)), students[0].left_out["example_id"].to_numpy())
    memorized = np.flatnonzero(recited_by_both(study))  # examples are ordered by document, and all are long enough
    assert sum(gone[documents == document].all() for document in memorized) >= 0.8 * len(memorized)
    assert all(gone[documents == document].all() == gone[documents == document].any() for document in documents)


def test_students_after_learn_from_the_same_teacher_on_the_cleaned_data_alone(folder, cleaned, study):
    cards = [read_run_card(path) for path in (folder / "out" / "models").glob("soft-*")]
    assert len({(card.teacher, card.init) for card in cards}) == 1
    fingerprint = training_fingerprint(TrainingSet(str(cleaned / "training.jsonl")))
    after = [card for card in cards if card.training_set.fingerprint == fingerprint]
    before = [card for card in cards if card not in after]
    rows = len(lines_of(cleaned / "training.jsonl")), len(study.documents["web"])
    for some, examples in zip((after, before), rows, strict=True):
        assert sorted(card.recipe["seed"] for card in some) == [0, 1]
        assert {card.training_set.examples for card in some} == {examples}


def test_scores_of_students_after_cover_all_of_d(study, students):
    teacher = study.one(role="teacher")
    for student in students:
        assert student.scores["example_id"].to_pylist() == list(range(len(study.documents["web"])))
        assert student.scores["digest"].equals(teacher.scores["digest"])
        assert student.scores["nll"].null_count == 0
    assert all((run.left_out is None) == (run.part == "main") for run in study.runs)


def test_baselines_come_with_their_teacher_and_how_far_the_two_are_apart(study):
    teacher, baseline = study.one(role="teacher"), study.one(role="baseline")
    assert [run.role for run in study.runs if run.pair is not None] == ["baseline"]
    assert baseline.pair.teacher.rows.equals(teacher.scores)
    assert baseline.pair.baseline.rows.equals(baseline.scores)
    assert baseline.pair.kl.schema.equals(KL_SCHEMA)
    assert baseline.pair.kl["digest"].equals(teacher.scores["digest"])
    assert (baseline.pair.kl["kl"].to_numpy() > 0).all()


def test_a_second_run_finds_everything_again(study, folder, study_data):
    config, lines = folder / "study.toml", []
    files = {path: path.stat().st_mtime_ns for path in (folder / "out" / "cleaned").rglob("*")}
    again = run_study(config, folder / "out", only=("prefilter",), data=study_data, report=lines.append)
    steps = plan(read_config(config), ("prefilter",))
    assert [line.split(": ")[0] for line in lines] == [step.name for step in steps]
    assert all(line.endswith(" s (reused)") for line in lines)
    assert {path: path.stat().st_mtime_ns for path in (folder / "out" / "cleaned").rglob("*")} == files
    for repeated, first in zip(again.runs, study.runs, strict=True):
        assert (repeated.part, repeated.role, repeated.seed) == (first.part, first.role, first.seed)
        assert repeated.held_out_loss == first.held_out_loss
        assert repeated.scores.equals(first.scores)
        if first.pair is not None:
            assert repeated.pair.kl.equals(first.pair.kl)
        if first.left_out is not None:
            assert repeated.left_out.equals(first.left_out)


def test_the_finding_tells_of_the_fall(study, students):
    loops = prefilter(study)
    assert [(loop.family, loop.dataset, loop.seed) for loop in loops] == [("pythia", "web", 0), ("pythia", "web", 1)]
    for loop, student in zip(loops, students, strict=True):
        before = study.one(part="main", role="soft", seed=loop.seed)
        was, now = (examples_of(study, run).memorized for run in (before, student))
        assert (loop.before.k, loop.before.n, loop.after.k) == (was.sum(), 40, now.sum())
        assert (loop.kept, loop.new) == ((was & now).sum(), (~was & now).sum())
        assert loop.left_out.k >= 0.8 * recited_by_both(study).sum()
        assert (loop.left_out_rows.k, loop.left_out_rows.n) == (student.left_out.num_rows, 20 * COPIES + 20)
        assert loop.fall > 0.8
        assert loop.price == pytest.approx(student.held_out_loss / before.held_out_loss - 1)


def test_the_finding_on_prediction_needs_a_baseline_of_the_same_seed(study):
    result = risk(study)
    assert [(prediction.part, prediction.seed) for prediction in result.predictions] == [
        ("main", 0)
    ]  # seed 1 has none in this part
    (prediction,) = result.predictions
    student = examples_of(study, study.one(part="main", role="soft", seed=0))
    assert (prediction.memorized.k, prediction.memorized.n) == (student.memorized.sum(), 40)
    assert prediction.figures["roc_auc"].mean > 0.95
    assert prediction.shuffled.mean == pytest.approx(0.5, abs=0.1)
    (transfer,) = result.transfers
    assert (transfer.by, transfer.applied_to) == ("none", "pythia, web, T = 1, seed 0")


def test_the_report_holds_both_findings(study, tmp_path):
    write_report(study, tmp_path)
    findings = json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))["findings"]
    assert [findings[key]["status"] for key in ("risk", "prefilter")] == ["run", "run"]
    fall = next(row for row in findings["prefilter"]["rows"] if row["figure"] == "fall")
    assert fall["measured"]["mean"] > 0.8
    assert "| pythia, web | memorized before and after | " in (tmp_path / "tables.md").read_text(encoding="utf-8")
