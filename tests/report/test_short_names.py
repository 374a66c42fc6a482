"""A model without a role has a short name in every table, which no other model has; its full source is told once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import GatePart
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report import github, html, junit, markdown, sarif, terminal
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
    assert pages["html"].count(LONG) == 1  # among the sources
    for text in pages.values():
        assert "model" in text
        assert f"reference {LONG}" not in text
        assert "reference model" in text


@pytest.mark.parametrize("source", ["/mnt/releases/2026/model", "hub/model"])
def test_no_reason_shows_the_folders_of_a_model(source: str) -> None:
    """Neither the whole path, nor what is left of it where an audit runs above the model."""
    left, right = rate(90, 1000, source), rate(9, 1000, f"{source}2")
    made = gate("test_x", left, "<=", right)
    part = GatePart(right, 0.001, "fail", gate("test_x", right, "<=", 0.001).reason)
    relative = replace(made, reason=made.reason.replace(source, "2026/model")) if source == LONG else made
    audit = with_sources(source, f"{source}2", audit=full_audit(gates=(made, relative)))
    audit = replace(audit, gates=tuple(replace(each, further_parts=(part,)) for each in audit.gates))
    for short in with_short_names(audit).gates:
        assert short.reason == (
            "memorization rate of model 9.00% [≤ 10.63%] (90 of 1 000) > 0.90% [≥ 0.47%] (9 of 1 000) of model2"
        )
        assert short.further_parts[0].reason.startswith("memorization rate of model2 0.90%")
    for module in (html, markdown, terminal, junit, sarif):
        page = module.render(Report((replace(audit, models={}, memorization={}),)))
        assert source in page  # nothing says that this is a model
        assert f"rate of {source}" not in module.render(Report((audit,)))
        assert "rate of model" in module.render(Report((audit,))).replace("\u00a0", " ")
    assert f"of {source}" not in github.workflow_commands(Report((audit,)))


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
