"""`--dry-run` of commands: what it would take is printed, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.test_dry_run import tree


def test_a_dry_run_of_scoring_leaves_the_table_of_an_earlier_run(kdmem, tiny, data):
    Path("scores.parquet").write_text("of an earlier run")
    before = tree(Path.cwd())
    for out in ([], ["--out", "scores.parquet"]):
        done = kdmem("score", tiny, data, "--dry-run", *out)
        assert (done.code, done.err) == (0, "")
        lines = done.out.splitlines()
        assert "GPTNeoXForCausalLM" in lines[0]
        assert "12 examples, 0 of them scored already" in lines[1]
        assert "examples/s, measured over" in lines[2]
        assert lines[3] == "dry run: nothing was written"
        assert tree(Path.cwd()) == before


def test_a_dry_run_of_a_comparison_tells_of_each_model(kdmem, tiny, data):
    Path("compared.json").write_text("of an earlier run")
    before = tree(Path.cwd())
    done = kdmem("compare-models", tiny, tiny, "--training-set", data, "--dry-run", "--json=compared.json")
    assert (done.code, done.err) == (0, "")
    assert done.out.count("12 examples, 0 of them scored already") == 2
    assert done.out.endswith("dry run: nothing was written\n")
    assert tree(Path.cwd()) == before


def test_a_dry_run_of_risk_tells_of_the_student_that_gives_the_labels(predict, cast):
    before = tree(Path.cwd())
    done = predict("risk", "--dry-run", f"--labels-from={cast.student}", "--out", "risk.parquet")
    assert (done.code, done.err) == (0, "")
    assert tree(Path.cwd()) == before
    pair, student = [line for line in done.out.splitlines() if "GPTNeoX" in line]
    assert " and " in pair
    assert " and " not in student
    assert "nothing is to be scored" in done.out  # teacher and baseline are scored already


def test_a_dry_run_of_cleaning_scores_nothing_and_tells_of_the_copy(predict, cast):
    before = tree(Path.cwd())
    done = predict("prefilter", "--dry-run", f"--labels-from={cast.student}", "--at-most=5%", "--out", "cleaned")
    assert (done.code, done.err) == (0, "")
    assert tree(Path.cwd()) == before
    lines = done.out.splitlines()
    assert len([line for line in lines if "GPTNeoX" in line]) == 2  # the pair, and the student of the labels
    size = done.out.partition("of at most ")[2].partition(", with its manifest")[0]
    assert f"then a copy of train in cleaned, of at most {size}, with its manifest" in lines
    assert lines[-1] == "dry run: nothing was written"
    Path("cleaned").mkdir()
    assert predict("prefilter", "--dry-run", "--out", "cleaned").code == 2


def test_of_several_processes_the_first_one_prints(kdmem, tiny, data, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    done = kdmem("score", tiny, data, "--dry-run")
    assert (done.code, done.out, done.err, done.progress) == (0, "", "", "")


@pytest.mark.parametrize("command", [["score", "no/model"], ["risk", "--teacher=no/model", "--baseline=no/model"]])
def test_a_mistake_is_told_as_ever(kdmem, data, command):
    name, *rest = command
    done = kdmem(name, *rest, data, "--dry-run", "--offline")
    assert done.code == 2
    assert "no/model" in done.err


def test_a_dry_run_of_a_training_makes_no_folder(kdmem, tiny, data):
    before = tree(Path.cwd())
    command = ["--init", tiny, "--train", data, "--out", "student", "--mode", "baseline", "--batch-size", "6"]
    done = kdmem("distill", *command, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "12 examples, 8 steps" in done.out
    assert done.out.endswith("dry run: nothing was written\n")
    assert tree(Path.cwd()) == before
    assert not list(Path.cwd().glob(".*"))
