"""Builds the record of an audit from everything that it scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from pytest_kdmem.auditing.figures.gather import acceptable_figures, gather_figures
from pytest_kdmem.auditing.recited_text import texts_of, with_continuations, with_text
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import FurtherInheritance, Gate, HeldOutEntry
from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.summarize import (
    confirmation_entry,
    data_entry,
    empty_result,
    inheritance_entry,
    model_entry,
    risk_entry,
)
from pytest_kdmem.auditing.summarize_examples import distributions_entry, examples_entry
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings


def build_result(
    scored: ScoredAudit,
    settings: Mapping[str, Any],
    gates: Sequence[Gate],
    *,
    shows_text: bool,
    run: RunSettings,
    progress: Progress = NO_PROGRESS,
) -> AuditResult:
    """Build the whole record, with single examples and the figures of all families.

    Args:
        scored: What the audit has scored.
        settings: Settings of the run, by key.
        gates: Gates that the audit's tests held.
        shows_text: Whether the record contains the text of recited examples, and what models generate in its place.
        run: How models are run, and whether text must be read without a connection.
        progress: Told which model is run for that.
    """
    own = scored.own_memorizations
    examples = examples_entry(own, scored.predicted_risk, scored.near_verbatim)
    if examples is not None and examples.example_id and shows_text:
        tables = {role: memorization.scores for role, memorization in own.items()}
        examples, warnings = _with_text(examples, tables, run, progress)
        scored = replace(scored, warnings=(*scored.warnings, *warnings))
    return replace(
        build_metrics(scored, settings, gates),
        examples=examples,
        distributions=distributions_entry(own),
        figures=gather_figures(scored),
    )


def _with_text(
    examples: ExamplesEntry, tables: Mapping[str, ScoreTable], run: RunSettings, progress: Progress
) -> tuple[ExamplesEntry, list[str]]:
    """Add text as far as it can be read and generated, and return warnings about what cannot."""
    try:
        texts = texts_of(examples, next(iter(tables.values())), offline=run.offline)
        examples = with_text(examples, texts)
    except KdmemError as error:
        return examples, [f"text is not shown: {error}"]
    try:
        return with_continuations(examples, texts, tables, run, progress), []
    except KdmemError as error:
        return examples, [f"what models generate is not shown: {error}"]
    except Exception as error:  # of a model's own code, for which no verdict may be lost
        return examples, [f"what models generate is not shown: running a model broke ({type(error).__name__})"]


def build_metrics(scored: ScoredAudit, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
    """Build the record without single examples, and of the families' figures with those that can be accepted."""
    trained, held_out = scored.memorizations, scored.control_memorizations
    own = list(scored.own_memorizations.values())
    return replace(
        empty_result(settings, gates, scored.name, scored.student),
        settings=dict(settings) | asdict(scored.extraction) | {"confidence": scored.confidence},
        models={
            subject: model_entry(memorization.scores, scored.run_cards.get(memorization.scores.model))
            for subject, memorization in (*held_out.items(), *trained.items())
        },
        training_set=data_entry(own[0]) if own else None,
        other_sets={
            label: data_entry(memorization) for label, memorization in trained.items() if memorization.other_set
        },
        control_set=data_entry(next(iter(held_out.values()))) if held_out else None,
        teacher_set=next((data_entry(each) for each in scored.teacher_set_memorizations.values()), None),
        memorization={label: memorization.rate for label, memorization in trained.items()},
        memorized_examples={label: tuple(memorization.examples) for label, memorization in trained.items()},
        ambiguous_examples={label: tuple(memorization.ambiguous_examples) for label, memorization in trained.items()},
        held_out={
            subject: HeldOutEntry(memorization.rate, memorization.loss, memorization.perplexity)
            for subject, memorization in held_out.items()
        },
        inheritance=inheritance_entry(scored.inheritance) if scored.inheritance is not None else None,
        further_inheritances=tuple(
            FurtherInheritance(*labels, inheritance_entry(each)) for labels, each in scored.further_inheritances.items()
        ),
        risk=risk_entry(scored.predicted_risk) if scored.predicted_risk is not None else None,
        figures=acceptable_figures(scored),
        confirmation={label: confirmation_entry(check) for label, check in scored.confirmations.items()},
        warnings=scored.warnings,
    )
