"""Under pytest-xdist an audit says and writes what it says and writes alone."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

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


def test_two_workers_tell_and_write_what_one_process_does(unscored_project, monkeypatch):
    unscored_project.gates(AUDIT)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    path = unscored_project.path
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path / "apart.md"))
    apart = unscored_project.run_workers(2, "--kdmem-report=apart.json", "--junitxml=apart.xml")
    assert len(unscored_project.shards) == 3  # of the workers that asked for one model, one scored it
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path / "alone.md"))
    alone = unscored_project.run("--kdmem-report=alone.json", "--junitxml=alone.xml")
    for result in (apart, alone):
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        result.assert_outcomes(passed=1, failed=2, errors=1)
    assert sorted(unscored_project.failures(apart)) == sorted(unscored_project.failures(alone))
    assert apart.stdout.str().count("memorization audit") == alone.stdout.str().count("memorization audit") == 1
    reports = [json.loads((unscored_project.path / name).read_text()) for name in ("apart.json", "alone.json")]
    for report in reports:
        del report["created"]
        assert report["settings"].pop("report")
    orders = [[gate["nodeid"] for gate in report["gates"]] for report in reports]
    for report in reports:
        report["gates"].sort(key=lambda gate: gate["nodeid"])
    assert [gate["outcome"] for gate in reports[0]["gates"]] == ["fail", "error", "fail", "pass"]
    assert reports[0] == reports[1]
    assert orders[0] == orders[1]
    assert [(path / f"{name}.md").read_text().count("Do not ship") for name in ("apart", "alone")] == [1, 1]
    annotations = [sorted(line for line in run.outlines if line.startswith("::")) for run in (apart, alone)]
    assert len(annotations[0]) == 3
    assert annotations[0] == annotations[1]
    properties = [junit_properties(path / f"{name}.xml") for name in ("apart", "alone")]
    assert properties[0]["test_rate"]["kdmem_outcome"] == "fail"
    assert properties[0] == properties[1]


def junit_properties(path: Path) -> dict[str, dict[str, str]]:
    """Properties of each test case, by its name."""
    return {
        case.get("name"): {element.get("name"): element.get("value") for element in case.iter("property")}
        for case in ElementTree.parse(path).getroot().iter("testcase")
    }


def test_gates_of_a_worker_that_crashed_do_not_pass(audit_project):
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
    result = audit_project.run_workers(1, "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    audit = audit_project.report("audit.json")
    assert [(gate.name, gate.outcome) for gate in audit.gates] == [
        ("test_a", "error"),
        ("test_b", "error"),
        ("test_c", "pass"),
    ]
    assert "the process that ran it ended" in audit.gates[0].reason
    result.stdout.fnmatch_lines(["*✗ 2 gates could not be evaluated: error*", "*✗ a *", "*✗ b *"])


@pytest.mark.slow
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
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    result = audit_project.run_workers(2, "--kdmem-no-cache")
    result.assert_outcomes(passed=4)
    assert len((audit_project.path / "opened").read_text().split()) == 3
    assert not list(tmp_path.glob("kdmem-*/scores"))
