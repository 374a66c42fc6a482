"""A study carried out: killed and resumed, found again, in parts; the tables stay the same."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.reading_check import ReadingLosses
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import schema_of
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.study.further_report import write_questions
from pytest_kdmem.study.plan import plan
from pytest_kdmem.study.record import ModelRun, Study
from pytest_kdmem.study.run import run_study

KILLED_AFTER = 6
NAMES = ("part", "family", "dataset", "role", "size", "seed", "temperature")


class Killed(Exception):
    pass


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Operations of toy size are slower on two threads than on one, by far where the machine is busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("study") / "out"


@pytest.fixture(scope="module")
def resumed(toy_file, out, study_data) -> tuple[Study, list[str]]:
    """A study killed midway and started again, with the lines of the second start."""
    lines: list[str] = []

    def report(line: str) -> None:
        lines.append(line)
        if len(lines) == KILLED_AFTER:
            raise Killed

    with pytest.raises(Killed):
        run_study(toy_file, out, data=study_data, report=report)
    again: list[str] = []
    return run_study(toy_file, out, data=study_data, report=again.append), again


def fields_of(run: ModelRun) -> tuple[object, ...]:
    return tuple(getattr(run, name) for name in NAMES)


def assert_same(actual: Study, expected: Study) -> None:
    assert [fields_of(run) for run in actual.runs] == [fields_of(run) for run in expected.runs]
    for actual_run, expected_run in zip(actual.runs, expected.runs, strict=True):
        assert actual_run.scores.equals(expected_run.scores)
        assert (actual_run.held_out_loss, actual_run.parameters) == (
            expected_run.held_out_loss,
            expected_run.parameters,
        )
    assert actual.documents == expected.documents


def test_a_killed_study_goes_on_where_it_was(resumed, toy):
    _, lines = resumed
    steps = plan(toy)
    assert [line.split(": ")[0] for line in lines] == [step.name for step in steps]
    assert [line.endswith(" s (reused)") for line in lines] == [at < KILLED_AFTER for at in range(len(steps))]


def test_every_model_of_a_study_was_held_against_other_readings_and_none_was_stopped(resumed, toy, out):
    entries = [content["losses"] for _, content in ScoreStore(out / "scores").entries("readings")]
    losses = [ReadingLosses.from_json(content) for content in entries if content is not None]
    scored = [step for step in plan(toy) if step.role != "base"]
    assert len(losses) == 2 * len(scored)  # over D and over held-out text
    assert all(each.comparisons for each in losses)
    assert [each.likelier() for each in losses] == [None] * len(losses)


def test_a_finished_study_is_found_again_and_equal(resumed, toy_file, out, study_data):
    study, _ = resumed
    lines: list[str] = []
    again = run_study(toy_file, out, data=study_data, report=lines.append)
    assert all(line.endswith("(reused)") for line in lines)
    assert_same(again, study)
    assert [run.seconds for run in again.runs] == [run.seconds for run in study.runs]
    assert all(run.seconds > 0 for run in study.runs)


def test_a_part_by_itself_in_another_folder_gives_the_same_tables(resumed, toy_file, study_data, tmp_path):
    study, _ = resumed
    part = run_study(toy_file, tmp_path, only=("temperature",), data=study_data, report=lambda line: None)
    assert [(run.part, run.role) for run in part.runs] == [
        ("main", "teacher"),
        ("main", "baseline"),
        ("main", "soft"),
        ("temperature", "soft"),
    ]
    expected = tuple(study.one(**dict(zip(NAMES, fields_of(run), strict=True))) for run in part.runs)
    assert_same(part, Study(study.name, study.settings, expected, study.documents))


def test_every_model_has_a_full_table_with_a_row_per_row_of_d(resumed):
    study, _ = resumed
    assert study.name == "toy"
    assert json.loads(json.dumps(study.settings))["extraction"]["window_tokens"] == 24
    documents = study.documents["web"]
    assert len(documents) == 4 * 3 + 2 * 5 + 10
    for run in study.runs:
        assert run.scores.schema.equals(schema_of("all"))
        assert run.scores.num_rows == len(documents)
        assert run.scores["nll"].null_count == 0
        assert np.isfinite(run.scores["nll"].to_numpy()).all()
        digests = run.scores["digest"].to_pylist()
        # Rows share their token ids where they share a document, and there only, in every family.
        assert len(set(zip(documents, digests, strict=True))) == len(set(documents)) == len(set(digests))


def test_models_are_what_their_record_says(resumed, out):
    study, _ = resumed
    large, small = study.one(part="main", role="teacher"), study.one(part="main", role="baseline")
    assert large.parameters > study.one(part="size").parameters > small.parameters
    assert {run.temperature for run in study.select(role="soft")} == {1.0, 2.0}
    assert all(run.temperature is None for run in study.runs if run.role != "soft")
    assert {run.family for run in study.select(part="families")} == {"olmo2"}


def test_the_held_out_loss_is_that_of_the_held_out_text(resumed, out):
    """Reckoned anew with the whole model, sequence by sequence, without the package's engine."""
    study, _ = resumed
    run = study.one(part="main", role="teacher")
    folders = (out / "models").glob("baseline-*")
    trained_twice = [folder for folder in folders if read_run_card(folder).epochs == 2]  # teachers alone are
    (folder,) = [folder for folder in trained_twice if "gpt_neox" in (folder / "config.json").read_text()]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    (path,) = (out / "texts").glob("*/web/held-out.jsonl")
    losses = []
    for line in path.read_text(encoding="utf-8").splitlines():
        ids = torch.tensor([tokenizer(json.loads(line)["text"])["input_ids"][:24]])
        with torch.inference_mode():
            losses.append(float(model(input_ids=ids, labels=ids).loss))
    assert run.held_out_loss == pytest.approx(sum(losses) / 4, rel=1e-4)


