"""The hooks are registered where an audit is collected, and change nothing for other tests."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.hooks import PLUGIN_NAME

NOTE_HOOKS = f"""
    from pathlib import Path

    def pytest_unconfigure(config):
        Path("registered").write_text(str(config.pluginmanager.has_plugin("{PLUGIN_NAME}")))
"""


@pytest.mark.parametrize(("test", "expected"), [("tmp_path", "False"), ("thresholds", "True")])
def test_hooks_are_registered_where_an_audit_is_collected(pytester, run_pytest, test, expected):
    pytester.makeconftest(NOTE_HOOKS)
    pytester.makepyfile(f"def test_any({test}): pass")
    run_pytest().assert_outcomes(passed=1)
    assert (pytester.path / "registered").read_text() == expected


def test_other_comparisons_are_explained_by_pytest_itself(audit_project):
    audit_project.gates("def test_other(thresholds):\n    assert [1, 2] == [1, 3]")
    result = audit_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*At index 1 diff: 2 != 3*"])


def test_only_a_declared_model_makes_room_for_the_one_named_for_the_run(audit_project):
    audit_project.declare(student=None)
    audit_project.gates("""
        import pytest

        @pytest.fixture
        def student():
            return "Ada"

        def test_name(student, thresholds):
            assert student == "Ada"
    """)
    result = audit_project.run("--kdmem-student=someone/else")
    result.assert_outcomes(errors=1)  # a role of an audit has the scope of the session
    assert "Fixture student was expected to be of session scope" in result.stdout.str()
