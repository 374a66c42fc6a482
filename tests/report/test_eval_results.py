"""What `.eval_results/*.yaml` holds, read by the hub's own client."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from huggingface_hub import eval_result_entries_to_yaml, parse_eval_result_entries

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.report.eval_results import check_file, eval_results
from tests.report.any_report import random_reports
from tests.report.audits import full_audit


def test_the_hub_s_client_reads_every_figure_and_writes_the_same() -> None:
    content = yaml.safe_load(eval_results(full_audit(), "owner/data"))
    entries = parse_eval_result_entries(content)
    assert eval_result_entries_to_yaml(entries) == content
    assert {entry.task_id: entry.value for entry in entries} == {
        "memorization_rate": 0.019, "inheritance_ratio": 25 / 56, "reduction": 2.43, "share_at_risk": 236 / 2960,
    }  # fmt: skip
    assert {entry.dataset_id for entry in entries} == {"owner/data"}
    assert {entry.date for entry in entries} == {"2026-01-02T03:04:05+00:00"}


def test_nothing_is_claimed_to_be_verified_and_no_path_is_shown() -> None:
    text = eval_results(full_audit(), "owner/data")
    assert "verify" not in text
    assert "source" not in text
    assert "data/train" not in text


def test_notes_tell_the_bounds_and_what_was_measured() -> None:
    first = yaml.safe_load(eval_results(full_audit(), "owner/data"))[0]
    assert first["notes"] == (
        "Memorization rate: low 0.0124768, high 0.0277553, confidence 0.95, k 19, n 1000, ambiguous 0;"
        " prefix-tokens 50; suffix-tokens None; digest of the token ids d2; pytest-kdmem 0.1.0"
    )


def test_an_audit_that_measured_nothing_over_the_training_set_is_refused() -> None:
    for audit in (full_audit(training_set=None), full_audit(memorization={}, inheritance=None, risk=None)):
        with pytest.raises(DataError, match="over the training set was expected"):
            eval_results(audit, "owner/data")


def test_a_date_of_another_form_is_left_out() -> None:
    assert all("date" not in entry for entry in yaml.safe_load(eval_results(full_audit(created="today"), "a/b")))


def test_every_report_gives_entries_that_the_client_reads_or_one_sentence() -> None:
    for report in random_reports():
        for audit in report.audits:
            try:
                content = yaml.safe_load(eval_results(replace(audit), "owner/data"))
            except DataError:
                continue
            assert eval_result_entries_to_yaml(parse_eval_result_entries(content)) == content


def test_results_of_an_earlier_audit_do_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "pytest-kdmem.yaml"
    check_file(path, None)
    path.write_text("[]")
    check_file(path, "owner/data")
    with pytest.raises(SpecError, match="are of an earlier audit; name it by --benchmark, or remove the file"):
        check_file(path, None)


@pytest.mark.parametrize("benchmark", ["data", "", "../data", "a/b/c", "https://huggingface.co/datasets/a/b", "a b/c"])
def test_a_benchmark_is_an_id_of_the_hub(benchmark: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="--benchmark must be a data set of the hub, owner/name"):
        check_file(tmp_path / "absent", benchmark)
