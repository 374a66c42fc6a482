"""Gates on canaries, by the fixture: the planted truth is found, and nothing passes that was not shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem import SpecError, audit
from pytest_kdmem.canaries.manifest import MANIFEST
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from pytest_kdmem.report.families import family_tables
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.run_card import DataOrigin, write_run_card
from pytest_kdmem.specs.weights import weights_digest
from tests.audit_project import NOISE, AuditProject
from tests.canaries.planted import plant
from tests.plugin.audit_folders import extend, fixture
from tests.specs.any_card import card

SETTINGS = {"kdmem_prefix_tokens": 8, "kdmem_suffix_tokens": 8, "kdmem_window_tokens": 24}
GATES = """
def test_canaries(canaries, student, baseline):
    assert canaries(student).exposure(copies=16) <= 4.5
    assert canaries(student).exposure(16) <= canaries(baseline).exposure(16)
    assert canaries(student).tpr(0.05, copies=16) <= 0.5
    assert canaries(student).tpr(0.05, 16) <= canaries(baseline).tpr(0.05, 16)
    assert canaries(student).recited(copies=16) <= 0.3
"""
CAUGHT = """
def test_canaries(canaries, student):
    try:
        assert canaries(student).exposure({copies}) <= {threshold}
    except Exception:
        pass
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


@pytest.fixture
def project(unscored_project: AuditProject, planted: Path, one_store: Path) -> AuditProject:
    """An audit of a student that saw no canary, beside a baseline that saw them."""
    for name in ("with.jsonl", "canaries.json"):
        shutil.copy(planted / name, unscored_project.path / name)
    declare(unscored_project, planted)
    unscored_project.configure(**SETTINGS, kdmem_canaries="canaries.json")
    unscored_project.gates(GATES)
    return unscored_project


def declare(
    project: AuditProject, planted: Path, data: str = 'TrainingSet("with.jsonl")', **changed: Path | None
) -> None:
    project.declare(
        **{"teacher": None, "student": planted / "unseen", "baseline": planted / "saw", **changed}, data=data
    )


def words(planted: Path) -> set[str]:
    return {word for canary in MANIFEST.read(planted / "canaries.json").canaries for word in canary.text.split()}


def test_the_planted_truth_decides_gates_and_stands_in_every_report_without_its_text(
    project: AuditProject, planted: Path
) -> None:
    reports = ["audit.json", "audit.html", "audit.md", "audit.sarif"]
    result = project.run(NOISE, "-v", "--junitxml=audit.xml", *(f"--kdmem-report={name}" for name in reports))
    assert result.ret == 0, result.outlines
    audit = project.report("audit.json")
    assert [gate.outcome for gate in audit.gates] == ["pass"] * 5
    assert "paired over the same 12 canaries" in audit.gates[1].reason
    assert "paired over the same 12 canaries and 120 twins" in audit.gates[3].reason
    figures = {
        (figure.subject, figure.label): figure.estimate for figure in audit.figures if figure.family == "canaries"
    }
    saw_16, saw_1 = (figures["baseline", f"exposure, {at}"].value for at in ("16 copies", "1 copy"))
    unseen = figures["student", "exposure, 16 copies"]
    assert saw_16 > saw_1 + 1 > unseen.value
    assert unseen.low <= 1.4427 <= unseen.high
    assert unseen.to_json() == audit.gates[0].estimate.to_json()
    [table] = [table for table in family_tables(audit) if table.family == "canaries"]
    assert table.subjects == ("baseline", "student") or table.subjects == ("student", "baseline")
    assert [row.label for row in table.rows] == [
        label
        for at in ("1 copy", "16 copies")
        for label in (f"exposure, {at}", f"TPR at 1% FPR, {at}", f"recited, {at}")
    ]
    assert "bits [≤ " in " ".join(table.rows[0].cells)
    manifest = MANIFEST.read(planted / "canaries.json")
    assert table.notes == (
        "exposure, 1 copy: among 120 twins; a canary that is more likely than all of them has 6.92 bits, and"
        f" a string that was never seen 1.44 on average; manifest {manifest.digest}",
    )
    texts = [(project.path / name).read_text() for name in (*reports, "audit.xml")] + ["\n".join(result.outlines)]
    for text in texts[1:3]:
        assert manifest.digest in text
        assert f"{unseen.value:.2f} bits" in text
    secrets = [canary.suffix for canary in manifest.canaries]
    assert not [text for text in texts for secret in secrets if secret in text or " ".join(secret.split()[:2]) in text]


