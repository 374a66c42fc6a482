"""An audit compares models with known sets, and keeps what its report shows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.run_card import ModelOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import PREFIX, SUFFIX, Cast, further_warnings
from tests.specs.any_card import card


def score_roles(audit: Audit) -> None:
    assert audit.training_set is not None
    for model in audit.roles.values():
        audit.memorization(model, audit.training_set)


def inheritance_of(audit: Audit, **models: Model) -> object:
    assert audit.training_set is not None
    return audit.inheritance(**(audit.roles | models), training_set=audit.training_set)  # type: ignore[arg-type]


def test_a_folder_that_was_trained_anew_is_refused_and_no_gate_of_before_passes(
    make_audit: Callable[..., Audit], cast: Cast, tmp_path: Path
) -> None:
    trained = Path(shutil.copytree(cast.student, tmp_path / "student"))
    audit = make_audit(student=trained)
    assert audit.training_set is not None
    audit.memorization(audit.roles["student"], audit.training_set)
    held = Gate("test_rate", "a.py::test_rate", "", None, None, None, "pass", "held")
    assert audit.result({}, [held]).gates == (held,)
    shutil.copy(cast.teacher / "model.safetensors", trained)
    with pytest.raises(SpecError, match="stay as it is until its last gate is judged"):
        audit.memorization(audit.roles["student"], audit.training_set)
    [gate] = audit.result({}, [held]).gates
    assert gate.outcome == "error"
    shutil.rmtree(trained)
    assert audit.result({}, [held]).gates == (gate,)


def test_a_report_lists_every_role_of_a_model(make_audit: Callable[..., Audit], cast: Cast) -> None:
    audit = make_audit(baseline=cast.student)
    score_roles(audit)
    result = audit.result({}, ())
    assert set(result.memorization) == {"teacher", "student", "baseline"}
    assert result.memorization["student"].k == result.memorization["baseline"].k == len(cast.recited_by("student"))
    assert audit.subject(audit.roles["baseline"]) == "student"


def test_a_source_is_never_taken_for_a_role(make_audit: Callable[..., Audit]) -> None:
    audit = make_audit()
    assert audit.subject(Model("teacher")) == "./teacher"
    assert audit.subject(Model("runs/other")) == "runs/other"


def test_other_sets_and_the_control_set_stand_apart(make_audit: Callable[..., Audit], folder: Path) -> None:
    audit = make_audit()
    score_roles(audit)
    audit.memorization(audit.roles["student"], TrainingSet(str(folder / "other.npy")))
    assert audit.control_set is not None
    audit.memorization(audit.roles["student"], audit.control_set, "all")
    result = audit.result({}, ())
    [label] = result.other_sets
    assert label.startswith("student on ")
    assert (result.memorization[label].n, result.memorization["student"].n) == (10, 20)
    assert set(result.held_out) == {"student"}
    assert result.control_set is not None
    assert result.control_set.source == audit.control_set.source
    on_controls = audit.memorization(audit.roles["student"], audit.control_set, "all")
    assert [each.set_name for each in (on_controls.rate, on_controls.by_copies["1"].rate, on_controls.loss)] == (
        3 * ["control set"]
    )
    assert result.memorization["student"].set_name == ""


def test_the_report_keeps_the_inheritance_of_the_audits_own_models(make_audit: Callable[..., Audit]) -> None:
    audit = make_audit()
    foreign = inheritance_of(audit, student=audit.roles["teacher"])
    own = inheritance_of(audit)
    inheritance_of(audit, student=audit.roles["teacher"])
    kept = audit.result({}, ()).inheritance
    assert kept is not None
    assert (kept.inherited, kept.easy) == (1, 2)
    assert own is not foreign


def test_a_baseline_that_is_the_teacher_is_warned_of(make_audit: Callable[..., Audit], cast: Cast) -> None:
    audit = make_audit(baseline=cast.teacher)
    inheritance_of(audit)
    assert (
        "teacher and baseline are the same model: no example is memorized by the teacher alone"
        in audit.result({}, ()).warnings
    )


def test_a_run_card_that_names_another_teacher_stops_an_audit_or_is_warned_of_once(
    make_audit: Callable[..., Audit], cast: Cast, tmp_path: Path
) -> None:
    trained = Path(shutil.copytree(cast.student, tmp_path / "student"))
    window = {"prefix_tokens": PREFIX, "suffix_tokens": SUFFIX, "window_tokens": PREFIX + SUFFIX}
    made = card(weights=weights_digest(trained), teacher=ModelOrigin("runs/x", "12ab" + "0" * 28), extraction=window)
    write_run_card(
        replace(made, training_set=replace(made.training_set, source="train.npy", fingerprint=None)), trained
    )
    with pytest.raises(SpecError, match="--kdmem-accept-provenance=student:teacher"):
        inheritance_of(make_audit(student=trained))
    audit = replace(make_audit(student=trained), accepted_provenance={"student:teacher"})
    inheritance_of(audit)
    result = audit.result({}, ())
    [warning] = further_warnings(result)
    assert warning.startswith("student was distilled from teacher 12ab…")
    assert result.models["student"].run is not None
