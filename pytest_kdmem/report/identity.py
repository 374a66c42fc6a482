"""What a report is about, and what was and was not looked at: the lines that whoever signs a release reads first."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_kdmem.auditing.card_warnings import OTHER_SET, OTHER_WEIGHTS, card_warning, shorten_digest
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry, ModelEntry
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.report.extent import not_reached, tokens_looked_at
from pytest_kdmem.report.too_short import number
from pytest_kdmem.report.venn import ordered_roles

# What no figure of an audit covers, whatever was scored.
NEVER_LOOKED_AT = (
    "prompts other than the examples' own first tokens; filters, system prompts and tools around the model;"
    " paraphrases of what it was trained on (“What a pass does not say” in the documentation of pytest-kdmem)"
)


def identity_lines(audit: AuditResult) -> tuple[tuple[str, str], ...]:
    """Return name and text of each line: student, how it was made, training set, and when it was audited by what."""
    lines = []
    if (student := audit.models.get("student")) is not None:
        lines.append(("student", _model_text(student)))
        lines.append(("made by", training_text(student) or f"unknown: {_no_card_text(audit, student)}"))
    trained_on = _cleaned_text(audit)
    lines += [("trained on", trained_on)] * bool(trained_on)
    if audit.training_set is not None:
        label = "rates over" if trained_on else "training set"
        lines.append((label, _data_text(audit.training_set, "before cleaning, " * bool(trained_on))))
    versions = ", ".join(f"{name} {version}" for name, version in audit.versions.items())
    lines.append(("audited", f"{audit.created[:16].replace('T', ' ')}{' with ' if versions else ''}{versions}"))
    return tuple(lines)


def training_text(model: ModelEntry) -> str:
    """Return how a model was trained, according to its run card; empty if it has none."""
    run = model.run
    if run is None:
        return ""
    # Plain fine-tuning is called "baseline", whatever the model's role.
    parts = [run["mode"]] * (run["mode"] != "baseline") + [run["loss"]]
    parts += [f"teacher {shorten_digest(run['teacher']['digest'])}"] if run["teacher"] else []
    return ", ".join([*parts, f"{run['epochs']:g} epochs", f"{count(run['steps'])} steps"])


def _no_card_text(audit: AuditResult, model: ModelEntry) -> str:
    """Return whether the run card beside a model's weights is not trusted, or there is none."""
    # A model of several roles is warned of in one of them.
    subjects = [subject for subject, entry in audit.models.items() if entry.digest == model.digest]
    if any(card_warning(subject, OTHER_WEIGHTS) in audit.warnings for subject in subjects):
        return "the run card beside its weights is of other weights"
    if any(warning.startswith(card_warning(subject, "")) for subject in subjects for warning in audit.warnings):
        return "the run card beside its weights is not used, as a warning says"
    return "there is no run card beside its weights"


def _cleaned_text(audit: AuditResult) -> str:
    """Return what the student was trained on, if its run card says that this was a cleaned copy of a set."""
    student, data = audit.models.get("student"), audit.training_set
    trained_on = ((student.run if student is not None else None) or {}).get("training_set") or {}
    if not trained_on.get("cleaned_from"):
        return ""
    copy, examples = last_part(trained_on["source"]), number(trained_on["examples"], "example")
    # A card of another set stops an audit, or a warning tells.
    is_of_other_set = any(OTHER_SET in warning and " student was trained on " in warning for warning in audit.warnings)
    if data is not None and data.examples == trained_on["examples"]:
        return ""  # the audited set is the cleaned one, or nothing was left out
    if data is None or is_of_other_set:
        return f"{copy} ({examples}), a cleaned copy of another set"
    audited = last_part(data.source)
    if copy == audited:
        return f"a cleaned copy of {audited} ({examples} of {count(data.examples)})"
    return f"{copy} ({examples}), a cleaned copy of {audited} ({count(data.examples)})"


def looked_at(audit: AuditResult) -> tuple[str, ...]:
    """Return what was looked at: gates, examples, models, and the settings that define recitation."""
    return tuple(_looked_at(audit))


def not_looked_at(audit: AuditResult) -> tuple[str, ...]:
    """Return what was not: gates that were not held, examples left out, classes not searched for, and other attacks."""
    return tuple(_not_looked_at(audit))


def _looked_at(audit: AuditResult) -> Iterator[str]:
    yield f"{number(sum(gate.estimate is not None for gate in audit.gates), 'gate')} that compared a figure"
    if (data := audit.training_set) is not None:
        yield f"{count(data.distinct)} distinct examples of {last_part(data.source)}{_sampled(data)}"
    if tokens := tokens_looked_at(audit):
        yield tokens
    if audit.models:
        yield f"models: {', '.join(ordered_roles(audit))}"


def _not_looked_at(audit: AuditResult) -> Iterator[str]:
    if audit.not_run:
        yield f"what {number(len(audit.not_run), 'test')} would compare that did not run"
    if without := sum(gate.estimate is None for gate in audit.gates):
        yield f"what {number(without, 'test')} would compare that compared no figure"
    yield from not_reached(audit)
    if (teacher_set := audit.teacher_set) is not None and teacher_set.in_training_set:
        held = count(teacher_set.in_training_set)
        yield f"{held} examples of {last_part(teacher_set.source)} whose suffix stands in the training set"
    unsearched = {
        figure.label: None for figure in audit.figures if figure.family == "class" and math.isnan(figure.estimate.value)
    }
    if unsearched:
        yield f"secrets of these classes: {', '.join(unsearched)}"
    if any(figure.family == "class" and figure.estimate.n for figure in audit.figures):
        yield "secrets in what is sampled: they are looked for in what is recited by greedy decoding"
    yield NEVER_LOOKED_AT


def _model_text(model: ModelEntry) -> str:
    revision = f" at {model.revision}" if model.revision else ""
    adapter = f", an adapter of {model.base}" if model.base else ""
    return f"{model.source}{revision}{adapter}, {count(model.parameters)} parameters, digest {model.digest}"


def _data_text(data: DataEntry, read: str = "") -> str:
    return f"{data.source}, {read}{count(data.distinct)} distinct{_sampled(data)}, digest {data.digest}"


def _sampled(data: DataEntry) -> str:
    return f" of {count(data.examples)} examples" if data.exhaustive else f" sampled of {count(data.examples)} examples"
