"""Under pytest-xdist an audit says and writes what it says and writes alone."""

from __future__ import annotations

import json

import pytest

AUDIT = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.2

def test_reduction(inheritance):
    assert inheritance().reduction >= 1.4

def test_baseline(memorization, baseline):
    assert memorization(baseline).rate <= 0.2

def test_broken(memorization):
    from pytest_kdmem import Model

    memorization(Model("no/such/folder"))
"""


def test_two_workers_give_the_report_of_one_process(unscored_project, monkeypatch):
    unscored_project.gates(AUDIT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pytester = unscored_project.pytester
    apart = pytester.runpytest_subprocess("-n", "2", "--kdmem-report=apart.json")
    alone = unscored_project.run("--kdmem-cache-dir=elsewhere", "--kdmem-report=alone.json")
    for result in (apart, alone):
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.assert_outcomes(passed=1, failed=2, errors=1)
    assert sorted(unscored_project.failures(apart)) == sorted(unscored_project.failures(alone))
    assert apart.stdout.str().count("memorization audit") == alone.stdout.str().count("memorization audit") == 1
    reports = [json.loads((unscored_project.path / name).read_text()) for name in ("apart.json", "alone.json")]
    for report in reports:
        del report["created"]
        assert report["settings"].pop("report")
        report["settings"].pop("cache_dir", None)
        for gate in report["gates"]:
            gate["command"] = gate["command"].replace(" --kdmem-cache-dir=elsewhere", "")
    # Of the workers that asked for the same model, one scored it.
    assert len(list((unscored_project.path / ".kdmem").rglob("scores/**/*.parquet"))) == 3
    orders = [[gate["nodeid"] for gate in report["gates"]] for report in reports]
    for report in reports:
        report["gates"].sort(key=lambda gate: gate["nodeid"])
    assert [gate["outcome"] for gate in reports[0]["gates"]] == ["fail", "error", "fail", "pass"]
    assert reports[0] == reports[1]
    assert orders[0] == orders[1]


def test_gates_of_a_worker_that_crashed_do_not_pass(audit_project, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    audit_project.gates("""
        import os

        def test_a(memorization, student):
            assert memorization(student).rate <= 0

        def test_b(memorization):
            os._exit(1)

        def test_c(memorization, student):
            assert memorization(student).rate <= 1

        def test_unit():
            assert False
    """)
    result = audit_project.pytester.runpytest_subprocess("-n", "1", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    audit = audit_project.report("audit.json")
    assert [(gate.name, gate.outcome) for gate in audit.gates] == [
        ("test_a", "error"),
        ("test_b", "error"),
        ("test_c", "pass"),
    ]
    assert "the process that ran it ended" in audit.gates[0].reason
    result.stdout.fnmatch_lines(["*✗ a: error*", "*✗ b: error*"])


def test_without_a_cache_two_workers_score_each_model_once(audit_project, monkeypatch, tmp_path):
    """Opened engines are counted by what each process writes, as the folder of their scores is gone afterwards."""
    audit_project.gates("""
        import os
        from pathlib import Path

        import pytest

        @pytest.fixture(scope="session", autouse=True)
        def counted():
            from pytest_kdmem.engines.transformers.engine import TransformersEngine

            opened = TransformersEngine.__init__

            def count(engine, model, *arguments, **settings):
                with open("opened", "a") as file:
                    file.write(f"{Path(model.source).name}\\n")
                opened(engine, model, *arguments, **settings)

            TransformersEngine.__init__ = count

        @pytest.mark.parametrize("time", range(4))
        def test_reduction(inheritance, time):
            assert inheritance().reduction >= 1
    """)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = audit_project.pytester.runpytest_subprocess("-n", "2", "--kdmem-no-cache")
    result.assert_outcomes(passed=4)
    assert len((audit_project.path / "opened").read_text().split()) == 3
    assert not list(tmp_path.glob("kdmem-*/scores"))
