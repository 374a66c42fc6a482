"""A setting that was named for a run and that no gate used means that something else was judged."""

from __future__ import annotations

import pytest

RATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.4\n"
CONSTANT = """
from pytest_kdmem import Model

def test_rate(memorization):
    assert memorization(Model({student!r})).rate <= 0.4
"""
LOOKS_AT_STUDENT = """
def test_rate(memorization, student, baseline):
    print(memorization(student).rate)
    assert memorization(baseline).rate <= 0.4
"""
WITH_THRESHOLDS = """
def test_rate(memorization, student, thresholds):
    assert memorization(student).rate <= thresholds.max_memorization_rate + 0.4
"""


@pytest.mark.parametrize(
    ("source", "options", "unused"),
    [
        (RATE, ["--kdmem-student={teacher}"], []),
        (CONSTANT, ["--kdmem-student={teacher}"], ["--kdmem-student"]),
        (LOOKS_AT_STUDENT, ["--kdmem-student={teacher}"], ["--kdmem-student"]),
        (RATE, ["--kdmem-baseline={teacher}"], ["--kdmem-baseline"]),
        (LOOKS_AT_STUDENT, ["--kdmem-baseline={teacher}"], []),
        (RATE, ["--kdmem-teacher={teacher}", "--kdmem-baseline={teacher}"], ["--kdmem-teacher", "--kdmem-baseline"]),
        (RATE, ["--kdmem-baseline-base={teacher}"], ["--kdmem-baseline-base"]),
        (RATE, ["--kdmem-control-set=data.npy"], ["--kdmem-control-set"]),
        (RATE, ["--kdmem-teacher-set=data.npy"], ["--kdmem-teacher-set"]),
        (RATE, ["--kdmem-training-set=data.npy"], []),
        (RATE, ["--kdmem-seed=1"], []),
        (RATE, ["--kdmem-max-memorization-rate=0.1"], ["--kdmem-max-memorization-rate"]),
        (WITH_THRESHOLDS, ["--kdmem-max-memorization-rate=0.1"], []),
        (RATE, ["--kdmem-risk-threshold=0.5"], ["--kdmem-risk-threshold"]),
        (RATE, ["--kdmem-dtype=float32"], []),
    ],
)
def test_a_setting_that_no_gate_used_is_an_error(audit_project, source, options, unused):
    cast = audit_project.cast
    audit_project.gates(source.replace("{student!r}", repr(str(cast.student))))
    options = [option.format(teacher=cast.teacher) for option in options]
    result = audit_project.run(*options, "--kdmem-report=audit.json")
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if unused else pytest.ExitCode.OK)
    errors = audit_project.report("audit.json").failed
    assert [gate.name for gate in errors] == unused
    assert all("was expected to be used by a gate of this run, and none used it" in gate.reason for gate in errors)


def test_accepted_differences_that_no_run_card_shows_are_warned_of(audit_project):
    audit_project.gates(RATE)
    option = "--kdmem-accept-provenance=student:training-set,student:window"
    result = audit_project.run(option, "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.OK
    [warning] = [text for text in audit_project.report("audit.json").warnings if "accept-provenance" in text]
    assert warning.startswith("--kdmem-accept-provenance accepts student:training-set, student:window, and no run card")


def test_what_a_worker_used_counts(audit_project):
    audit_project.gates(f"{RATE}\n{RATE.replace('test_rate', 'test_again')}")
    result = audit_project.run_workers(1, f"--kdmem-student={audit_project.cast.teacher}")
    assert result.ret == pytest.ExitCode.OK


def test_a_setting_of_the_configuration_need_not_be_used_by_every_run(audit_project):
    audit_project.configure(kdmem_student="no/such/folder", kdmem_max_memorization_rate=0.1)
    audit_project.gates(RATE)
    assert audit_project.run().ret == pytest.ExitCode.OK
