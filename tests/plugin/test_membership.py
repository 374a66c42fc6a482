"""Gates of membership, by the fixture: found where a model learned one half of a text, and refused over other text."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem import audit
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import NOISE, AuditProject
from tests.specs.any_card import card

ROWS, TOKENS = 120, 24
GATES = """
def test_membership(membership, student, baseline):
    assert membership(student).tpr(0.05) <= 0.2
    assert membership(student).auc <= 0.6
    assert membership(student).auc <= membership(baseline).auc
"""


def text_of(rows: int, seed: int, least: int = 1) -> np.ndarray:
    """Rows of token ids in which each token tells little of the next."""
    return np.random.default_rng(seed).integers(least, least + 250, (rows, TOKENS)).astype(np.int32)


@pytest.fixture(scope="session")
def learned(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model that saw neither half of a text, and one that overfits its first half."""
    import torch
    from transformers import AutoModelForCausalLM

    unseen = make_model(seed=11)
    model = AutoModelForCausalLM.from_pretrained(unseen)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = torch.from_numpy(text_of(2 * ROWS, seed=0)[:ROWS].astype(np.int64))
    model.train()
    for _ in range(25):
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    overfit = tmp_path_factory.mktemp("overfit")
    model.save_pretrained(overfit)
    (overfit / "tokenizer.json").write_bytes((unseen / "tokenizer.json").read_bytes())
    return unseen, overfit


@pytest.fixture
def project(unscored_project: AuditProject, learned: tuple[Path, Path], one_store: Path) -> AuditProject:
    unseen, overfit = learned
    halves = text_of(2 * ROWS, seed=0)
    np.save(unscored_project.path / "data.npy", halves[:ROWS])
    np.save(unscored_project.path / "control.npy", halves[ROWS:])
    unscored_project.declare(teacher=None, student=unseen, baseline=overfit)
    unscored_project.configure(kdmem_control_set="control.npy")
    unscored_project.gates(GATES)
    return unscored_project


def test_what_a_model_overfits_is_found_and_what_none_saw_is_chance(project: AuditProject) -> None:
    result = project.run(NOISE, "--kdmem-report=report.json")
    assert result.ret == 0, result.outlines
    audit = project.report("report.json")
    rate, area, paired = audit.gates
    assert area.estimate is not None
    assert area.estimate.low <= 0.5 <= area.estimate.high
    assert "paired over the same 120 members and 120 controls" in paired.reason
    figures = {(entry.subject, entry.label): entry.estimate for entry in audit.figures if entry.family == "membership"}
    assert figures["baseline", "AUC, strongest attack"].low > 0.9
    assert figures["student", "AUC, strongest attack"].to_json() == area.estimate.to_json()
    assert rate.metric == "membership TPR at 5% FPR"

    project.declare(teacher=None, student=project_model(audit, "baseline"), baseline=project_model(audit, "student"))
    turned = project.run(NOISE)
    assert turned.ret == 1
    assert "membership TPR at 5% FPR of student" in project.failures(turned)[0]


def test_figures_can_be_accepted_and_are_held_against_the_same_members_controls_and_attacks(
    project: AuditProject, learned: tuple[Path, Path]
) -> None:
    project.configure(kdmem_control_set="control.npy", kdmem_baseline_file="accepted.json")
    project.gates("""
def test_area(membership, student, accepted):
    assert membership(student).auc <= accepted

def test_rate(membership, student, accepted):
    assert membership(student).tpr() <= accepted + 0.01
""")
    project.run(NOISE, "--kdmem-update-baseline-file").assert_outcomes(passed=2)
    project.run(NOISE).assert_outcomes(passed=2)

    unseen, overfit = learned
    project.declare(teacher=None, student=overfit, baseline=unseen)
    worse = project.run(NOISE)
    worse.assert_outcomes(failed=2)
    assert all("worse than accepted" in failure for failure in project.failures(worse))

    project.gates("""
def test_area(membership, student, accepted):
    assert membership(student, attack="loss").auc <= accepted
""")
    project.declare(teacher=None, student=unseen)
    project.run(NOISE).assert_outcomes(passed=1)  # which was accepted beside the strongest attack
    np.save(project.path / "control.npy", np.load(project.path / "control.npy")[:-1])
    refused = project.run(NOISE)
    refused.assert_outcomes(errors=1)
    assert "another members, controls, attacks or reference than was accepted" in project.failures(refused)[0]


