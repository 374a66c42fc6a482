"""A model without a role has a short name in every table, which no other model has; its full source is told once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report import html, markdown, terminal
from pytest_kdmem.report.short_names import with_short_names
from tests.report.any_report import random_reports
from tests.report.audits import audit_with_examples, full_audit, gate, rate

LONG = "/mnt/releases/2026/model"


def with_sources(*sources: str, audit: AuditResult | None = None) -> AuditResult:
    """An audit that also scored models without a role."""
    audit = audit or full_audit()
    model = audit.models["student"]
    models = {source: replace(model, source=source.partition(" on ")[0]) for source in sources}
    return replace(
        audit,
        models=audit.models | models,
        memorization=audit.memorization | {source: rate(7, 1000, source) for source in sources},
    )


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([LONG], ["model"]),
        (["hub/pythia-70m"], ["pythia-70m"]),
        (["a/x/model", "a/y/model"], ["x-model", "y-model"]),
        (["runs/teacher"], ["runs-teacher"]),  # which is another model than the teacher
        ([f"{LONG} on other.jsonl"], ["model on other.jsonl"]),
        (["runs/a", "runs/a/"], ["runs/a", "runs/a/"]),  # no ends tell them apart
    ],
)
def test_names_are_the_shortest_ends_that_tell_models_apart(sources: list[str], names: list[str]) -> None:
    audit = with_short_names(with_sources(*sources))
    assert list(audit.models) == ["student", "teacher", *names]
    assert [audit.memorization[name].subject for name in names] == names
    assert [audit.models[name].source for name in names] == [source.partition(" on ")[0] for source in sources]


def test_every_part_of_an_audit_has_the_names() -> None:
    audit = with_sources(LONG, audit=audit_with_examples())
    assert audit.examples is not None
    assert audit.distributions is not None
    columns, spread = audit.examples.models["student"], audit.distributions.models["student"]
    figures = (
        FigureEntry("near_verbatim", LONG, "within 0.1", rate(9, 1000, LONG)),
        FigureEntry("membership", "student", f"AUC, loss, reference {LONG}", rate(9, 1000)),
    )
    audit = replace(
        audit,
        examples=replace(audit.examples, models={LONG: columns}),
        distributions=replace(audit.distributions, models={LONG: spread}),
        figures=figures,
        held_out={LONG: audit.held_out["student"]},
        gates=(gate("test_x", rate(7, 1000, LONG), "<=", rate(9, 1000, LONG)),),
    )
    pages = {
        "html": html.render(Report((audit,))),
        "markdown": markdown.render(Report((audit,))),
        "terminal": terminal.render(Report((audit,)), verbosity=1, width=200),
    }
    assert LONG in pages["html"]
    assert pages["html"].count(LONG) == 1 + pages["html"].count(f"of {LONG}")  # among the sources, and in the reason
    for text in pages.values():
        assert "model" in text
        assert f"reference {LONG}" not in text
        assert "reference model" in text


def test_an_audit_whose_models_have_roles_stays_as_it_is() -> None:
    audit = audit_with_examples()
    assert with_short_names(audit) is audit


def test_no_model_is_lost_however_it_is_called() -> None:
    for report in random_reports():
        for audit in report.audits:
            named = with_short_names(audit)
            assert [model.source for model in named.models.values()] == [
                model.source for model in audit.models.values()
            ]
            assert len(named.memorization) == len(audit.memorization)
            assert len(named.held_out) == len(audit.held_out)
