"""A project that audits nothing does not notice the plugin; one that audited before does not load what it needs not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "pyarrow", "numpy", "rich", "vllm", "ray")
NOTE_MODULES = """

import sys
from pathlib import Path

def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        Path("modules").write_text("\\n".join(sys.modules))
"""


def loaded(folder: Path) -> set[str]:
    """Packages of interest that the last run in this folder had imported at its end."""
    modules = (folder / "modules").read_text().splitlines()
    assert "pytest" in modules
    return {name for name in HEAVY if name in modules}


@pytest.mark.parametrize("arguments", [["--collect-only"], [], ["--help"]], ids=["collect", "run", "help"])
def test_unrelated_project_loads_nothing(pytester, arguments):
    pytester.makeconftest(NOTE_MODULES)
    pytester.makepyfile("def test_other(tmp_path): pass")
    for name in ("with", "without"):
        off = ["-p", "no:kdmem"] if name == "without" else []
        result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:anyio", *off, *arguments)
        assert result.ret == pytest.ExitCode.OK
        assert loaded(pytester.path) == set()


def test_settings_of_an_unrelated_run_load_nothing_heavy(pytester, monkeypatch):
    monkeypatch.setenv("KDMEM_SAMPLE", "10")
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_max_memorization_rate = 0.01")
    pytester.makeconftest(NOTE_MODULES)
    pytester.makepyfile("def test_other(): pass")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:anyio")
    assert result.ret == pytest.ExitCode.OK
    assert loaded(pytester.path) == set()


def test_collecting_an_audit_loads_nothing_heavy(pytester):
    pytester.makeconftest(
        """
        import pytest
        from pytest_kdmem import Model, TrainingSet

        @pytest.fixture(scope="session")
        def student():
            return Model("runs/student")

        @pytest.fixture(scope="session")
        def training_set():
            return TrainingSet("train.jsonl")
        """
        + NOTE_MODULES.replace("\n", "\n        ")
    )
    pytester.makepyfile("def test_rate(memorization, student): assert memorization(student).rate <= 0.1")
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:anyio", "--collect-only")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines("*<Function test_rate>")
    assert loaded(pytester.path) == set()


SCHOOL = """
    import pytest

    @pytest.fixture
    def student():
        return "Ada"

    @pytest.fixture
    def teacher(student):
        return f"{student}'s teacher"

    @pytest.fixture(params=[1, 2])
    def thresholds(request):
        return request.param

    def test_names(student, teacher):
        assert (student, teacher) == ("Ada", "Ada's teacher")

    def test_thresholds(thresholds):
        assert thresholds in (1, 2)
"""


def test_own_fixtures_of_the_same_names_still_work(pytester, run_pytest):
    pytester.makepyfile(SCHOOL)
    result = run_pytest()
    result.assert_outcomes(passed=3)
    assert "kdmem" not in "".join(line for line in result.outlines if not line.startswith(("plugins:", "rootdir:")))


def test_own_fixtures_of_the_same_names_load_nothing(pytester):
    pytester.makeconftest(NOTE_MODULES)
    pytester.makepyfile(SCHOOL)
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:anyio")
    result.assert_outcomes(passed=3)
    assert loaded(pytester.path) == set()


def test_own_fixtures_of_the_same_names_make_no_audit(pytester, run_pytest):
    pytester.makepyfile("""
        import pytest

        @pytest.fixture
        def thresholds():
            return 3

        def test_red(thresholds):
            assert thresholds == 4
    """)
    result = run_pytest("--kdmem-report=audit.json")
    result.assert_outcomes(failed=1)
    assert "memorization audit" not in result.stdout.str()
    assert not (pytester.path / "audit.json").exists()


def test_a_student_named_for_an_audit_replaces_no_other_student(pytester, run_pytest, monkeypatch):
    """Audits and other tests run together: only a declared model makes room for the one named for this run."""
    pytester.makepyfile(SCHOOL)
    monkeypatch.setenv("KDMEM_STUDENT", "someone/else")
    run_pytest().assert_outcomes(passed=3)


def test_second_audit_loads_no_torch_and_scores_nothing(unscored_project):
    unscored_project.gates("""
        def test_rate(memorization, student):
            assert memorization(student).rate <= 0.25

        def test_ratio(inheritance):
            assert inheritance().ratio <= 0.25
    """)
    unscored_project.run("--kdmem-report=first.json").assert_outcomes(passed=2)
    before = {file: file.stat().st_mtime_ns for file in unscored_project.shards}
    assert len(before) == 3
    conftest = unscored_project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + NOTE_MODULES)
    result = unscored_project.pytester.runpytest_subprocess(
        "-p", "no:hypothesispytest", "-p", "no:anyio", "--kdmem-report=second.json"
    )
    result.assert_outcomes(passed=2)
    assert not loaded(unscored_project.path) & {"torch", "transformers", "datasets", "sklearn"}
    assert {file: file.stat().st_mtime_ns for file in unscored_project.shards} == before
    first, second = (json.loads((unscored_project.path / f"{name}.json").read_text()) for name in ("first", "second"))
    for key in ("models", "training_set", "memorization", "memorized_examples", "inheritance", "gates"):
        assert first[key] == second[key]


def test_changed_model_is_scored_anew(unscored_project):
    """The other side of reuse: the same path with other weights is another model."""
    unscored_project.gates("def test_rate(memorization, student): assert memorization(student).rate.k == 7")
    moving = unscored_project.path / "current"
    moving.symlink_to(unscored_project.cast.student)
    unscored_project.declare(student=moving)
    unscored_project.run().assert_outcomes(failed=1)
    moving.unlink()
    moving.symlink_to(unscored_project.cast.baseline)
    unscored_project.run().assert_outcomes(passed=1)
