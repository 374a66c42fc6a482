"""An audit from Python gives the verdicts, the figures and the record of the same audit under pytest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

import pytest_kdmem.api.audit as api_audit
from pytest_kdmem import Model, SpecError, Thresholds, TrainingSet, audit
from pytest_kdmem.errors import DataError, KdmemError
from tests.audit_project import PREFIX, SUFFIX

THRESHOLDS = {"max_memorization_rate": 0.3, "min_reduction": 1.5, "max_inheritance_ratio": 0.1}
STARTER = """
def test_rate(memorization, student, thresholds):
    assert memorization(student).rate <= thresholds.max_memorization_rate

def test_reduction(inheritance, thresholds):
    assert inheritance().reduction >= thresholds.min_reduction

def test_ratio(inheritance, thresholds):
    assert inheritance().ratio <= thresholds.max_inheritance_ratio
"""
LENGTHS = {"prefix_tokens": PREFIX, "suffix_tokens": SUFFIX}
OF_PLACES = ("name", "nodeid", "path", "line", "command", "next_step")


@pytest.fixture
def declared(audit_project):
    """The arguments of an audit whose models are scored."""
    models = {role: str(getattr(audit_project.cast, role)) for role in ("teacher", "baseline", "student")}
    data = str(audit_project.path / "data.npy")
    return models | {"training_set": data, "cache_dir": audit_project.path / ".kdmem"} | LENGTHS


def without_places(report: dict) -> dict:
    """A record without times and places: where its files lie, what its gates are called, and what to run next."""
    content = json.loads(json.dumps(report))
    del content["created"]
    content["settings"] = {key: content["settings"][key] for key in (*THRESHOLDS, *LENGTHS, "confidence")}
    content["training_set"]["source"] = ""
    for gate in content["gates"]:
        for key in OF_PLACES:
            del gate[key]
    return content


def test_pytest_and_python_give_one_record(audit_project, declared):
    audit_project.configure(**{f"kdmem_{name}": value for name, value in THRESHOLDS.items()})
    audit_project.gates(STARTER)
    audit_project.run("--kdmem-report=audit.json").assert_outcomes(passed=1, failed=2)
    report = audit(gates=THRESHOLDS, **declared)
    assert report.passed is False
    assert [gate.outcome for gate in report.gates] == ["pass", "fail", "fail"]
    written = json.loads((audit_project.path / "audit.json").read_text())
    assert without_places(report.to_json()) == without_places(written)
    report.save(audit_project.path / "again.json")
    assert json.loads((audit_project.path / "again.json").read_text()) == report.to_json()


def test_a_report_without_gates_passes_nothing(declared):
    report = audit(**declared)
    assert report.passed is None
    assert report.gates == ()
    assert report.record.audits[0].inheritance is not None
    assert audit(gates={}, **declared).passed is None


def test_every_model_that_is_given_is_scored(declared):
    del declared["baseline"]
    [result] = audit(gates={"max_memorization_rate": 0.25}, **declared).record.audits
    assert result.memorization.keys() == {"teacher", "student"}
    assert (result.failed, result.inheritance) == ((), None)


def test_an_undefined_ratio_passes_no_gate(declared, tmp_path):
    copy = shutil.copytree(declared["baseline"], tmp_path / "copy")
    report = audit(gates={"max_inheritance_ratio": 0.99}, **declared | {"student": copy})
    assert [gate.outcome for gate in report.gates] == ["inconclusive"]
    assert report.passed is False
    assert any("student and baseline are the same model" in warning for warning in report.record.audits[0].warnings)


def test_a_threshold_that_a_sample_cannot_meet_is_inconclusive(declared):
    data = TrainingSet(declared["training_set"], sample=5)
    report = audit(gates={"max_memorization_rate": 0.001}, **declared | {"training_set": data})
    assert [gate.outcome for gate in report.gates] in (["inconclusive"], ["fail"])
    assert report.passed is False
    assert "--kdmem" not in report.gates[0].next_step


def test_gates_that_need_a_model_which_is_not_given_are_refused_in_a_sentence(declared):
    del declared["baseline"]
    for gates in ({"max_inheritance_ratio": 0.1}, {"min_reduction": 2}, {"max_predicted_risk": 0.99}, Thresholds()):
        with pytest.raises(SpecError, match=r"^A baseline was expected by the gate .*; give baseline=…, or leave"):
            audit(gates=gates, **declared)
    with pytest.raises(SpecError, match="A model was expected to be audited"):
        audit(training_set=declared["training_set"])


def test_what_is_declared_wrongly_is_refused_before_anything_is_scored(declared, tmp_path):
    for changed, message in (
        ({"student": tmp_path / "nowhere"}, "nowhere"),
        ({"training_set": tmp_path / "nowhere.npy"}, "nowhere"),
        ({"gates": {"max_rate": 1}}, "found 'max_rate'"),
        ({"students": ["a"]}, "Either student or students was expected"),
        ({"risk_threshold": 0.5}, "add max_predicted_risk to gates, or leave risk_threshold out"),
        ({"control_set": declared["training_set"]}, "control"),
    ):
        with pytest.raises(KdmemError, match=message):
            audit(**declared | changed)


def test_an_error_names_settings_as_arguments(declared):
    with pytest.raises(DataError, match=r"set shorter prefix_tokens=… and suffix_tokens=…") as error:
        audit(**declared | {"prefix_tokens": PREFIX + 1})
    assert "--kdmem" not in str(error.value)


def test_a_model_that_changed_while_it_was_audited_passes_no_gate(declared, tmp_path, monkeypatch):
    student = shutil.copytree(declared["student"], tmp_path / "student")
    measured = api_audit.measured_gates

    def changed_after_it_was_measured(*arguments):
        gates = measured(*arguments)
        configuration = student / "generation_config.json"
        configuration.unlink(missing_ok=True)
        shutil.copyfile(f"{declared['teacher']}/model.safetensors", student / "model.safetensors")
        return gates

    monkeypatch.setattr(api_audit, "measured_gates", changed_after_it_was_measured)
    report = audit(gates={"max_memorization_rate": 0.99}, **declared | {"student": student})
    assert [gate.outcome for gate in report.gates] == ["error"]


def test_text_is_shown_only_if_it_is_asked_for(declared, cast, tmp_path):
    texts = tmp_path / "train.jsonl"
    texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in cast.texts))
    silent = audit(**declared | {"training_set": texts})
    assert "zq" not in json.dumps(silent.to_json()) + str(silent) + silent._repr_html_()
    assert "zq" in json.dumps(audit(show_text=True, **declared | {"training_set": texts}).to_json())


def test_nothing_is_kept_without_a_cache(declared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    del declared["cache_dir"]
    audit(student=declared["student"], training_set=declared["training_set"], no_cache=True, **LENGTHS)
    assert not list(tmp_path.rglob("*.parquet"))


def test_the_public_name_is_the_function_whatever_was_imported(declared):
    source = """