def project_model(audit, role: str) -> Path:
    return Path(audit.models[role].source)


def test_a_control_set_of_other_text_is_an_error_though_the_test_catches_it(project: AuditProject) -> None:
    np.save(project.path / "control.npy", text_of(ROWS, seed=3, least=40))
    project.gates("""
def test_membership(membership, student):
    try:
        membership(student).tpr(0.05)
    except Exception:
        pass
""")
    result = project.run(NOISE)
    assert result.ret == 1
    [failure] = project.failures(result)
    assert "a classifier that sees token ids and no model tells control apart" in failure


def test_controls_that_a_sample_of_the_training_set_does_not_show_are_refused(project: AuditProject) -> None:
    """As text that was learned, among the controls, makes attacks on learned text seem to miss."""
    text = text_of(3 * ROWS, seed=0)
    np.save(project.path / "data.npy", text[: 2 * ROWS])
    np.save(project.path / "control.npy", np.concatenate([text[:20], text[2 * ROWS :]]))
    project.gates("def test_membership(membership, student):\n    assert membership(student).auc <= 0.9\n")
    assert project.run(NOISE).ret == 0
    result = project.run(NOISE, f"--kdmem-sample={ROWS}")
    assert result.ret == 1
    [failure] = project.failures(result)
    assert "Controls that do not occur in the training set were expected" in failure


def test_controls_that_nearly_stand_in_the_training_set_are_left_out_and_many_are_refused(
    project: AuditProject,
) -> None:
    """Of the 20 runs of five tokens in a row the last is changed, as its last token is."""
    text = text_of(2 * ROWS, seed=0)
    project.gates("def test_membership(membership, student):\n    assert membership(student).auc <= 0.9\n")
    for near, is_refused in ((10, False), (40, True)):
        controls = text[ROWS:].copy()
        controls[:near] = text[:near]
        controls[:near, -1] = 1 + (controls[:near, -1] + 7) % 250
        np.save(project.path / "control.npy", controls)
        result = project.run(NOISE, "--kdmem-report=report.json")
        if is_refused:
            assert result.ret == 1
            assert f"and {near} of 120 are, so a model that learned" in project.failures(result)[0]
            continue
        audit = project.report("report.json")
        assert any(f"{near} controls that are near-duplicates" in warning for warning in audit.warnings)
        assert any("110 members against 110 controls" in figure.note for figure in audit.figures)


def test_a_reference_that_changes_while_gates_rest_on_it_lets_none_pass(
    project: AuditProject, learned: tuple[Path, Path], tmp_path: Path
) -> None:
    reference = shutil.copytree(learned[1], tmp_path / "reference")
    project.gates(f"""
import json
from pathlib import Path
from pytest_kdmem import Model

def test_membership(membership, student):
    assert membership(student, reference=Model({str(reference)!r})).auc <= 1.0

def test_something_else():
    path = Path({str(reference)!r}, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {{"rotary_pct": 0.5}}))
""")
    result = project.run(NOISE, "--kdmem-report=report.json")
    assert result.ret == 1
    [gate] = [gate for gate in project.report("report.json").gates if gate.metric]
    assert gate.outcome == "error"
    assert "was expected to stay as it is until its last gate is judged" in gate.reason


def test_fewer_controls_than_the_rate_needs_fail(project: AuditProject) -> None:
    project.gates("def test_membership(membership, student):\n    assert membership(student).tpr(0.001) <= 0.5\n")
    result = project.run(NOISE)
    assert result.ret == 1
    assert "At least 1 000 distinct controls were expected" in project.failures(result)[0]


def test_a_warm_audit_loads_neither_torch_nor_transformers(project: AuditProject) -> None:
    assert project.run(NOISE).ret == 0
    script = (
        "import json, sys, pytest\n"
        f"code = pytest.main(['-q', '-p', 'no:cacheprovider', {NOISE!r}])\n"
        "print(json.dumps([int(code), sorted({'torch', 'transformers', 'sklearn'} & sys.modules.keys())]))\n"
    )
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=project.path, capture_output=True, text=True).stdout
    assert json.loads(output.splitlines()[-1]) == [0, []], output


