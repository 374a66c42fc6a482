"""Reports of an audit in an object store: of this run or of none, and what is wrong with an address comes first."""

from __future__ import annotations

import json

import pytest

GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1"
VANISHING_BUCKET = """
    import boto3
    bucket = boto3.resource("s3").Bucket("results")
    bucket.objects.all().delete()
    bucket.delete()
"""
RECORD = "s3://results/release/audit.json"


def test_reports_are_those_of_a_disk(audit_project, bucket, monkeypatch):
    audit_project.gates(GATE)
    monkeypatch.setenv("KDMEM_REPORT", f"{RECORD}:audit.html:s3://results/release/audit.html")
    audit_project.run().assert_outcomes(passed=1)
    assert sorted(bucket.files) == ["release/audit.html", "release/audit.json"]
    assert bucket["release/audit.html"] == (audit_project.path / "audit.html").read_bytes()
    assert json.loads(bucket["release/audit.json"])["gates"][0]["outcome"] == "pass"
    assert not (audit_project.path / "s3:").exists()


def test_a_report_of_an_earlier_run_is_gone_where_a_run_ends_early(audit_project, bucket):
    audit_project.gates("import no_such_module")
    for place in ("option", "configuration"):
        bucket["release/audit.json"] = b"of another run"
        if place == "configuration":
            audit_project.configure(kdmem_report=[RECORD])
            audit_project.gates(GATE + "\n    import pytest; pytest.exit('enough', returncode=7)")
        result = audit_project.run(*[f"--kdmem-report={RECORD}"] * (place == "option"))
        assert result.ret != pytest.ExitCode.OK
        assert "release/audit.json" not in bucket.files or b"another run" not in bucket["release/audit.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([f"--kdmem-report={RECORD}", "--kdmem-show-text"], "a report with text is for its owner alone"),
        ([f"--kdmem-report={RECORD}", "--kdmem-offline"], "lies in an object store, and --kdmem-offline forbids"),
        (["--kdmem-report=s3://no-such-bucket/a.json"], "A file was to be written at s3://no-such-bucket/a.json"),
        (["--kdmem-report=s3://key:secret@results/a.json"], "without a password was expected"),
        (["--kdmem-report=s3://results/a.docx"], "must be a path ending in .json"),
        (
            ["--kdmem-cache-dir=s3://results/scores"],
            "must be a path on this machine, and not an address: copy the file here",
        ),
        (["--kdmem-baseline-file=s3://results/a.json"], "must be a path on this machine, and not an address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_an_address_is_told_before_anything_is_scored(unscored_project, bucket, arguments, message):
    unscored_project.gates(GATE)
    result = unscored_project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [error] = [line for line in result.errlines if line.startswith("ERROR:")]
    assert message in error
    assert "secret" not in result.stdout.str() + result.stderr.str()
    assert list(unscored_project.path.glob(".kdmem/scores/*")) == []
    assert bucket.files == []


def test_a_store_that_is_gone_when_the_report_is_written_fails_the_run(audit_project, bucket):
    audit_project.gates(GATE + VANISHING_BUCKET)
    result = audit_project.run(f"--kdmem-report={RECORD}")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    assert "A file was to be written at s3://results/release/audit.json, which is not possible" in result.stdout.str()
