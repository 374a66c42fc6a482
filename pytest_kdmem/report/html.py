"""Report → one HTML file: it loads nothing, runs nothing foreign, and reads without its script."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import ExamplesEntry, Gate, ModelColumns
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.figures import pictures
from pytest_kdmem.report.regression import change_line
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sentences import compared, gates_in_short, outcome_of, verdict_sentence
from pytest_kdmem.report.svg import Picture
from pytest_kdmem.report.venn import CELL_ROWS, roles_in_order

MOST_ROWS = 2000
SIGNS = {"pass": "✓", "fail": "✗", "inconclusive": "?", "error": "!"}
LONGEST_TEXT = 4000


@dataclass(frozen=True)
class Row:
    """An example as the page lists it. ``kinds`` are what it can be filtered by."""

    at: int
    example_id: int
    digest: str
    copies: int
    zlib_bytes: int | None
    risk: float | None
    kinds: tuple[str, ...]
    models: tuple[tuple[bool, bool, float | None], ...]  # memorized, ambiguous, margin


def render(report: Report) -> str:
    """The page, as valid UTF-8 once it is encoded."""
    environment = Environment(
        loader=PackageLoader("pytest_kdmem.report"),
        autoescape=True,
        finalize=_finalized,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "compared": compared,
        "called": _called,
        "in_short": gates_in_short,
        "text": _text,
    }
    environment.tests["estimate"] = lambda value: isinstance(value, Estimate)
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        report=report,
        verdict=verdict_sentence(report),
        outcome=outcome_of(report.audits),
        sections=[_section(audit, f"a{at}") for at, audit in enumerate(report.audits)],
        signs=SIGNS,
        style=Markup(_asset("report.css")),
        script=Markup(script),
        script_digest=Markup(f"sha256-{digest}"),
    )


def _asset(name: str) -> str:
    return files("pytest_kdmem.report").joinpath("templates", name).read_text(encoding="utf-8")


def _finalized(value: Any) -> Any:
    """Every foreign string is made plain on its way into the page, and escaped after that."""
    if isinstance(value, Markup):
        return value
    return sanitize(value) if isinstance(value, str) else value


def _text(text: str) -> Markup:
    """Training text: line breaks are kept, all else that would steer is replaced."""
    lines = (sanitize(line, LONGEST_TEXT) for line in text[:LONGEST_TEXT].split("\n"))
    return escape("\n".join(lines))


def _called(gate: Gate) -> str:
    name = gate.name.removeprefix("test_").replace("_", " ")
    return name[:1].upper() + name[1:]


def _section(audit: AuditResult, prefix: str) -> dict[str, Any]:
    """What the template shows of one audit."""
    drawn: dict[str, Picture] = pictures(audit, prefix)
    rows = _rows(audit)
    return {
        "audit": audit,
        "prefix": prefix,
        "name": audit.name or "the root",
        "gates": sorted(audit.gates, key=lambda gate: gate.outcome == "pass"),
        "roles": roles_in_order(audit),
        "pictures": drawn,
        "cells": [(members, called, audit.inheritance.cells.get(cell, 0)) for cell, members, called in CELL_ROWS]
        if audit.inheritance is not None
        else [],
        "risk": risk_lines(audit.risk) if audit.risk is not None else (),
        "drift": [(entry.outcome, change_line(entry)) for entry in audit.drift],
        "confirmation": [confirmation_line(*one) for one in audit.confirmation.items()],
        "columns": list(audit.examples.models) if audit.examples is not None else [],
        "rows": rows[:MOST_ROWS],
        "rows_in_all": len(rows),
        "has_text": audit.examples is not None and bool(audit.examples.prefix),
    }


def _rows(audit: AuditResult) -> list[Row]:
    """Inherited examples first, then what the student recites, what anyone recites, and the rest by risk."""
    entry = audit.examples
    if entry is None:
        return []
    inherited = set(audit.inheritance.inherited_examples) if audit.inheritance is not None else set()
    threshold = audit.risk.threshold if audit.risk is not None else None
    rows = [_row(entry, at, inherited, threshold) for at in range(len(entry.example_id))]
    order = ("inherited", "student", "recited", "ambiguous")
    rank = {kind: place for place, kind in enumerate(order)}
    return sorted(
        rows, key=lambda row: (min((rank.get(k, 9) for k in row.kinds), default=9), -(row.risk or 0.0), row.example_id)
    )


def _row(entry: ExamplesEntry, at: int, inherited: set[int], threshold: float | None) -> Row:
    models = tuple(_of_model(columns, at) for columns in entry.models.values())
    by_role = dict(zip(entry.models, models, strict=True))
    memorized = [found[0] for found in models]
    risk, example_id = entry.risk[at], entry.example_id[at]
    kinds = {
        "inherited": example_id in inherited,
        "easy": len(memorized) == 3 and all(memorized),
        "student": by_role.get("student", (False,))[0],
        "recited": any(memorized),
        "ambiguous": any(found[1] for found in models),
        "risk": risk is not None and threshold is not None and risk >= threshold,
    }
    return Row(
        at,
        example_id,
        entry.digest[at],
        entry.copies[at],
        entry.zlib_bytes[at],
        risk,
        tuple(kind for kind, holds in kinds.items() if holds),
        models,
    )


def _of_model(columns: ModelColumns, at: int) -> tuple[bool, bool, float | None]:
    return bool(columns.memorized[at]), bool(columns.ambiguous[at]), columns.margin[at]
