"""An audit's figures reach trackers once each, without text, and are read back by the trackers' own readers."""

from __future__ import annotations

import sys
import types

import mlflow  # noqa: F401 - a run inside this process would take what it changes of imports away again
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs import trackers as installed_trackers
from pytest_kdmem.tracking.audit_figures import audit_figures, audit_parameters
from pytest_kdmem.tracking.trackers import log_audit
from tests.report.audits import full_audit
from tests.tracking.read_back import from_mlflow, from_tensorboard, from_trackio

AUDIT = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 0.2

def test_reduction(inheritance):
    assert inheritance().reduction >= 1.4
"""
EXPECTED = {
    "kdmem/student/memorization_rate": 0.25,
    "kdmem/student/memorization_rate_low": 0.25,
    "kdmem/student/memorization_rate_high": 0.25,
    "kdmem/teacher/memorization_rate": 0.35,
    "kdmem/baseline/memorization_rate": 0.35,
    "kdmem/inheritance_ratio": 0.25,
    "kdmem/reduction": 1.4,
    "kdmem/gates_failed": 1,
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Folders of the trackers, by name."""
    folders = {name: tmp_path / name for name in ("tensorboard", "mlflow", "trackio")}
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(folders["tensorboard"]))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{folders['mlflow']}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(folders["trackio"]))
    return folders


def test_an_audit_on_two_workers_logs_once_to_every_tracker(audit_project, places):
    audit_project.configure(kdmem_log_to="tensorboard, mlflow")
    audit_project.gates(AUDIT)
    result = audit_project.run_workers(2, "--kdmem-log-to=tensorboard,mlflow,trackio", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED, result.outlines
    by_tag = from_tensorboard(places["tensorboard"])
    [(by_metric, parameters)] = from_mlflow(f"file:{places['mlflow']}")
    [(_, line)] = from_trackio(places["trackio"])
    for name, figure in EXPECTED.items():
        assert by_tag[name] == [(0, pytest.approx(figure))]
        assert [value for _, value in by_metric[name]] == [pytest.approx(figure)]
        assert line[name] == pytest.approx(figure)
    audit = audit_project.report("audit.json")
    assert by_tag.keys() == by_metric.keys() == line.keys() & by_tag.keys() == audit_figures(audit).keys()
    assert parameters == audit_parameters(audit)
    assert parameters["kdmem/student/digest"] == audit.models["student"].digest
    for folder in places.values():
        logged = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        assert logged
        assert b"zq" not in logged


def test_a_tracker_that_refuses_loses_no_report(audit_project, monkeypatch):
    audit_project.gates(AUDIT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:/dev/null/runs")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    result = audit_project.run("--kdmem-log-to=mlflow", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["Figures were to be logged to mlflow, which refused them (*).*"])
    assert audit_project.report("audit.json").memorization["student"].k == 5


def test_a_missing_package_is_named_before_anything_is_scored(unscored_project, monkeypatch):
    unscored_project.gates(AUDIT)
    monkeypatch.setitem(installed_trackers.TRACKERS, "wandb", ("no_such_module", "wandb"))
    result = unscored_project.run("--kdmem-log-to=tensorboard,wandb")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--kdmem-log-to: The package wandb was expected*pip install wandb.*"])
    assert unscored_project.shards == []


def test_wandb_gets_a_run_with_figures_and_parameters(monkeypatch):
    """By the shape of its interface: the package is not installed here."""
    calls = []

    class Run:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            calls.append("finished")

        def log(self, figures):
            calls.append(figures)

    def init(**settings):
        calls.append(settings)
        return Run()

    module = types.ModuleType("wandb")
    module.init = init
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setenv("WANDB_PROJECT", "releases")
    audit = full_audit()
    log_audit(audit, "wandb")
    settings, figures, finished = calls
    assert settings["project"] == "releases"
    assert settings["config"] == audit_parameters(audit)
    assert (figures, finished) == (audit_figures(audit), "finished")


def test_a_tracker_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setitem(installed_trackers.TRACKERS, "wandb", ("no_such_module", "wandb"))
    with pytest.raises(SpecError, match="pip install wandb"):
        log_audit(full_audit(), "wandb")
