"""The GitHub Action, the GitLab job and the workflows that `kdmem init` writes are valid for the two services."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from pytest_kdmem.cli.starter import Starter, write_starter

ROOT = Path(__file__).parents[1]


def check(path: Path, schema: str) -> None:
    """Validate a file by a schema that check-jsonschema brings along."""
    from check_jsonschema import main

    with pytest.raises(SystemExit) as ended:
        main(["--builtin-schema", schema, str(path)])
    assert ended.value.code in (0, None)


@pytest.mark.parametrize(
    ("name", "schema"),
    [("action.yml", "vendor.github-actions"), ("ci/gitlab/kdmem.gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_shipped_files_validate(name: str, schema: str) -> None:
    check(ROOT / name, schema)


@pytest.mark.parametrize("folder", ["audits", "a b/it's", "${{ secrets.X }}", 'x"\n- run: id'])
@pytest.mark.parametrize(
    ("workflow", "schema"), [("github", "vendor.github-workflows"), ("gitlab", "vendor.gitlab-ci")]
)
def test_written_workflows_validate_and_run_the_audit_alone(
    tmp_path: Path, folder: str, workflow: str, schema: str
) -> None:
    written = write_starter(Starter(tmp_path / folder, tmp_path, workflow=workflow))[-1]
    check(written, schema)
    content = yaml.safe_load(written.read_text())
    job = content["jobs"]["audit"] if workflow == "github" else content["memorization-audit"]
    audits = job["env"]["AUDITS"] if workflow == "github" else job["variables"]["AUDITS"]
    assert audits.replace("${{ '${{' }}", "${{") == folder
    expressions = re.findall(r"\$\{\{(.*?)\}\}", written.read_text())
    assert {expression.strip() for expression in expressions} <= {
        "github.run_id", "'${{'", "github.token", "steps.audit.outcome == 'success' && '0' || '1'",
        "steps.upload.outputs.artifact-url",
    }  # fmt: skip


def test_no_script_of_the_action_contains_an_input() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    assert not [step["run"] for step in steps if "${{" in step.get("run", "")]


def write_printing_python(folder: Path) -> None:
    """A command `python` that prints its arguments and fails."""
    (folder / "python").write_text('#!/bin/sh\nfor argument in "$@"; do echo "<$argument>"; done\nexit 7\n')
    (folder / "python").chmod(0o755)


def test_the_script_of_the_action_passes_arguments_unchanged(tmp_path: Path) -> None:
    """The script runs as on a runner, with a `python` that prints its arguments."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    [script] = [step["run"] for step in steps if step.get("id") == "audit"]
    write_printing_python(tmp_path)
    given = {
        "AUDITS": "my audits; id", "ARGUMENTS": "--kdmem-sample=10\n\n-k a b $(id)\n", "REPORT": "a.json", "HTML": "",
        "SARIF": "s.sarif", "PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(tmp_path / "output"),
    }  # fmt: skip
    ended = subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=given, capture_output=True, text=True)
    assert ended.returncode == 7, ended.stderr
    assert ended.stdout.splitlines() == [
        "<-m>", "<pytest>", "<my audits; id>", "<--kdmem-sample=10>", "<-k a b $(id)>", "<--kdmem-report=a.json>",
        "<--kdmem-report=s.sarif>",
    ]  # fmt: skip
    assert (tmp_path / "output").read_text() == "exit-code=7\n"


def test_what_comments_is_run_after_the_audit_and_changes_no_outcome() -> None:
    """A step that may fail is one whose failure the job ignores; the audit's own is none of these."""
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    [audit] = [number for number, step in enumerate(steps) if step.get("id") == "audit"]
    [comment] = [number for number, step in enumerate(steps) if "comment" in step.get("run", "")]
    ignored = [number for number, step in enumerate(steps) if step.get("continue-on-error")]
    assert audit < comment
    assert comment in ignored
    assert audit not in ignored
    assert all("always()" in steps[number]["if"] for number in ignored)
    assert "--post=github" in steps[comment]["run"]
    assert not any("token" in str(step).lower() for number, step in enumerate(steps) if number != comment)


@pytest.mark.parametrize(
    ("before", "expected"), [("", "/runner/kdmem-before.json"), ("old $(id).json", "old $(id).json")]
)
def test_the_script_that_comments_passes_arguments_unchanged(tmp_path: Path, before: str, expected: str) -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    [script] = [step["run"] for step in steps if "comment" in step.get("run", "")]
    write_printing_python(tmp_path)
    given = {
        "REPORT": "a; id.json", "BEFORE": before, "LINK": "https://host/a", "NAME": "my audit", "EXIT_CODE": "1",
        "RUNNER_TEMP": "/runner", "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    ended = subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=given, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "<-m>", "<pytest_kdmem>", "<comment>", "<a; id.json>", f"<--before={expected}>", "<--link=https://host/a>",
        "<--name=my audit>", "<--exit-code=1>", "<--post=github>",
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "code"), [("success", "0"), ("failed", "1"), ("canceled", "1")])
@pytest.mark.parametrize("origin", ["shipped", "written"])
def test_gitlab_s_note_is_made_with_the_job_s_outcome(tmp_path: Path, status: str, code: str, origin: str) -> None:
    path = ROOT / "ci/gitlab/kdmem.gitlab-ci.yml"
    if origin == "written":
        path = write_starter(Starter(tmp_path / "audits", tmp_path, workflow="gitlab"))[-1]
    [job] = yaml.safe_load(path.read_text()).values()
    write_printing_python(tmp_path)
    (tmp_path / "python").rename(tmp_path / "kdmem")
    given = {
        "CI_MERGE_REQUEST_IID": "5", "GITLAB_TOKEN": "secret", "CI_JOB_STATUS": status, "CI_JOB_NAME": "my audit",
        "CI_JOB_URL": "https://host/job", "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    [script] = job["after_script"]
    assert run_shell(script, given) == [
        "<comment>", "<audit.json>", f"<--exit-code={code}>", "<--link=https://host/job/artifacts/file/audit.html>",
        "<--name=my audit>", "<--post=gitlab>",
    ]  # fmt: skip
    for missing in ("CI_MERGE_REQUEST_IID", "GITLAB_TOKEN"):
        assert run_shell(script, given | {missing: ""}) == []


def run_shell(script: str, environment: dict[str, str]) -> list[str]:
    """The lines that a script prints."""
    return subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True).stdout.splitlines()
