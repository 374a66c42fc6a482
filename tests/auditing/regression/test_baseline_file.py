"""The file of accepted metrics comes back as it was written, and every other file is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.regression.baseline_file import (
    NOTHING_ACCEPTED,
    AcceptedFigures,
    read_accepted,
    write_accepted,
)
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.errors import DataError
from tests.auditing.estimates import tracked_loss, tracked_rate, tracked_reduction

RATE, LOSS, REDUCTION = tracked_rate(range(4), 50), tracked_loss(2.0, "a"), tracked_reduction(2.4, [1], "a")
ACCEPTED = AcceptedFigures({"audits/a": (RATE, LOSS), "audits/b": (REDUCTION,)})


def test_accepted_metrics_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_accepted(ACCEPTED, tmp_path / "accepted.json")
    assert to_json(read_accepted(tmp_path / "accepted.json")) == to_json(ACCEPTED)


def test_the_same_metrics_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.json", "second.json"):
        write_accepted(ACCEPTED, tmp_path / name)
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "second.json").read_bytes()


def test_the_keys_of_the_file_are_those_of_every_version(tmp_path: Path) -> None:
    write_accepted(ACCEPTED, tmp_path / "accepted.json")
    content = json.loads((tmp_path / "accepted.json").read_text())
    assert list(content) == ["kind", "schema_version", "audits"]
    assert list(content["audits"]["audits/a"][0]) == [
        "metric", "subject", "estimate", "n", "examples", "ambiguous", "of", "over",
    ]  # fmt: skip


def test_measured_metrics_take_the_place_of_accepted_ones_and_others_stay() -> None:
    better = tracked_rate(range(3), 50, model="b")
    updated = ACCEPTED.updated({"audits/a": [better], "audits/c": [RATE], "audits/d": []})
    assert updated.for_audit("audits/a") == (better, LOSS)
    assert updated.for_audit("audits/b") == (REDUCTION,)
    assert updated.for_audit("audits/c") == (RATE,)
    assert list(updated.audits) == ["audits/a", "audits/b", "audits/c"]


def test_nothing_is_accepted_of_an_audit_that_the_file_does_not_hold() -> None:
    assert NOTHING_ACCEPTED.for_audit("audits/a") == ()


@pytest.mark.parametrize(
    "changed",
    [{"kind": "something else"}, {"schema_version": 2}, {"audits": [1]}, {"audits": {"a": [{}]}}],
    ids=["kind", "version", "a list", "no metric"],
)
def test_another_file_is_refused_with_its_name_and_a_way_out(tmp_path: Path, changed: dict[str, Any]) -> None:
    path = tmp_path / "accepted.json"
    write_accepted(ACCEPTED, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(DataError, match=r"accepted\.json.*--kdmem-update-baseline-file"):
        read_accepted(path)


def test_a_missing_file_is_refused_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no such file; accept the figures of this run with --kdmem-update-baseline-file"
    ):
        read_accepted(tmp_path / "accepted.json")