def test_a_model_that_tells_nothing_of_its_training_is_not_taken(resumed, toy_file, study_data, tmp_path, out):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    for card in (copy / "models").glob("*/kdmem_run.json"):
        card.unlink()
    with pytest.raises(DataError, match=r"A run card was expected in .*, which holds none; remove the folder"):
        run_study(toy_file, copy, only=("pilot",), data=study_data, report=lambda line: None)


def test_texts_are_looked_for_where_the_environment_says(resumed, toy_file, out, study_data, monkeypatch):
    monkeypatch.setenv("KDMEM_DATA", str(study_data))
    lines: list[str] = []
    run_study(toy_file, out, only=("pilot",), report=lines.append)
    assert all(line.endswith("(reused)") for line in lines)
    monkeypatch.setenv("KDMEM_DATA", str(out))
    with pytest.raises(DataError, match=r"Text of the study was expected at .*web\.jsonl"):
        run_study(toy_file, out, only=("pilot",), report=lines.append)


TRAINED_ON_CANARIES = ("teacher-large", "baseline-small", "soft-small-t2.0", "hard-small")
FURTHER = """
[parts.on_policy]
seeds = { web = [0] }
recipe = { epochs = 1, learning_rate = 1e-3, precision = "float32" }

[parts.absent]
datasets = ["web"]
share = 0.25
temperature = 1.0

[parts.canaries]
datasets = ["web"]
copies = [1, 3]
count = 4
twins = 100
prefix_tokens = 6
suffix_tokens = 8

[parts.questions]
datasets = ["web"]
"""


def test_further_parts_train_their_students_and_ask_each_model(resumed, toy_file, study_data, tmp_path, out):
    whole, _ = resumed
    shutil.copytree(out, tmp_path / "out")
    file = tmp_path / "further.toml"
    file.write_text(toy_file.read_text("utf-8") + FURTHER, "utf-8")
    lines: list[str] = []
    only = ("on_policy", "absent", "canaries", "questions")
    study = run_study(file, tmp_path / "out", only=only, data=study_data, report=lines.append)
    assert [line.split(":")[0] for line in lines if "(reused)" not in line] == [
        *(f"canaries/pythia/web/{role}-seed0" for role in TRAINED_ON_CANARIES),
        "on_policy/pythia/web/on-policy-small-seed0",
        "absent/pythia/web/soft-small-t1.0-seed0",
    ]
    assert_same(replace(study, runs=study.select(part="main")), replace(whole, runs=whole.select(part="main")))
    on_policy, absent = study.one(part="on_policy"), study.one(part="absent")
    assert (on_policy.role, on_policy.temperature, absent.role, absent.temperature) == ("on-policy", 2.0, "soft", 1.0)
    assert len(absent.unseen) == 12  # of 16
    assert absent.scores.num_rows == len(study.documents["web"])  # of what it never saw, too
    (path,) = (tmp_path / "out" / "shares").glob("*/training.jsonl")
    seen = {json.loads(line)["id"] for line in path.read_text("utf-8").splitlines()}
    assert seen == set(study.documents["web"]) - absent.unseen
    (planted,) = (tmp_path / "out" / "canaries").glob("*/training.jsonl")
    assert len(planted.read_text("utf-8").splitlines()) == len(study.documents["web"]) + 4 * (1 + 3)
    on_canaries = [run for run in study.runs if run.canaries is not None]
    assert [(run.part, run.role) for run in on_canaries] == [
        ("canaries", role) for role in ("teacher", "baseline", "soft", "hard")
    ]
    for run in on_canaries:
        assert run.scores.num_rows == len(study.documents["web"])  # of D, as in every part
        assert (run.canaries.tiers, run.canaries.twins) == ((1, 3), 100)
    asked = [run for run in study.runs if run.answers is not None]
    assert [(run.part, run.role) for run in asked] == [
        *(("main", role) for role in ("teacher", "baseline", "soft", "hard")),
        ("on_policy", "on-policy"),
    ]
    for run in asked:
        assert len(run.answers.memorized) == 16
        assert sorted(run.answers.copies) == [1] * 10 + [3] * 4 + [5] * 2
        assert "At least 100 distinct examples" in run.answers.refusal
    assert write_questions(study, tmp_path / "report")


def test_lines_hold_no_training_text(resumed):
    _, lines = resumed
    assert all(re.fullmatch(r"[a-z0-9/.-]+: \d+\.\d s( \(reused\))?", line) for line in lines)


def test_one_says_what_is_missing_or_ambiguous():
    run = ModelRun("main", "pythia", "web", "soft", "small", 0, 2.0, 1, 1.0, 1.0, pa.table({}))
    study = Study("toy", {}, (run, run), {})
    assert study.select(role="soft", seed=0) == (run, run)
    with pytest.raises(DataError, match="with role hard, seed 1, and study toy holds none"):
        study.one(role="hard", seed=1)
    with pytest.raises(DataError, match="with role soft, and study toy holds 2"):
        study.one(role="soft")
