"""Gates hold rates by the length of the prefix and the longest run, and reports show the curve."""

from __future__ import annotations

import pytest

GATE = "def test_context(memorization, student):\n    assert memorization(student, metrics='all').{figure} <= {most}\n"


@pytest.mark.parametrize(
    ("figure", "holds", "fails", "message"),
    [
        ("at_prefix(4).rate", 0.25, 0.2, "memorization rate at prefix 4 of student 25.00% (5 of 20) > 20.00%"),
        ("longest_run", 19, 18, "longest recited run of student 19 tokens (20 examples) > 18 tokens"),
    ],
)
def test_a_gate_holds_or_fails(audit_project, figure, holds, fails, message):
    audit_project.gates(GATE.format(figure=figure, most=holds))
    result = audit_project.run("--kdmem-report=report.json", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*How much context it takes*", "*first 12 tokens*25.00%*", "*longest run*19 tokens*"])
    keys = [entry.key for entry in audit_project.report("report.json").figures if entry.family == "context"]
    assert keys == [("context", "student", label) for label in ("first 12 tokens", "longest run")]
    audit_project.gates(GATE.format(figure=figure, most=fails))
    result = audit_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{message}*"])


def test_a_gate_at_a_prefix_that_no_example_holds_is_an_error_even_if_it_is_caught(audit_project):
    gate = GATE.format(figure="at_prefix(13).rate", most=1)
    audit_project.gates(
        gate.replace("    assert", "    try:\n        assert") + "    except Exception:\n        pass\n"
    )
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "A prefix of at most 12 tokens was expected" in result.stdout.str()