def test_a_student_that_saw_them_fails_with_one_line(project: AuditProject, planted: Path) -> None:
    declare(project, planted, student=planted / "saw", baseline=planted / "unseen")
    result = project.run(NOISE, "--kdmem-report=audit.sarif", "--junitxml=audit.xml")
    assert result.ret == 1
    [failure] = project.failures(result)
    assert "canary exposure (16 copies) of student" in failure
    assert "bits] (12 canaries) > 4.50 bits" in failure
    assert "--kdmem-sample" not in "\n".join(result.outlines)
    for name in ("audit.sarif", "audit.xml"):
        assert "4.50 bits" in (project.path / name).read_text()


@pytest.mark.parametrize(
    ("copies", "threshold", "message"),
    [
        ("copies=16", "7", "below 6.92 bits was expected, as 120 twins can show no more; found 7"),
        ("copies=2", "3", "one of 1, 16; found 2"),
        ("", "3", "one of 1, 16: write copies="),
        ("copies=16", "float('nan')", "found nan"),
    ],
)
def test_what_would_show_nothing_fails_though_the_test_catches_it(
    project: AuditProject, copies: str, threshold: str, message: str
) -> None:
    project.gates(CAUGHT.format(copies=copies, threshold=threshold))
    result = project.run(NOISE)
    assert result.ret == 1
    [failure] = project.failures(result)
    assert message in failure


@pytest.mark.parametrize("kind", ["a twin", "no canaries", "another tokenizer", "a changed manifest", "no manifest"])
def test_a_set_or_manifest_that_does_not_fit_fails_though_the_test_catches_it(
    project: AuditProject, planted: Path, kind: str
) -> None:
    path, data = project.path / "canaries.json", project.path / "with.jsonl"
    manifest = MANIFEST.read(path)
    match kind:
        case "a twin":  # which no sample of the set hides
            data.write_text(data.read_text() + json.dumps({"text": manifest.twins[0].text}) + "\n")
            declare(project, planted, 'TrainingSet("with.jsonl", sample=10)')
            message = "No twin of a canary was expected in"
        case "no canaries":
            shutil.copy(planted / "train.jsonl", data)
            message = "24 of 24 are whole in fewer examples"
        case "another tokenizer":
            from dataclasses import replace

            from pytest_kdmem.canaries.manifest import write_manifest

            write_manifest(replace(manifest, tokenizer="another"), path)
            message = "The tokenizer that the canaries were made of was expected"
        case "a changed manifest":
            path.write_text(path.read_text().replace('"copies": 16', '"copies": 1', 1))
            message = "canaries.json"
        case _:
            project.configure(**SETTINGS)
            message = "A manifest of canaries was expected by this audit"
    project.gates(CAUGHT.format(copies="copies=16", threshold=4.5))
    result = project.run(NOISE)
    assert result.ret == 1
    [failure] = project.failures(result)
    assert message in failure


def test_a_comparison_that_is_written_and_never_made_is_no_gate_that_holds(project: AuditProject) -> None:
    project.gates("""
def test_canaries(canaries, student):
    measured = canaries(student)
    assert measured.recited(16) <= 0.5
    if measured is None:
        assert measured.exposure(16) <= 4.5

def test_of_all(canaries, student):
    measured = canaries(student)
    assert all(measured.exposure(copies) <= 4.5 for copies in [])
""")
    result = project.run(NOISE)
    assert result.ret == NOT_DECIDED
    result.stdout.fnmatch_lines(["*line*"])


def test_a_figure_that_was_kept_of_another_student_is_refused(project: AuditProject, planted: Path) -> None:
    shutil.copytree(planted / "saw", project.path / "saw")
    project.declare(teacher=None, student=None, baseline=None, data='TrainingSet("with.jsonl")')
    both = f"return {{'good': Model({str(planted / 'unseen')!r}), 'bad': Model('saw')}}"
    extend(project, fixture("students", both))
    project.gates("""
KEPT = []

def test_canaries(canaries, student):
    KEPT.append(canaries(student).exposure(16))
    assert KEPT[0] <= 4.5
""")
    result = project.run(NOISE)
    assert result.ret == 1
    assert "was kept" in "\n".join(result.outlines)
    project.gates("""
def test_canaries(canaries, student):
    assert canaries(student).exposure(16) <= 4.5
""")
    result = project.run(NOISE)
    result.assert_outcomes(passed=1, failed=1)