@pytest.mark.slow
def test_wikitext_against_fineweb_is_refused(
    unscored_project: AuditProject, real_text: Path, learned: tuple[Path, Path]
) -> None:
    project = unscored_project
    lines = (real_text / "wikitext/train.txt").read_text(encoding="utf-8").splitlines()
    (project.path / "wikitext.txt").write_text("\n".join([line for line in lines if len(line) > 300][:200]))
    project.declare(
        teacher=None,
        student=learned[0],
        baseline=None,
        data='TrainingSet("wikitext.txt", add_special_tokens=False)',
    )
    project.configure(kdmem_control_set=str(real_text / "fineweb/sample.jsonl"), kdmem_window_tokens=128)
    project.gates("def test_membership(membership, student):\n    assert membership(student).auc <= 0.9\n")
    result = project.run(NOISE)
    assert result.ret == 1
    assert "a classifier that sees token ids and no model tells" in project.failures(result)[0]


def test_a_student_of_a_cleaned_copy_is_attacked_over_what_it_never_saw_and_that_is_told(
    project: AuditProject, learned: tuple[Path, Path]
) -> None:
    student = Path(shutil.copytree(learned[0], project.path / "cleaned-student"))
    whole = training_fingerprint(TrainingSet(project.path / "data.npy"))
    origin = DataOrigin("cleaned.npy", "c" * 32, ROWS - 20, 0, cleaned_from=whole)
    write_run_card(card(weights=weights_digest(student), training_set=origin, extraction={}, teacher=None), student)
    project.declare(teacher=None, student=student, baseline=learned[1])
    project.gates("def test_membership(membership, student):\n    assert membership(student).auc <= 0.9\n")
    project.run(NOISE, "--kdmem-report=report.json")
    warnings = [warning for warning in project.report("report.json").warnings if "a cleaned copy of data" in warning]
    assert len(warnings) == 2
    assert any("attacks also look for what cleaning left out" in warning for warning in warnings)
    assert any("20 of 120 rows (16.67%) were left out" in warning for warning in warnings)


@pytest.mark.parametrize(("turned", "outcome"), [(False, "pass"), (True, "fail")])
def test_an_audit_from_python_compares_two_models_by_pairs_as_the_fixture_does(
    project: AuditProject, learned: tuple[Path, Path], turned: bool, outcome: str
) -> None:
    student, baseline = reversed(learned) if turned else learned
    project.declare(teacher=None, student=student, baseline=baseline)
    project.gates("""
def test_membership(membership, student, baseline):
    assert membership(student).auc <= membership(baseline).auc
""")
    project.run(NOISE, "--kdmem-report=report.json")
    [expected] = project.report("report.json").gates
    arguments: dict[str, Any] = {"student": student, "training_set": project.path / "data.npy", "device": "cpu"}
    arguments |= {"control_set": project.path / "control.npy", "prefix_tokens": 12, "suffix_tokens": 8}
    arguments |= {"cache_dir": project.path / ".kdmem", "accept_reading": "noise"}
    gates = {"max_membership_auc": "baseline", "max_near_verbatim_rate": 0.99}
    _, area = audit(gates=gates, baseline=baseline, **arguments).gates
    assert "paired over the same 120 members and 120 controls" in area.reason
    assert (area.outcome, area.reason, area.operator) == (outcome, expected.reason, "<=")
    assert isinstance(area.threshold, Estimate)
    assert area.threshold.subject == "baseline"
    with pytest.raises(SpecError, match="A baseline was expected by the gate max_membership_auc"):
        audit(gates=gates, **arguments)


def test_an_audit_from_python_attacks_as_the_fixture_does(project: AuditProject, learned: tuple[Path, Path]) -> None:
    report = audit(
        student=learned[1],
        training_set=project.path / "data.npy",
        control_set=project.path / "control.npy",
        gates={"max_membership_auc": 0.6, "max_membership_tpr": 0.2},
        prefix_tokens=12,
        suffix_tokens=8,
        cache_dir=project.path / ".kdmem",
        accept_reading="noise",
        device="cpu",
    )
    rate, area = report.gates
    assert (rate.metric, area.metric) == ("membership TPR at 1% FPR", "membership AUC")
    assert (rate.outcome, area.outcome) == ("fail", "fail")
    assert area.estimate.low > 0.9