import pytest_kdmem
from pytest_kdmem import audit
first = audit
import pytest_kdmem.auditing.report
from pytest_kdmem import audit
for name in (first, audit, pytest_kdmem.audit):
    try:
        name(training_set="nowhere")
    except pytest_kdmem.SpecError as error:
        print(error)
assert pytest_kdmem.auditing.report.Report
import inspect, sys
assert inspect.signature(first) == inspect.signature(pytest_kdmem.audit)
assert not {"torch", "transformers", "pytest"} & set(sys.modules), "too much was imported"
"""
    lines = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
    assert lines.count("A model was expected to be audited") == 3


def test_a_second_audit_loads_no_torch(declared):
    arguments = {name: str(value) if name not in LENGTHS else value for name, value in declared.items()}
    source = f"""
import sys
from pytest_kdmem import audit
report = audit(gates={THRESHOLDS!r}, **{arguments!r})
print(report)
assert not {{"torch", "transformers", "datasets", "pytest"}} & set(sys.modules), "too much was imported"
"""
    lines = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
    assert lines.endswith("Do not ship: 2 of 3 gates did not pass.\n")


def test_students_are_held_to_each_gate_in_turn(declared):
    students = {"small": declared.pop("student"), "like-teacher": Model(declared["teacher"])}
    report = audit(students=students, gates={"max_memorization_rate": 0.25}, **declared)
    assert [(gate.nodeid, gate.outcome) for gate in report.gates] == [
        ("max_memorization_rate[small]", "pass"),
        ("max_memorization_rate[like-teacher]", "fail"),
    ]
    assert [result.name for result in report.record.audits] == ["[small]", "[like-teacher]"]
    assert report.passed is False


def test_students_of_whom_no_gate_is_held_are_not_judged_by_the_risk_of_the_set(declared):
    students = [declared.pop("student")]
    with pytest.raises(SpecError, match=r"A gate of each student was expected, .*or leave students out\.$"):
        audit(students=students, gates={"max_predicted_risk": 0.99}, **declared)


def test_what_is_loaded_is_told_at_once_where_a_person_looks_on(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("TERM", "xterm")
    for is_terminal in (False, True):
        monkeypatch.setattr(sys.stdout, "isatty", lambda is_terminal=is_terminal: is_terminal)
        with pytest.raises(SpecError, match="nowhere"):
            audit(student=tmp_path / "nowhere", training_set=tmp_path / "rows.npy")
        out, err = capsys.readouterr()
        assert ("kdmem: opening the audit" in out) == is_terminal
        assert err == ""


def test_a_gate_on_near_verbatim_recitation_counts_what_is_decoded_nearly(declared):
    report = audit(gates={"max_memorization_rate": 0.99, "max_near_verbatim_rate": 0.99}, **declared)
    exact, near = (gate.estimate for gate in report.gates)
    assert near.metric.startswith("near-verbatim")
    assert near.k >= exact.k > 0
    assert "near_verbatim" in {figure.family for figure in report.record.audits[0].figures}
    failing = audit(gates={"max_near_verbatim_rate": 0}, **declared)
    assert [gate.outcome for gate in failing.gates] == ["fail"]


def test_further_gates_need_what_they_measure(declared):
    for name, missing in (
        ("max_membership_tpr", "A control set was expected by the gate max_membership_tpr, .* give control_set=…"),
        ("max_membership_auc", "A control set was expected"),
        ("max_canary_exposure", "A manifest of canaries was expected by the gate .*; give canaries=…"),
    ):
        with pytest.raises(SpecError, match=missing):
            audit(gates={name: 0.5}, **declared)
    del declared["student"]
    with pytest.raises(SpecError, match="A student was expected by the gate max_near_verbatim_rate"):
        audit(gates={"max_near_verbatim_rate": 0.5}, **declared)
