"""What a session leaves for CI: a job summary, annotations at the lines of audits, JUnit properties, a short log."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest

from tests.audit_project import rows_of_cells

GATES = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.25


def test_ratio(inheritance):
    inherited = inheritance()
    assert inherited.ratio <= 0.02
"""


@pytest.fixture
def project(audit_project):
    audit_project.gates(GATES)
    return audit_project


@pytest.fixture
def summary(project, monkeypatch):
    path = project.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def annotations(result):
    return [line for line in result.outlines if line.startswith("::")]


def test_the_summary_of_a_job_is_appended_to(project, summary):
    summary.write_text("# Of another step\n")
    project.run()
    text = summary.read_text()
    assert text.startswith("# Of another step\n")
    assert "## ❌ Do not ship: 1 of 2 gates did not pass" in text


def test_a_full_summary_stays_below_what_github_takes(project, summary):
    summary.write_bytes(b"x" * (1024 * 1024 - 17_000))
    project.run()
    assert summary.stat().st_size < 1024 * 1024
    assert "Do not ship" in summary.read_text()


def test_a_summary_that_cannot_be_written_is_told(project, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "missing/summary.md"))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "summary was to be appended" in result.stdout.str()


def test_a_run_without_audits_touches_no_summary(pytester, run_pytest, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pytester.makepyfile("def test_other(): assert False")
    result = run_pytest()
    assert not (pytester.path / "summary.md").exists()
    assert annotations(result) == []


def test_an_annotation_stands_at_the_line_that_failed(project, monkeypatch):
    assert annotations(project.run()) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    [line] = annotations(project.run())
    where = GATES.splitlines().index("    assert inherited.ratio <= 0.02")
    assert line.startswith(f"::error file=test_audit.py,line={where},title=")
    assert "inheritance ratio of student 25.00%25 (1 of 4) > 2.00%25" in line


def test_where_a_plugin_annotates_already_there_is_no_second_annotation(project, monkeypatch):
    from pytest_kdmem.plugin import reporting

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(reporting, "ANNOTATING_PLUGIN", "hypothesis")  # one that is installed
    result = project.pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider")
    assert "memorization audit" in result.stdout.str()
    assert annotations(result) == []


def test_junit_has_a_gate_s_figures_as_properties(project):
    project.run("--junitxml=junit.xml")
    root = ElementTree.parse(project.path / "junit.xml")
    properties = {
        case.get("name"): {element.get("name"): element.get("value") for element in case.iter("property")}
        for case in root.iter("testcase")
    }
    assert properties["test_rate"] == {
        "kdmem_outcome": "pass", "kdmem_metric": "memorization rate", "kdmem_subject": "student", "kdmem_value": "0.25",
        "kdmem_bound": "0.25", "kdmem_k": "5", "kdmem_n": "20", "kdmem_threshold": "≤ 0.25",
    }  # fmt: skip
    assert (properties["test_ratio"]["kdmem_outcome"], properties["test_ratio"]["kdmem_value"]) == ("fail", "0.25")


def test_the_log_of_a_failing_audit_fits_a_screen(project, monkeypatch):
    """Fifty lines of a hundred columns, from pytest's first line to its last, but for the folder that pytest names."""
    monkeypatch.setenv("COLUMNS", "100")
    project.gates(GATES + "\n\ndef test_reduction(inheritance):\n    assert inheritance().reduction >= 2\n")
    result = project.run("--kdmem-report=audit.json")
    result.assert_outcomes(passed=1, failed=2)
    assert len(result.outlines) <= 50
    assert max(len(line) for line in result.outlines if line != f"rootdir: {project.path}") <= 100


def test_a_failed_gate_says_why_in_its_panel_and_in_pytest_s_last_lines(project):
    result = project.run()
    text = result.stdout.str()
    result.stdout.fnmatch_lines(["*inheritance ratio of student 25.00% (1 of 4) > 2.00%*", "* test_audit.py:7 *"])
    assert text.count("inheritance ratio of student 25.00% (1 of 4) > 2.00%") == 2
    assert "= FAILURES =" not in text
    assert "def test_ratio" not in text
    assert "def test_ratio" in project.run("-v").stdout.str()
    assert "def test_ratio" in project.run("--tb=long").stdout.str()


def test_what_a_failed_gate_printed_is_shown(project):
    project.gates('def test_ratio(inheritance):\n    print("see here")\n    assert inheritance().ratio <= 0.02\n')
    result = project.run()
    result.stdout.fnmatch_lines(
        ["*= FAILURES =*", "*test_audit.py:3: inheritance ratio*", "see here", "*✗ ratio: fail*"]
    )


@pytest.mark.parametrize("ending", ["json", "html", "md", "sarif"])
def test_every_format_is_written_by_its_ending(project, ending):
    project.run(f"--kdmem-report=out/audit.{ending}")
    text = (project.path / f"out/audit.{ending}").read_text()
    assert "inheritance ratio" in text
    assert "zq" not in text


def test_another_ending_is_refused_before_anything_runs(project):
    result = project.run("--kdmem-report=audit.pdf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "ending in .json, .html, .md, .sarif" in result.stderr.str()


def test_the_panel_of_a_failed_gate_ends_with_a_command_that_runs(project):
    import shlex

    project.run(f"--kdmem-student={project.cast.student}", "--kdmem-report=audit.json")
    [gate] = project.report("audit.json").failed
    program, *arguments = shlex.split(gate.command)
    assert program == "pytest"
    assert f"--kdmem-student={project.cast.student}" in arguments
    project.run(*arguments).assert_outcomes(failed=1)
    assert (project.path / "gate.html").exists()


def test_the_command_that_cleans_the_set_reads_it_as_the_audit_did(project, capsys):
    """The baseline recites too little to learn from, so that labels come from the student."""
    import json
    import shlex

    from pytest_kdmem.cli import main

    rows = rows_of_cells(**{"student": 15, "all": 2, "none": 30})
    texts = [" ".join(f"zq{token:03d}x" for token in row) for row in rows.tolist()]
    (project.path / "notes.jsonl").write_text("".join(json.dumps({"body": text}) + "\n" for text in texts))
    project.declare(data='TrainingSet("notes.jsonl", text_column="body")')
    project.gates(
        "def test_rates(memorization, teacher, student, baseline):\n"
        "    assert memorization(teacher).rate <= 0.5\n"
        "    assert memorization(baseline).rate <= 0.5\n"
        "    assert memorization(student).rate <= 0.01"
    )
    project.run("--kdmem-report=audit.json", "--kdmem-report=audit.html")
    [gate] = project.report("audit.json").failed
    program, *arguments = shlex.split(gate.command)
    assert (program, arguments[0]) == ("kdmem", "prefilter")
    assert {"--text-column=body", f"--labels-from={project.cast.student}"} <= {*arguments}
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code, capsys.readouterr().err
    assert (project.path / "cleaned" / "notes.jsonl").is_file()


def test_an_undecided_gate_says_the_sample_that_would_decide_it(project):
    project.configure(kdmem_accept_reading="noise")
    project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 0.001")
    np.save(project.path / "data.npy", rows_of_cells(none=20))
    project.declare(data='TrainingSet("data.npy", sample=10)')
    project.run("--kdmem-report=audit.json")
    [gate] = project.report("audit.json").failed
    assert gate.outcome == "inconclusive"
    assert (
        gate.command == "pytest test_audit.py::test_rate --kdmem-sample=20"
    )  # which is the whole set, as 2 995 are not there


def test_from_the_folder_above_places_and_commands_hold(project, monkeypatch):
    above = project.path / "above"
    project.pytester.mkdir("above")
    inner = above / "inner"
    inner.mkdir()
    for name in ("pyproject.toml", "conftest.py", "test_audit.py", "data.npy"):
        (project.path / name).rename(inner / name)
    monkeypatch.chdir(above)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(above))
    text = (inner / "conftest.py").read_text().replace('"data.npy"', repr(str(inner / "data.npy")))
    (inner / "conftest.py").write_text(text)
    result = project.run("inner")
    [line] = annotations(result)
    assert line.startswith("::error file=inner/test_audit.py,line=")
    result.stdout.fnmatch_lines(["*$ pytest inner/test_audit.py::test_ratio *"])


def test_a_share_of_the_teacher_s_own_is_asked_a_larger_sample_for_and_no_smaller_one(project):
    """Its denominator is what the teacher alone recites, of which a sample of sixteen holds four."""
    project.gates("def test_ratio(inheritance):\n    assert inheritance().ratio <= 0.7")
    project.run("--kdmem-sample=16", "--kdmem-report=audit.json")
    [gate] = project.report("audit.json").failed
    estimate = gate.estimate
    [asked] = [int(part.rpartition("=")[2]) for part in gate.command.split() if part.startswith("--kdmem-sample=")]
    assert (estimate.n, asked) == (4, 20)  # of 4 * 16, as many as there are
