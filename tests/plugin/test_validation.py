"""Settings that cannot be audited are refused before anything is collected or loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.plugin.settings import read_settings
from pytest_kdmem.plugin.validation import check_settings, persistent_source, update_error
from tests.audit_project import ALONE

GATE = "def test_rate(memorization, student): pass"


def everything(folder: Path) -> dict[str, bytes]:
    """Every file by path, but for compiled Python."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.mark.parametrize("place", ["option", "environment", "configuration"])
def test_a_wrong_value_is_a_usage_error_before_anything_happens(audit_project, monkeypatch, place):
    if place == "configuration":
        audit_project.configure(kdmem_sample=0)
    if place == "environment":
        monkeypatch.setenv("KDMEM_SAMPLE", "0")
    audit_project.gates(GATE)
    before = everything(audit_project.path)
    result = audit_project.run(*(["--kdmem-sample=0"] if place == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "a whole number of at least 1" in result.stderr.str()
    assert "Traceback" not in result.stderr.str()
    assert everything(audit_project.path) == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--kdmem-window-tokens=19", "--kdmem-prefix-tokens=12", "--kdmem-suffix-tokens=8"], r"\(12 \+ 8 = 20\)"),
        (["--kdmem-student=no/such/folder"], "--kdmem-student: a model folder was expected at no/such/folder"),
        (["--kdmem-training-set=no/such/data.npy"], "--kdmem-training-set: .*no/such/data.npy"),
        (["--kdmem-control-set=s3://KEY:SECRET@bucket/x.jsonl"], "--kdmem-control-set: "),
        (["--kdmem-shard=1/4", "--kdmem-no-cache"], "--kdmem-shard must store its scores"),
        (["--kdmem-shard=1/4", "--kdmem-report=a.json"], "--kdmem-report: a report covers whole audits"),
    ],
)
def test_settings_that_do_not_fit_are_refused(pytester, arguments, expected):
    with pytest.raises(pytest.UsageError, match=expected) as error:
        check_settings(read_settings(pytester.parseconfig(*ALONE, *arguments)))
    assert "SECRET" not in str(error.value)


def test_settings_that_fit_are_not_refused(pytester, cast):
    data = pytester.path / "data.txt"
    data.write_text("words")
    arguments = [f"--kdmem-student={cast.student}", "--kdmem-teacher=someone/model", f"--kdmem-training-set={data}"]
    check_settings(read_settings(pytester.parseconfig(*ALONE, *arguments, "--kdmem-shard=1/4")))


def test_an_option_for_one_run_is_found_wherever_it_is_set_for_every_run(pytester, monkeypatch):
    flag = "--kdmem-shard"
    config = pytester.parseconfig(*ALONE, f"{flag}=1/4")
    assert persistent_source(config, read_settings(config), flag) == ""
    config = pytester.parseconfig(*ALONE)
    assert persistent_source(config, read_settings(config), flag) == ""
    monkeypatch.setenv("KDMEM_SHARD", "1/4")
    assert persistent_source(config, read_settings(config), flag) == "KDMEM_SHARD"
    monkeypatch.delenv("KDMEM_SHARD")
    monkeypatch.setenv("PYTEST_ADDOPTS", f"{flag}=1/4")
    config = pytester.parseconfig(*ALONE)
    assert persistent_source(config, read_settings(config), flag) == flag


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ""),
        (["--kdmem-update-baseline-file"], "none is named; set --kdmem-baseline-file"),
        (["--kdmem-update-baseline-file", "--kdmem-baseline-file=a.json"], ""),
        (
            ["--kdmem-update-baseline-file", "--kdmem-baseline-file=a.json", "--kdmem-shard=1/4"],
            "scores a part, whose figures cannot be accepted",
        ),
    ],
)
def test_figures_are_accepted_of_whole_runs_into_a_file_that_is_named(pytester, arguments, expected):
    config = pytester.parseconfig(*ALONE, *arguments)
    error = update_error(config, read_settings(config))
    assert bool(error) == bool(expected)
    assert expected in error


def test_folder_elsewhere_does_not_put_the_configuration_out(audit_project):
    """pytest looks for its configuration above every argument that is a path, before it knows our options."""
    audit_project.configure(kdmem_max_memorization_rate=0.125)
    audit_project.gates("""
        def test_threshold(thresholds):
            assert thresholds.max_memorization_rate == 0.125
    """)
    result = audit_project.run("--kdmem-student", str(audit_project.cast.baseline))
    assert result.ret == pytest.ExitCode.OK or "--kdmem-student=" in result.stderr.str()


def test_missing_folder_by_option_loads_no_torch(pytester):
    pytester.makeconftest("""
        import atexit, sys
        from pathlib import Path

        atexit.register(lambda: Path("torch").write_text(str("torch" in sys.modules)))
    """)
    pytester.makepyfile("def test_rate(memorization, student): pass")
    result = pytester.runpytest_subprocess("--kdmem-student", "no/such/folder")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--kdmem-student: a model folder was expected at no/such/folder" in result.stderr.str()
    assert (pytester.path / "torch").read_text() == "False"


@pytest.mark.parametrize(("variable", "meant"), [("MIN_REDUCTON", "MIN_REDUCTION"), ("STUDNET", "STUDENT")])
def test_a_misspelt_variable_is_refused_and_the_right_one_named(pytester, run_pytest, monkeypatch, variable, meant):
    monkeypatch.setenv(f"KDMEM_{variable}", "5")
    pytester.makepyfile("def test_other(): pass")
    result = run_pytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"KDMEM_{variable}: a setting was expected" in result.stderr.str()
    assert f"KDMEM_{meant}?" in result.stderr.str()


def test_a_misspelt_key_of_the_configuration_is_refused(pytester, run_pytest):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_min_reducton = 5.0")
    pytester.makepyfile("def test_other(): pass")
    result = run_pytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "kdmem_min_reducton: a setting was expected" in result.stderr.str()
    assert "kdmem_min_reduction?" in result.stderr.str()


@pytest.mark.parametrize("addopts", [False, True])
def test_a_misspelt_option_is_refused_with_the_one_that_is_meant(pytester, addopts):
    pytester.makepyfile("def test_other(): pass")
    pytester.makepyprojecttoml("[tool.pytest]\naddopts = ['--kdmem-studnt=runs/student']" if addopts else "")
    result = pytester.runpytest_subprocess(*([] if addopts else ["--kdmem-studnt=runs/student"]))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--kdmem-studnt: a setting was expected, and there is none of this name; --kdmem-student?" in (
        result.stderr.str()
    )
