"""What breaks inside an audit is told without what it broke on: texts and token ids stay out of every output."""

from __future__ import annotations

import pytest

BROKEN = """
    import pytest
    from pytest_kdmem.engines.transformers.engine import TransformersEngine

    def test_rate(memorization, student, monkeypatch):
        def score(engine, rows, *arguments):
            raise {error}

        monkeypatch.setattr(TransformersEngine, "score", score)
        assert memorization(student).rate <= 1
"""


@pytest.mark.parametrize("error", ["ValueError(f'row {list(rows[0].ids)}')", "KeyError(str(rows[0].ids.tolist()))"])
def test_neither_arguments_nor_messages_of_others_are_shown(unscored_project, error):
    unscored_project.gates(BROKEN.replace("{error}", error))
    result = unscored_project.run("--junitxml=junit.xml", "--showlocals")
    result.assert_outcomes(failed=1)
    shown = result.stdout.str() + result.stderr.str() + (unscored_project.path / "junit.xml").read_text()
    ids = unscored_project.cast.rows[0][:6].tolist()
    for separator in (", ", " ", ","):
        assert separator.join(map(str, ids)) not in shown
    assert "its message: not shown" in shown
    assert "scoring/job.py" in shown


def test_what_tells_of_the_machine_is_shown(unscored_project):
    unscored_project.gates(BROKEN.replace("{error}", "RuntimeError('CUDA error: device-side assert triggered')"))
    result = unscored_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError at *CUDA error: device-side assert triggered*"])


def test_what_is_raised_in_here_says_what_is_wrong(audit_project):
    audit_project.gates("""
        def test_truth(memorization, student):
            assert memorization(student)
    """)
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*A memorization is neither true nor false*"])


@pytest.mark.parametrize("role", ["training_set", "control_set"])
@pytest.mark.parametrize(
    "address", ["s3://KEY:sEcReT@bucket/x.jsonl", "s3://KEY:sEc/ReT@bucket/x", "s3://b/x?k=sEcReT"]
)
def test_passwords_in_addresses_are_refused_unread(audit_project, role, address):
    audit_project.gates("def test_rate(memorization, student):\n    assert memorization(student).rate <= 1")
    audit_project.configure(**{f"kdmem_{role}": address, "kdmem_report": ["audit.json"]})
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    shown = result.stdout.str() + result.stderr.str()
    assert f"kdmem_{role}" in shown
    assert "ReT" not in shown
    assert not (audit_project.path / "audit.json").exists()


FAILING_FIXTURE = """
    import pytest

    @pytest.fixture(scope="session")
    def checked({arguments}):
        {body}
        raise ZeroDivisionError("a bug of the audit's own")

    def test_gate(memorization, checked):
        pass

    def test_later(memorization, request):
        request.getfixturevalue("checked")
"""


@pytest.mark.parametrize(
    ("arguments", "body"), [("student", "pass"), ("request", "request.getfixturevalue('student')")]
)
def test_an_error_in_a_fixture_of_the_user_keeps_its_traceback(audit_project, arguments, body):
    """pytest calls it within hooks of ours, which are no part of what broke."""
    audit_project.gates(FAILING_FIXTURE.format(arguments=arguments, body=body))
    result = audit_project.run()
    result.assert_outcomes(errors=1, failed=1)
    assert result.stdout.str().count("E       ZeroDivisionError: a bug of the audit's own") == 2
    assert "its message: not shown" not in result.stdout.str()
