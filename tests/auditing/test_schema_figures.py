"""Figures of families pass through JSON, are merged by what tells them apart, and are checked where they are read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.merge import merge
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.schema_figures import FAMILIES, FigureEntry
from pytest_kdmem.errors import DataError
from tests.auditing.estimates import rate
from tests.auditing.results import assert_same, full_result, through_json


def test_figures_of_every_family_come_back() -> None:
    figures = tuple(FigureEntry(family, "student", "any", rate(1, 9), "note") for family in FAMILIES)
    assert_same(through_json(replace(full_result(), figures=figures)), replace(full_result(), figures=figures))


def test_of_equal_figures_of_several_processes_the_last_is_kept_and_roles_stand_in_their_order() -> None:
    first, second = (FigureEntry("copies", "student", "1", rate(k, 9)) for k in (1, 2))
    other = FigureEntry("copies", "teacher", "1", rate(3, 9))
    parts = [replace(full_result(), figures=figures) for figures in ((first, other), (second,))]
    assert [figure.estimate.k for figure in merge(parts).figures] == [3, 2]


def test_a_report_of_the_first_schema_version_is_read_alone_and_among_others() -> None:
    content: dict[str, Any] = json.loads(json.dumps(full_result().to_json())) | {"schema_version": 1}
    del content["figures"]
    (audit,) = Report.from_json(content).audits
    assert_same(audit, replace(full_result(), figures=()))
    assert audit.to_json()["schema_version"] == 2
    both = {"schema_version": 2, "audits": [content, {**full_result().to_json(), "name": "b"}]}
    assert [len(audit.figures) for audit in Report.from_json(both).audits] == [0, 1]


@pytest.mark.parametrize(
    "changed",
    [{"family": "rumours"}, {"label": None}, {"estimate": None}, {"estimate": {**rate(1, 9).to_json(), "high": 7}},
     {"estimate": {**rate(1, 9).to_json(), "n": -1}}, {"more": 1}],
    ids=str,
)  # fmt: skip
def test_a_figure_that_no_audit_makes_is_refused(changed: dict[str, Any]) -> None:
    content = full_result().to_json()
    content["figures"] = [content["figures"][0] | changed]
    with pytest.raises(DataError, match="write it again by an audit"):
        Report.from_json(content)
