"""One run of pytest and what it holds: settings read once, one folder without a cache, results of its workers."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.session import session_of
from tests.audit_project import ALONE


def test_a_run_has_one_session_whose_settings_are_read_once(pytester, monkeypatch):
    config = pytester.parseconfig(*ALONE, "--kdmem-seed=3")
    session = session_of(config)
    assert session.settings["seed"] == 3
    monkeypatch.setenv("KDMEM_SAMPLE", "5")
    assert session_of(config) is session
    assert session.settings["sample"] is None
    assert session_of(pytester.parseconfig(*ALONE)).settings["sample"] == 5


def test_the_header_names_settings_by_the_place_that_they_came_from(pytester, monkeypatch):
    pytester.makepyprojecttoml("[tool.pytest]\nkdmem_seed = 1")
    monkeypatch.setenv("KDMEM_CONFIDENCE", "0.9")
    session = session_of(pytester.parseconfig(*ALONE, "--kdmem-sample=5", "--kdmem-dtype=float32"))
    assert sorted(session.settings.header()) == [
        "kdmem configuration: seed=1",
        "kdmem environment: confidence=0.9",
        "kdmem option: sample=5, dtype=float32",
    ]


def test_without_a_cache_scores_go_with_the_run(pytester):
    config = pytester.parseconfigure(*ALONE, "--kdmem-no-cache")
    folder = session_of(config).cache_dir
    assert folder.is_dir()
    assert session_of(config).cache_dir == folder
    config._ensure_unconfigure()
    assert not folder.exists()


def test_a_worker_uses_the_folder_of_the_run(pytester, tmp_path):
    config = pytester.parseconfig(*ALONE, "--kdmem-no-cache")
    config.workerinput = {"kdmem_scratch": str(tmp_path)}
    assert session_of(config).is_worker
    assert session_of(config).cache_dir == tmp_path


def test_with_a_cache_scores_lie_beside_the_configuration(pytester):
    assert session_of(pytester.parseconfig(*ALONE)).cache_dir == pytester.path / ".kdmem"


def test_an_error_of_the_whole_session_ends_it_before_any_test(pytester, run_pytest):
    pytester.makepyfile("def test_rate(memorization): open('ran', 'w')")
    pytester.makepyprojecttoml('[tool.pytest]\nkdmem_shard = "1/4"')
    result = run_pytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert not (pytester.path / "ran").exists()


def test_a_worker_that_held_no_audit_gives_no_report(pytester):
    session = session_of(pytester.parseconfig(*ALONE))
    session.take_worker_output("null")
    assert session.published is None