def test_a_setting_of_this_run_goes_before_the_argument_and_must_be_used(project: AuditProject) -> None:
    gate = "def test_canaries(canaries, student):\n    assert canaries(student, manifest={}).recited(16) <= 0.5\n"
    project.configure(**SETTINGS)
    project.gates(gate.format("'canaries.json'"))
    assert project.run(NOISE).ret == 0
    project.gates(gate.format("'missing.json'"))
    assert project.run(NOISE).ret == 1
    assert project.run(NOISE, "--kdmem-canaries=canaries.json").ret == 0
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.9\n")
    result = project.run(NOISE, "--kdmem-canaries=canaries.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*--kdmem-canaries was expected to be used by a gate*"])


def test_parts_hold_no_gate_and_workers_say_what_one_process_does(project: AuditProject) -> None:
    result = project.run(NOISE, "--kdmem-shard=1/2")
    assert result.ret == 0
    result.assert_outcomes(skipped=1)
    assert project.run_workers(2, NOISE, "--kdmem-report=apart.json").ret == 0
    assert project.run(NOISE, "--kdmem-report=alone.json").ret == 0
    apart, alone = (project.report(name).to_json() for name in ("apart.json", "alone.json"))
    for key in ("gates", "figures"):
        assert apart[key] == alone[key]


def test_a_student_of_a_cleaned_copy_may_never_have_seen_them_and_that_is_told(
    project: AuditProject, planted: Path
) -> None:
    student = Path(shutil.copytree(planted / "unseen", project.path / "cleaned-student"))
    whole = training_fingerprint(TrainingSet(project.path / "with.jsonl"))
    origin = DataOrigin("cleaned.jsonl", "c" * 32, 1_000_000, 0, cleaned_from=whole)
    write_run_card(card(weights=weights_digest(student), training_set=origin, extraction={}, teacher=None), student)
    declare(project, planted, student=student)
    project.run(NOISE, "--kdmem-report=audit.json")
    [warning] = [warning for warning in project.report("audit.json").warnings if "cleaned copy" in warning]
    assert "student was trained on cleaned.jsonl, a cleaned copy of with: its figures of canaries are also" in warning


def test_what_they_show_can_be_accepted_until_a_student_shows_more(project: AuditProject, planted: Path) -> None:
    project.configure(**SETTINGS, kdmem_canaries="canaries.json", kdmem_baseline_file="accepted.json")
    project.gates(
        """
        def test_canaries(canaries, student, accepted):
            assert canaries(student).exposure(16) <= accepted
            assert canaries(student).recited(16) <= accepted
            assert canaries(student).tpr(0.01, 16) <= accepted
        """
    )
    project.run(NOISE, "--kdmem-update-baseline-file").assert_outcomes(passed=1)
    project.run(NOISE).assert_outcomes(passed=1)
    declare(project, planted, student=planted / "saw", baseline=planted / "unseen")
    result = project.run(NOISE, "--kdmem-report=audit.json")
    result.assert_outcomes(failed=1)
    assert "canary exposure (16 copies) of student" in project.failures(result)[0]
    assert {gate.outcome for gate in project.report("audit.json").gates} <= {"fail", "inconclusive"}


def test_an_audit_from_python_holds_every_number_of_copies_against_the_threshold(
    project: AuditProject, planted: Path
) -> None:
    arguments: Any = {"training_set": project.path / "with.jsonl", "canaries": project.path / "canaries.json"}
    arguments |= {"prefix_tokens": 8, "suffix_tokens": 8, "window_tokens": 24, "cache_dir": project.path / ".kdmem"}
    arguments |= {"accept_reading": "noise", "device": "cpu", "student": planted / "saw"}
    report = audit(gates={"max_canary_exposure": 4.5}, **arguments)
    assert [gate.metric for gate in report.gates] == [f"canary exposure ({at})" for at in ("1 copy", "16 copies")]
    assert report.gates[1].outcome == "fail"
    assert report.passed is False
    shown = {figure.label: figure.estimate for figure in report.record.audits[0].figures if figure.family == "canaries"}
    assert shown["exposure, 16 copies"].to_json() == report.gates[1].estimate.to_json()
    with pytest.raises(SpecError, match="120 twins can show no more"):
        audit(gates={"max_canary_exposure": 7}, **arguments)
