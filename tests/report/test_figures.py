"""Each picture is drawn if its part of the audit has data, and its description gives the numbers it shows."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.report.figures import draw_pictures
from pytest_kdmem.report.html import render
from tests.report.audits import (
    FAILING,
    SAVED,
    audit_with_examples,
    complete_audit,
    full_audit,
    gate,
    rate,
    saved_report,
)
from tests.specs.any_card import card

ALL = ["rates", "sets", "scatter", "margins", "repetition", "risk", "reliability"]


@pytest.fixture(scope="module")
def descriptions() -> dict[str, str]:
    """Descriptions of all pictures of audits with examples, and with a predictor's reliability, by name."""
    reliability = draw_pictures(replace(complete_audit(), inheritance=None, distributions=None), "a0")
    pictures = draw_pictures(audit_with_examples(), "a1") | {
        name: reliability[name] for name in ("risk", "reliability")
    }
    return {name: picture.description for name, picture in pictures.items()}


def test_the_picture_of_rates_has_the_strictest_threshold_of_each_model_and_none_of_another_set() -> None:
    over_control_set = gate("test_c", rate(3, 100), "<=", 0.001)
    gates = (FAILING, replace(FAILING, threshold=0.005), over_control_set)
    picture = draw_pictures(full_audit(gates=gates), "a0")["rates"]
    assert picture.description.endswith("student 1.90% [≤ 2.78%] (19 of 1 000), at most 0.50% allowed")
    assert "at most 0.50%" in picture.svg
    assert "0.10%" not in picture.svg


def test_a_real_audit_has_every_picture() -> None:
    (audit,) = saved_report("green.json").audits
    assert "green.json" in SAVED
    assert list(draw_pictures(audit, "a0")) == ALL


def test_descriptions_give_the_numbers(descriptions: dict[str, str]) -> None:
    assert descriptions == {
        "rates": "teacher 6.70% [≤ 8.15%] (67 of 1 000); student 1.90% [≤ 2.78%] (19 of 1 000), at most 1.00% allowed",
        "sets": "teacher alone: 31; lost in distillation: 7; easy: all three: 4; inherited from the teacher: 25;"
        " baseline alone: 2; baseline and student: 0; student alone: 1",
        "scatter": "2 examples that the teacher recites over 2 that it does not.",
        "margins": "teacher: 2 at 0 or above, 7 without a margin, because they missed early;"
        " student: 2 at 0 or above, 7 without a margin, because they missed early",
        "repetition": "teacher: 0.00% of 9 at 1, 66.67% of 3 at 4; student: 0.00% of 9 at 1, 66.67% of 3 at 4",
        "risk": "2 examples at or above the threshold of 0.045.",
        "reliability": "In 1 of 1 bins what was memorized (point) lies in the range to be expected (bar)"
        " around the mean risk (dash).",
    }


@pytest.mark.parametrize(
    ("audit", "names"),
    [
        (AuditResult("2026", {}, {}), []),
        (full_audit(memorization={}), ["sets"]),
        (full_audit(inheritance=None), ["rates"]),
        (full_audit(inheritance=None, memorization={"student": rate(0, 0)}), ["rates"]),  # undefined, and yet a line
    ],
    ids=["nothing", "no rates", "no sets", "undefined"],
)
def test_a_part_without_data_has_no_picture(audit: AuditResult, names: list[str]) -> None:
    assert list(draw_pictures(audit, "a0")) == names


def test_distributions_without_values_have_no_picture() -> None:
    audit = audit_with_examples()
    assert audit.distributions is not None
    empty = replace(audit.distributions.models["student"], margins=(0, 0), repetition=(), perplexity=(), zlib_bytes=())
    bare = replace(audit, inheritance=None, memorization={})
    for models in ({"student": empty}, {}):
        assert draw_pictures(replace(bare, distributions=replace(audit.distributions, models=models)), "a0") == {}
    # Without examples there is nothing to draw over the perplexities of the distributions.
    assert set(draw_pictures(replace(bare, examples=None), "a0")) == {"margins", "repetition"}


def test_error_bars_of_repetition_are_one_sided_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.axes import Axes

    drawn = []
    errorbar = Axes.errorbar

    def record(axes: Axes, x: object, y: object, yerr: object, **style: object) -> object:
        drawn.append((y, yerr))
        return errorbar(axes, x, y, yerr, **style)

    monkeypatch.setattr(Axes, "errorbar", record)
    draw_pictures(replace(audit_with_examples(), examples=None, inheritance=None, memorization={}), "a0")
    rates, (below, above) = drawn[0]
    assert rates == pytest.approx([0, 100 * 2 / 3])
    assert below == pytest.approx([0, 100 * (2 / 3 - lower_bound(2, 3, 0.95))])
    assert above == pytest.approx([100 * upper_bound(0, 9, 0.95), 100 * (upper_bound(2, 3, 0.95) - 2 / 3)])


def test_a_role_with_signs_of_mathematics_is_written_as_it_is() -> None:
    audit = full_audit(inheritance=None, memorization={"$x$": rate(1, 9)})
    audit = replace(audit, models={"$x$": audit.models["student"]})
    svg = draw_pictures(audit, "a0")["rates"].svg
    assert re.search(r">\$x\$<", svg)


def test_a_model_that_was_measured_while_it_was_trained_has_its_curve() -> None:
    audit = full_audit(inheritance=None)
    run = card(memorization_curve=((0, 0.0), (500, 0.002), (1752, 0.019))).summary()
    models = audit.models | {"student": replace(audit.models["student"], run=run)}
    pictures = draw_pictures(replace(audit, models=models), "a0")
    assert list(pictures) == ["rates", "steps"]
    assert pictures["steps"].description == "student: 0.00% at step 0, 1.90% at step 1 752"
    assert "memorized of a sample, %" in pictures["steps"].svg
    assert pictures["steps"].svg in render(Report((replace(audit, models=models),)))
