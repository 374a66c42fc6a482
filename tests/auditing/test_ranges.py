"""A report whose numbers no audit makes is refused where it is read, so that none of them breaks what comes after."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pytest_kdmem.auditing.regression.baseline_file import read_accepted
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.base.files import write_json
from pytest_kdmem.errors import DataError
from tests.report.audits import SAVED, full_audit, saved_content

RATE = ("memorization", "student")


def changed(content: Any, path: tuple[Any, ...], value: object) -> Any:
    """A copy of a report with one value changed."""
    copied = copy.deepcopy(content)
    parent = copied
    for key in path[:-1]:
        parent = parent[key]
    assert parent[path[-1]] is not None
    parent[path[-1]] = value
    return copied


@pytest.mark.parametrize("saved", SAVED)
def test_every_saved_report_is_in_range(saved: str) -> None:
    Report.from_json(saved_content(saved))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*RATE, "confidence"), 5e299),
        ((*RATE, "confidence"), None),
        ((*RATE, "confidence"), 0),
        ((*RATE, "n"), -1),
        ((*RATE, "n"), 1 << 62),
        ((*RATE, "k"), 5000),
        ((*RATE, "value"), 5e299),
        ((*RATE, "high"), None),
        ((*RATE, "low"), -0.5),
        ((*RATE, "ambiguous"), 1 << 40),
        (("models", "student", "parameters"), -1),
        (("models", "student", "tolerance"), None),
        (("training_set", "examples"), -5),
        (("inheritance", "p_value"), 2),
        (("inheritance", "cells", "all"), -1),
        (("risk", "threshold"), None),
        (("risk", "positives"), 1 << 60),
        (("risk", "edges", 0), None),
        (("risk", "edges", 1), -1.0),
        (("gates", 0, "line"), -1),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else str(part),
)
def test_a_value_out_of_range_is_refused(path: tuple[Any, ...], value: object) -> None:
    content = saved_content("red.json")
    with pytest.raises(DataError, match=r"expected\); write it again by an audit"):
        Report.from_json(changed(content, path, value))


@pytest.mark.parametrize(("edge", "value"), [(0, None), (1, "inf"), (2, 1e300), (3, -1e300)])
def test_edges_of_margins_ascend(edge: int, value: object) -> None:
    content = saved_content("red.json")
    with pytest.raises(DataError, match="ascending edges"):
        Report.from_json(changed(content, ("distributions", "edges", edge), value))


def test_a_tolerance_that_no_power_of_two_can_tell_is_refused() -> None:
    content = full_audit().to_json()
    subject = next(iter(content["confirmation"]))
    with pytest.raises(DataError, match="tolerances in logits"):
        Report.from_json(changed(content, ("confirmation", subject, "claimed_tolerance"), 1e300))


def test_accepted_figures_out_of_range_are_refused(tmp_path) -> None:
    from tests.test_records import saved

    content = saved("accepted.json")
    metrics = content["audits"]["audits/qwen3"]
    metrics[0]["estimate"]["confidence"] = 7
    write_json(content, tmp_path / "a.json")
    with pytest.raises(DataError, match="a confidence between 0 and 1"):
        read_accepted(tmp_path / "a.json")
