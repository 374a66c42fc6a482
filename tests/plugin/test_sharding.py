"""`--kdmem-shard`: parts of a run that hold no gate, and the audit that finds them all."""

from __future__ import annotations

import pytest

AUDIT = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0

def test_teacher_after_student(memorization, student, teacher):
    assert memorization(student).rate < memorization(teacher).rate

def test_reduction(inheritance):
    assert inheritance().reduction >= 1.4
"""


@pytest.fixture
def shards_of_4(monkeypatch):
    """Shards small enough for four parts to have some each."""
    from pytest_kdmem.specs.runtime import RunSettings

    assert RunSettings().examples_per_shard == RunSettings.__init__.__defaults__[-1]
    monkeypatch.setattr(RunSettings.__init__, "__defaults__", (*RunSettings.__init__.__defaults__[:-1], 4))


def scores(project):
    return {path.name for path in (project.path / ".kdmem").rglob("scores/**/*.parquet")}


def test_parts_hold_no_gate_and_together_are_one_run(unscored_project, shards_of_4):
    unscored_project.gates(AUDIT)
    unscored_project.run("--kdmem-cache-dir=whole", "--kdmem-report=whole.json")
    whole = {path.name for path in (unscored_project.path / "whole").rglob("scores/**/*.parquet")}
    seen = set()
    for part in range(1, 5):
        result = unscored_project.run(f"--kdmem-shard={part}/4")
        assert result.ret == pytest.ExitCode.OK
        result.assert_outcomes(skipped=3)
        result.stdout.fnmatch_lines([f"*part {part}/4 is scored, and no gate was evaluated*"])
        assert seen < scores(unscored_project)
        seen = scores(unscored_project)
    assert seen == whole
    result = unscored_project.run("--kdmem-report=merged.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    merged, alone = (unscored_project.report(name).to_json() for name in ("merged.json", "whole.json"))
    for gate in alone["gates"]:
        gate["command"] = gate["command"].replace(" --kdmem-cache-dir=whole", "")
    for key in ("memorization", "memorized_examples", "inheritance", "gates"):
        assert merged[key] == alone[key]


@pytest.mark.parametrize("part", ["0/4", "5/4", "a/4", "3", "3/", "-1/4", "1/4/2", "³/4"])
def test_a_part_that_is_none_is_refused(audit_project, part):
    audit_project.gates(AUDIT)
    result = audit_project.run(f"--kdmem-shard={part}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--kdmem-shard must be of the form 3/16, the third of 16 parts; found {part!r}*"])


@pytest.mark.parametrize("argument", ["--kdmem-report=audit.json", "--kdmem-no-cache"])
def test_what_a_part_cannot_give_is_refused(audit_project, argument):
    audit_project.gates(AUDIT)
    result = audit_project.run("--kdmem-shard=1/4", argument)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--kdmem-shard*"])


@pytest.mark.parametrize("way", ["configuration", "addopts", "environment", "PYTEST_ADDOPTS"])
def test_a_part_is_named_on_the_command_line_alone(audit_project, monkeypatch, way):
    audit_project.gates(AUDIT)
    if way == "configuration":
        audit_project.configure(kdmem_shard="1/4")
    elif way == "addopts":
        audit_project.configure(addopts=["--kdmem-shard=1/4"])
    else:
        name, value = ("KDMEM_SHARD", "1/4") if way == "environment" else (way, "--kdmem-shard=1/4")
        monkeypatch.setenv(name, value)
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*A part belongs to one run: --kdmem-shard was expected on the command line*"])


def test_a_test_that_catches_everything_does_not_pass_in_a_part(audit_project):
    audit_project.gates("""
        import contextlib

        def test_caught(memorization, student):
            with contextlib.suppress(Exception):
                assert memorization(student).rate <= 0

        def test_asks_for_nothing(thresholds):
            pass
    """)
    result = audit_project.run("--kdmem-shard=1/1")
    result.assert_outcomes(skipped=2)


def test_a_report_of_an_earlier_run_does_not_stand_for_a_part(audit_project):
    audit_project.gates(AUDIT)
    audit_project.configure(kdmem_report=["audit.json"])
    audit_project.run()
    assert (audit_project.path / "audit.json").is_file()
    audit_project.run("--kdmem-shard=1/4")
    assert not (audit_project.path / "audit.json").exists()


def test_the_lack_of_rows_in_a_whole_run_is_an_error(unscored_project, monkeypatch):
    from pytest_kdmem.scoring.executors.local import LocalExecutor

    def loses_all(executor, job, shards, progress):
        list(shards)
        yield from ()

    monkeypatch.setattr(LocalExecutor, "score", loses_all)
    unscored_project.gates(AUDIT)
    result = unscored_project.run()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*Rows of every shard of data.npy were expected of the local executor*"])


def test_raising_what_a_part_raises_skips_nothing_in_a_whole_run(audit_project):
    audit_project.gates("""
        from pytest_kdmem.errors import PartScored

        def test_raises(memorization):
            raise PartScored("done")
    """)
    audit_project.run().assert_outcomes(errors=1)


def test_workers_of_a_part_are_heard(audit_project):
    audit_project.gates(AUDIT)
    result = audit_project.run_workers(1, "--kdmem-shard=1/1")
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=3)
    result.stdout.fnmatch_lines(["*part 1/1 is scored, and no gate was evaluated*"])


def test_an_error_in_a_part_is_an_error(audit_project):
    audit_project.gates("""
        from pytest_kdmem import Model

        def test_gone(memorization):
            memorization(Model("no/such/folder"))
    """)
    result = audit_project.run("--kdmem-shard=1/4")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*part 1/4 is not complete*"])
