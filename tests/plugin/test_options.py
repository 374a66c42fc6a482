"""Every setting: where it may stand, which place wins, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.plugin.session import session_of
from pytest_kdmem.specs.options import OPTIONS, Option

CHOICES = ("blocks", "documents", "float32", "bfloat16", "transformers", "cpu", "cuda", "local", "ray", "vllm", "auto")
WRITE_STUDENT = """
    from pathlib import Path

    def test_who(student, thresholds):
        Path("seen").write_text(student.source)
"""


def two_values(option: Option) -> tuple[Any, Any]:
    """Two different values that the option takes, the first not its default."""
    if option.kind == "flag":
        return True, False
    if option.kind == "paths":
        return ["a.json"], ["b.json"]
    candidates: tuple[Any, ...] = {
        "count": (160, 170),
        "number": (0.75, 0.85),
        "path": ("someone/one", "someone/two", "one.json", "two.json"),
        "text": (*CHOICES, "1/2", "2/2", "body", "content"),
    }[option.kind]
    fitting = [value for value in candidates if not option.check(value)]
    first = next(value for value in fitting if value != option.default)
    return first, next(value for value in fitting if value != first)


def spelled(option: Option, value: Any) -> list[str]:
    """A value on the command line."""
    if option.kind == "flag":
        return [option.flag]
    return [option.flag, *value] if option.kind == "paths" else [option.flag, str(value)]


def resolved(pytester: pytest.Pytester, option: Option, *arguments: str) -> tuple[Any, str]:
    settings = session_of(pytester.parseconfigure(*arguments)).settings
    value = settings[option.key]
    return (list(value) if option.kind == "paths" else value), settings.origins[option.key]


every_option = pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)


@every_option
def test_default_holds_where_nothing_is_set(pytester, option):
    value, origin = resolved(pytester, option)
    assert (value, origin) == (list(option.default) if option.kind == "paths" else option.default, "default")


@every_option
def test_native_configuration_is_read_in_its_own_type(pytester, option):
    value, _ = two_values(option)
    pytester.makepyprojecttoml(f"[tool.pytest]\nstrict = true\nkdmem_{option.key} = {json.dumps(value)}")
    resolved_value, origin = resolved(pytester, option)
    assert (resolved_value, type(resolved_value), origin) == (value, type(value), "configuration")


@every_option
def test_ini_configuration_is_read_from_text(pytester, option):
    value, _ = two_values(option)
    text = "\n  ".join(["", *value]) if option.kind == "paths" else str(value).lower() if value is True else str(value)
    pytester.makeini(f"[pytest]\nkdmem_{option.key} = {text}\n")
    resolved_value, origin = resolved(pytester, option)
    assert (resolved_value, type(resolved_value), origin) == (value, type(value), "configuration")


@every_option
def test_environment_beats_configuration(pytester, monkeypatch, option):
    value, other = two_values(option)
    pytester.makepyprojecttoml(f"[tool.pytest]\nkdmem_{option.key} = {json.dumps(other)}")
    monkeypatch.setenv(f"KDMEM_{option.key.upper()}", value[0] if option.kind == "paths" else str(value))
    resolved_value, origin = resolved(pytester, option)
    assert (resolved_value, type(resolved_value), origin) == (value, type(value), "environment")


@every_option
def test_option_beats_environment(pytester, monkeypatch, option):
    value, other = two_values(option)
    monkeypatch.setenv(f"KDMEM_{option.key.upper()}", other[0] if option.kind == "paths" else str(other))
    resolved_value, origin = resolved(pytester, option, *spelled(option, value))
    assert (resolved_value, type(resolved_value), origin) == (value, type(value), "option")


@every_option
def test_option_is_documented_in_help(option):
    assert option.help
    assert option.flag == f"--kdmem-{option.name}"


@pytest.mark.parametrize("option", [o for o in OPTIONS if o.kind == "number" and not o.check(0)], ids=lambda o: o.name)
def test_0_is_a_number_like_any_other(pytester, option):
    pytester.makepyprojecttoml(f"[tool.pytest]\nkdmem_{option.key} = 0")
    resolved_value, origin = resolved(pytester, option)
    assert (resolved_value, type(resolved_value), origin) == (0.0, float, "configuration")


def test_flag_may_be_put_out_by_the_environment(pytester, monkeypatch):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_confirm = true")
    monkeypatch.setenv("KDMEM_CONFIRM", "no")
    option = next(option for option in OPTIONS if option.key == "confirm")
    assert resolved(pytester, option) == (False, "environment")


WRONG = [
    ("engine", "tensorflow", "one of auto, transformers"),
    ("dtype", "int8", "one of auto, float32, bfloat16, float16"),
    ("device", "toaster", "one of auto, cpu, cuda"),
    ("form", "lines", "one of documents, blocks"),
    ("max-memorization-rate", "-0.1", "a number between 0 and 1"),
    ("max-memorization-rate", "1.5", "a number between 0 and 1"),
    ("max-memorization-rate", "nan", "a number between 0 and 1"),
    ("max-inheritance-ratio", "few", "a number"),
    ("min-reduction", "-1", "a number"),
    ("confidence", "1", "a number between 0.5 and 0.9999"),
    ("confidence", "0.3", "a number between 0.5 and 0.9999"),
    ("prefix-tokens", "0", "a whole number of at least 1"),
    ("suffix-tokens", "-5", "a whole number of at least 1"),
    ("sample", "0", "a whole number of at least 1"),
    ("sample", "1.5", "a whole number"),
    ("batch-size", "many", "a whole number"),
    ("seed", "-1", "a whole number of at least 0"),
    ("window-tokens", "19", "prefix and suffix (12 + 8 = 20)"),
    ("report", "out.docx", "ending in"),
    ("student", "no/such/folder", "no/such/folder"),
    ("training-set", "no/such/data.npy", "no/such/data.npy"),
]


@pytest.mark.parametrize("place", ["option", "environment"])
@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_wrong_value_is_a_usage_error_before_anything_happens(audit_project, monkeypatch, name, value, expected, place):
    audit_project.gates(WRITE_STUDENT)
    before = everything(audit_project.path)
    variable = f"KDMEM_{name.replace('-', '_').upper()}"
    if place == "environment":
        monkeypatch.setenv(variable, value)
    result = audit_project.run(*([f"--kdmem-{name}", value] if place == "option" else []))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = result.stderr.str()
    assert expected in message
    # Lengths that do not fit together may come from three places, so the sentence names the setting.
    assert (name if name == "window-tokens" else variable if place == "environment" else f"--kdmem-{name}") in message
    assert "Traceback" not in message
    assert everything(audit_project.path) == before


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("engine", "tensorflow", "one of auto, transformers"),
        ("sample", 0, "a whole number of at least 1"),
        ("sample", 1.5, "int"),
        ("sample", "ten", "int"),
        ("max_memorization_rate", -1, "a number between 0 and 1"),
        ("max_memorization_rate", "little", "float"),
        ("confirm", "perhaps", "bool"),
        ("report", ["out.docx"], "ending in"),
        ("window_tokens", 19, "(12 + 8 = 20)"),
    ],
)
def test_wrong_value_in_the_configuration_is_a_usage_error(audit_project, key, value, expected):
    audit_project.configure(**{f"kdmem_{key}": value})
    audit_project.gates(WRITE_STUDENT)
    before = everything(audit_project.path)
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    message = result.stderr.str()
    assert expected in message
    assert key in message.replace("-", "_")
    assert "Traceback" not in message
    assert everything(audit_project.path) == before


def test_wrong_truth_in_the_environment_is_a_usage_error(audit_project, monkeypatch):
    monkeypatch.setenv("KDMEM_CONFIRM", "perhaps")
    result = audit_project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "KDMEM_CONFIRM must be true or false; found 'perhaps'" in result.stderr.str()


@pytest.mark.parametrize("place", ["option", "environment"])
def test_student_named_for_this_run_goes_before_the_declared_one(audit_project, monkeypatch, place):
    audit_project.gates(WRITE_STUDENT)
    other = str(audit_project.cast.baseline)
    if place == "environment":
        monkeypatch.setenv("KDMEM_STUDENT", other)
    audit_project.run(*([f"--kdmem-student={other}"] if place == "option" else [])).assert_outcomes(passed=1)
    assert (audit_project.path / "seen").read_text() == other


def test_student_of_the_configuration_does_not(audit_project):
    audit_project.configure(kdmem_student=str(audit_project.cast.baseline))
    audit_project.gates(WRITE_STUDENT)
    audit_project.run().assert_outcomes(passed=1)
    assert (audit_project.path / "seen").read_text() == str(audit_project.cast.student)


def test_student_of_the_configuration_serves_where_none_is_declared(audit_project):
    audit_project.declare(student=None)
    audit_project.configure(kdmem_student=str(audit_project.cast.baseline))
    audit_project.gates(WRITE_STUDENT)
    audit_project.run().assert_outcomes(passed=1)
    assert (audit_project.path / "seen").read_text() == str(audit_project.cast.baseline)


def test_student_named_for_this_run_is_what_is_scored(audit_project):
    audit_project.gates("""
        def test_rate(memorization, student):
            assert memorization(student).rate.k == 7
    """)
    audit_project.run(f"--kdmem-student={audit_project.cast.baseline}").assert_outcomes(passed=1)


def test_folder_elsewhere_does_not_put_the_configuration_out(audit_project):
    """pytest looks for its configuration above every argument that is a path, before it knows our options."""
    audit_project.configure(kdmem_max_memorization_rate=0.125)
    audit_project.gates("""
        def test_threshold(thresholds):
            assert thresholds.max_memorization_rate == 0.125
    """)
    result = audit_project.run("--kdmem-student", str(audit_project.cast.baseline))
    assert result.ret == pytest.ExitCode.OK or "--kdmem-student=" in result.stderr.str()


def test_thresholds_come_from_the_settings(audit_project):
    audit_project.configure(kdmem_max_memorization_rate=0, kdmem_min_reduction=3)
    audit_project.gates("""
        def test_all(thresholds):
            assert thresholds.max_memorization_rate == 0
            assert thresholds.max_inheritance_ratio == 0.5
            assert thresholds.min_reduction == 3
    """)
    audit_project.run("--kdmem-max-inheritance-ratio", "0.5").assert_outcomes(passed=1)


def test_header_says_which_place_won(audit_project, monkeypatch):
    audit_project.configure(kdmem_sample=15, kdmem_seed=1)
    audit_project.gates(WRITE_STUDENT)
    monkeypatch.setenv("KDMEM_SAMPLE", "16")
    monkeypatch.setenv("KDMEM_CONFIDENCE", "0.9")
    result = audit_project.run("--kdmem-confidence", "0.99")
    result.stdout.fnmatch_lines_random(
        [
            "kdmem configuration: prefix_tokens=12, suffix_tokens=8, seed=1",
            "kdmem environment: sample=16",
            "kdmem option: confidence=0.99",
        ]
    )


def test_nothing_is_printed_where_nothing_is_audited(pytester, run_pytest, monkeypatch):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_sample = 5")
    pytester.makepyfile("def test_other(): pass")
    monkeypatch.setenv("KDMEM_SEED", "1")
    result = run_pytest("--kdmem-confidence", "0.9")
    result.assert_outcomes(passed=1)
    assert not [line for line in result.outlines if "kdmem" in line and not line.startswith(("plugins:", "rootdir:"))]
    assert "memorization audit" not in result.stdout.str()


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


def everything(folder: Path) -> dict[str, bytes]:
    """Every file by path, but for compiled Python."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


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
