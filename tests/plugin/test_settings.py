"""The value of every setting: where it may stand, which place wins, and which values are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.plugin.settings import Settings, path_from_root, read_settings, remove_reports
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.options import OPTIONS
from tests.audit_project import ALONE, toml

CHOICES = ("blocks", "documents", "float32", "bfloat16", "transformers", "cpu", "cuda", "local", "ray", "vllm", "auto")
CHOICES += ("file", "once", "never", "uint16", "uint32")
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
        "truth": (True, False),
        "path": ("someone/first", "someone/second", "first.json", "second.json"),
        "text": (
            *CHOICES,
            "1/2",
            "2/2",
            "student:role",
            "baseline:role",
            "bos-first",
            "eos-first",
            "body",
            "content",
            "mlflow",
            "trackio",
            "none",
            "messages=turns",
            "GB",
            "US,DE",
            "assistant",
            "all",
            "group",
            "copies",
        ),
    }[option.kind]
    fitting = [value for value in candidates if not option.check(value)]
    first = next(value for value in fitting if value != option.default)
    return first, next(value for value in fitting if value != first)


FIRST = {option.key: two_values(option)[0] for option in OPTIONS}
SECOND = {option.key: two_values(option)[1] for option in OPTIONS}


def as_variable(option: Option, value: Any) -> str:
    return value[0] if option.kind == "paths" else str(value)


def as_arguments(option: Option, value: Any) -> list[str]:
    if option.kind == "flag":
        return [option.flag]
    return [option.flag, *value] if option.kind == "paths" else [option.flag, str(value)]


def resolved(pytester: pytest.Pytester, *arguments: str) -> Settings:
    return read_settings(pytester.parseconfig(*ALONE, *arguments))


def assert_all(settings: Settings, expected: dict[str, Any], origin: str) -> None:
    """Each value has come from where it was expected, and in its own type."""
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in settings.values.items()}
    assert values == expected
    assert {key: type(value) for key, value in values.items()} == {key: type(value) for key, value in expected.items()}
    assert set(settings.origins.values()) == {origin}


def test_defaults_hold_if_nothing_is_set(pytester):
    defaults = {option.key: list(option.default) if option.kind == "paths" else option.default for option in OPTIONS}
    settings = resolved(pytester)
    assert_all(settings, defaults, "default")
    assert settings.given == {}


def test_native_configuration_is_read_in_its_own_type(pytester):
    lines = toml({f"kdmem_{key}": value for key, value in FIRST.items()})
    pytester.makepyprojecttoml(f"[tool.pytest]\nstrict = true\n{lines}")
    assert_all(resolved(pytester), FIRST, "configuration")


def test_ini_configuration_is_read_from_text(pytester):
    texts = {
        option.key: "\n  " + "\n  ".join(FIRST[option.key])
        if option.kind == "paths"
        else str(FIRST[option.key]).lower()
        if option.kind == "flag"
        else str(FIRST[option.key])
        for option in OPTIONS
    }
    pytester.makeini("[pytest]\n" + "\n".join(f"kdmem_{key} = {text}" for key, text in texts.items()))
    assert_all(resolved(pytester), FIRST, "configuration")


def test_the_environment_beats_the_configuration(pytester, monkeypatch):
    lines = toml({f"kdmem_{key}": value for key, value in SECOND.items()})
    pytester.makepyprojecttoml(f"[tool.pytest]\n{lines}")
    for option in OPTIONS:
        monkeypatch.setenv(option.variable, as_variable(option, FIRST[option.key]))
    assert_all(resolved(pytester), FIRST, "environment")


def test_an_option_beats_the_environment(pytester, monkeypatch):
    for option in OPTIONS:
        monkeypatch.setenv(option.variable, as_variable(option, SECOND[option.key]))
    arguments = [argument for option in OPTIONS for argument in as_arguments(option, FIRST[option.key])]
    assert_all(resolved(pytester, *arguments), FIRST, "option")


def test_0_is_a_number_like_any_other(pytester):
    keys = [option.key for option in OPTIONS if option.kind == "number" and not option.check(0)]
    assert keys
    pytester.makepyprojecttoml("[tool.pytest]\n" + toml({f"kdmem_{key}": 0 for key in keys}))
    settings = resolved(pytester)
    assert [(settings[key], type(settings[key]), settings.origins[key]) for key in keys] == [
        (0.0, float, "configuration")
    ] * len(keys)


def test_a_flag_may_be_put_out_by_the_environment(pytester, monkeypatch):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_confirm = true")
    monkeypatch.setenv("KDMEM_CONFIRM", "no")
    settings = resolved(pytester)
    assert (settings["confirm"], settings.origins["confirm"]) == (False, "environment")


def test_a_path_of_the_configuration_begins_at_its_folder(tmp_path):
    (tmp_path / "model").mkdir()
    assert path_from_root("model", tmp_path) == str(tmp_path / "model")
    assert path_from_root("someone/model", tmp_path) == "someone/model"  # a hub id
    for origin, expected in (("configuration", tmp_path / "scores"), ("option", Path("scores"))):
        values, origins = (
            {"cache_dir": "scores", "baseline_file": "scores"},
            {"cache_dir": origin, "baseline_file": origin},
        )
        settings = Settings(values, origins, {}, tmp_path)
        assert (settings.cache_dir, settings.baseline_file) == (expected, expected)


def test_a_report_is_removed_and_never_the_accepted_figures(tmp_path):
    report = tmp_path / "audit.json"
    report.write_text("of another run")
    values = {"report": [str(report)], "baseline_file": str(tmp_path / "accepted.json")}
    origins, places = dict.fromkeys(values, "option"), {"report": "--kdmem-report"}
    remove_reports(Settings(values, origins, places))
    assert not report.exists()
    report.mkdir()
    with pytest.raises(pytest.UsageError, match="--kdmem-report: a report cannot be written to"):
        remove_reports(Settings(values, origins, places))
    with pytest.raises(pytest.UsageError, match="name another file"):
        remove_reports(Settings(values | {"baseline_file": str(report)}, origins, places))


WRONG = [
    ("engine", "tensorflow", "one of auto, transformers"),
    ("dtype", "int8", "one of auto, float32, bfloat16, float16"),
    ("device", "toaster", "one of auto, cpu, cuda"),
    ("form", "lines", "one of documents, blocks"),
    ("max-memorization-rate", "-0.1", "a share of at least 0 and below 1"),
    ("max-memorization-rate", "1", "below 1 (1% is 0.01); found '1'"),
    ("max-memorization-rate", "0.1%", "a number (1% is 0.01); found '0.1%'"),
    ("max-memorization-rate", "nan", "a share of at least 0 and below 1"),
    ("max-inheritance-ratio", "few", "a number"),
    ("min-reduction", "-1", "a number"),
    ("min-reduction", "0", "a number above 0"),
    ("confidence", "1", "a number between 0.5 and 0.9999"),
    ("confidence", "0.3", "a number between 0.5 and 0.9999"),
    ("prefix-tokens", "0", "a whole number of at least 1"),
    ("suffix-tokens", "-5", "a whole number of at least 1"),
    ("sample", "0", "a whole number of at least 1"),
    ("sample", "1.5", "a whole number"),
    ("batch-size", "many", "a whole number"),
    ("seed", "-1", "a whole number of at least 0"),
    ("report", "out.docx", "ending in"),
]


@pytest.mark.parametrize("place", ["option", "environment"])
def test_a_wrong_value_is_refused_and_its_place_named(pytester, monkeypatch, place):
    config = pytester.parseconfig(*ALONE)
    for name, value, expected in WRONG:
        key, variable = name.replace("-", "_"), f"KDMEM_{name.replace('-', '_').upper()}"
        with monkeypatch.context() as patched:
            if place == "environment":
                patched.setenv(variable, value)
            else:
                patched.setattr(config.option, f"kdmem_{key}", [value] if key == "report" else value)
            with pytest.raises(pytest.UsageError) as error:
                read_settings(config)
        assert expected in str(error.value)
        assert str(error.value).startswith(variable if place == "environment" else f"--kdmem-{name}")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("engine", "tensorflow", "one of auto, transformers"),
        ("sample", 0, "a whole number of at least 1"),
        ("sample", 1.5, "int"),
        ("sample", "ten", "int"),
        ("max_memorization_rate", -1, "a share of at least 0 and below 1"),
        ("max_memorization_rate", "little", "float"),
        ("confirm", "perhaps", "bool"),
        ("report", ["out.docx"], "ending in"),
    ],
)
def test_a_wrong_value_in_the_configuration_is_refused(pytester, key, value, expected):
    pytester.makepyprojecttoml(f"[tool.pytest]\nkdmem_{key} = {json.dumps(value)}")
    with pytest.raises(pytest.UsageError, match=f"(?s)kdmem_{key}.*{expected}"):
        resolved(pytester)


def test_a_wrong_truth_in_the_environment_is_refused(pytester, monkeypatch):
    monkeypatch.setenv("KDMEM_CONFIRM", "perhaps")
    with pytest.raises(pytest.UsageError, match="KDMEM_CONFIRM must be true or false; found 'perhaps'"):
        resolved(pytester)


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
