"""A worker of pytest-xdist tells each change of its progress, and examples now and then."""

from __future__ import annotations

from dataclasses import astuple

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.base.task_progress import TaskState
from pytest_kdmem.plugin import worker_progress
from pytest_kdmem.plugin.progress import progress_of
from pytest_kdmem.plugin.worker_progress import ToldProgress
from tests.audit_project import ALONE


def test_a_worker_tells_each_change_and_examples_now_and_then(monkeypatch):
    monkeypatch.setattr(worker_progress, "SECONDS_BETWEEN_MESSAGES", 3600.0)
    told: list[tuple] = []
    progress = ToldProgress(told.append)
    progress.status("opening student")
    progress.status("")
    progress.start("student", 900)
    for _ in range(100):
        progress.advance(1)
    progress.status("loading the model")
    progress.finish()
    progress.advance(1)
    states = [TaskState(*message) if message else None for message in told]
    assert [state and (state.what, state.done, state.status) for state in states] == [
        ("", 0, "opening student"),
        None,
        ("student", 0, ""),
        ("student", 1, ""),
        ("student", 100, "loading the model"),
        None,
    ]
    monkeypatch.setattr(worker_progress, "SECONDS_BETWEEN_MESSAGES", 0.0)
    progress.start("student", None)
    progress.expect(20, is_estimate=True)
    progress.note("loss 2.1")
    progress.advance(3)
    assert told[-1] == (*astuple(TaskState("student", 20, True, 3, None, "loss 2.1", "")),)


def test_an_audit_goes_on_when_nobody_looks_on_any_more():
    calls: list[object] = []

    def closed(message: object) -> None:
        calls.append(message)
        raise OSError("cannot send")

    progress = ToldProgress(closed)
    progress.start("student", 4)
    progress.finish()
    assert len(calls) == 1


def test_a_worker_without_an_onlooker_shows_none(pytester):
    config = pytester.parseconfigure(*ALONE)
    config.workerinput = {}
    assert progress_of(config) is NO_PROGRESS
