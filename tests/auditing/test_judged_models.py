"""A model that was judged must stay as it is, and no gate of one that changed passes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.judged_models import JudgedModels, differing_models, is_compared, refused
from pytest_kdmem.auditing.schema import Gate, ModelEntry
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model

ENTRY = ModelEntry("runs/student", None, "a", 1, "GPTNeoX", "transformers", "cpu", "float32", 1e-3)


def gate(subject: str, outcome: str = "pass") -> Gate:
    rate = estimate_proportion("memorization rate", subject, Counts(1, 20), exhaustive=True)
    return Gate("test_rate", "test_a.py::test_rate", "", rate, "<=", 0.1, outcome, "", "later")  # type: ignore[arg-type]


@pytest.fixture
def model(tiny: Path, tmp_path: Path) -> Model:
    """A model whose files each test may change."""
    return Model(str(shutil.copytree(tiny, tmp_path / "model")))


def change(model: Model) -> None:
    path = Path(model.source, "config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "rotary_pct": 0.5}))


def test_a_model_that_stays_has_no_changes(model: Model) -> None:
    judged = JudgedModels(offline=True)
    for _ in range(2):
        judged.add(model, open_checkpoint(model), must_stay=True)
    assert judged.changes(lambda model: True) == []


def test_a_model_with_a_role_is_refused_once_it_changed(model: Model) -> None:
    judged = JudgedModels(offline=True)
    judged.add(model, open_checkpoint(model), must_stay=True)
    change(model)
    with pytest.raises(SpecError, match="expected to stay as it is until its last gate is judged"):
        judged.add(model, open_checkpoint(model), must_stay=True)


def test_a_model_that_calibrates_others_must_stay_without_a_role(model: Model) -> None:
    judged = JudgedModels(offline=True)
    judged.add_reference(model)
    judged.add(model, open_checkpoint(model), must_stay=False)
    assert judged.changes(lambda model: False) == []
    change(model)
    assert len(judged.changes(lambda model: False)) == 1
    with pytest.raises(SpecError, match="expected to stay as it is"):
        judged.add(model, open_checkpoint(model), must_stay=False)


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_change_is_noticed_when_gates_are_judged(model: Model, how: str) -> None:
    judged = JudgedModels(offline=True)
    judged.add(model, open_checkpoint(model), must_stay=False)
    if how == "changed":
        change(model)
    else:
        shutil.rmtree(model.source)
    [sentence] = judged.changes(lambda model: True)
    assert sentence.startswith(f"Model {model.source} was expected to stay as it is")
    assert judged.changes(lambda model: False) == []


def test_a_model_that_changed_and_changed_back_is_noticed(model: Model) -> None:
    judged, first = JudgedModels(offline=True), open_checkpoint(model)
    for digest in (first.digest, "another", first.digest):
        judged.add(model, replace(first, digest=digest), must_stay=False)
    assert len(judged.changes(lambda model: True)) == 1


@pytest.mark.parametrize(
    ("compared", "subject", "expected"),
    [
        ("student", "student", True),
        ("student on other.jsonl", "student", True),
        ("runs on disk/a", "runs on disk/a", True),
        ("runs on disk/a on other.jsonl", "runs on disk/a", True),
        ("students", "student", False),
        ("teacher", "student", False),
    ],
)
def test_a_subject_is_compared_over_any_set(compared: str, subject: str, expected: bool) -> None:
    assert is_compared(subject, [gate("someone"), gate(compared)]) is expected
    assert not is_compared(subject, [])


def test_a_gate_that_held_is_refused_and_another_keeps_its_reason() -> None:
    passed = refused(gate("student"), "changed")
    assert (passed.outcome, passed.reason, passed.next_step) == ("error", "changed", "")
    failed = gate("student", "fail")
    assert refused(failed, "changed") is failed


def test_processes_that_judged_other_files_are_told() -> None:
    other_name = replace(ENTRY, source="runs/teacher", digest="b")
    assert list(differing_models([{"student": ENTRY}, {"student": ENTRY, "teacher": other_name}])) == []
    [sentence] = differing_models([{"student": ENTRY}, {"student": replace(ENTRY, digest="b")}])
    assert sentence.startswith("Model runs/student was expected")
