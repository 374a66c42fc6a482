"""Renders a report as text for a terminal: each audit's models, a line per gate, and a panel per failed gate."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry, Gate
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.example_groups import named_examples
from pytest_kdmem.report.families import family_tables
from pytest_kdmem.report.gate_text import (
    ShownGate,
    further_parts,
    gate_title,
    measured_text,
    other_set_text,
    scoped_comparison,
    shown_gates,
)
from pytest_kdmem.report.glyphs import ASCII, UNICODE, Glyphs
from pytest_kdmem.report.identity import training_text
from pytest_kdmem.report.regression import change_lines
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sentences import compared_nothing, overall_outcome, precision_phrase, unaudited_phrase
from pytest_kdmem.report.short_names import with_short_names
from pytest_kdmem.report.students import student_lines
from pytest_kdmem.report.tables import (
    STYLES,
    family_table,
    inheritance_table,
    models_table,
    students_table,
)
from pytest_kdmem.report.venn import diagrams, inheritance_line, ordered_roles

# A reason of ours is one sentence. Anything longer comes from elsewhere and would drown the rest.
MAX_REASON_LENGTH = 600
MAX_IDS = 12
MIN_TEST_WIDTH = 20  # characters of a test's name that stay where the reason fills the line
BORDER_WIDTH = 6  # columns around the title of a rule; a panel has two more


def render(report: Report, *, width: int = 80, color: bool = False, unicode: bool = True, verbosity: int = 0) -> str:
    """Return the report as text that ends with a newline.

    Of several audits, each stands under its name, and a line sums them up. Several students begin it with a table.

    Args:
        report: The report to render.
        width: Columns of the terminal.
        color: Whether to use ANSI colours.
        unicode: Whether to use characters beyond ASCII.
        verbosity: Verbosity of pytest. Below 0, only failed gates are shown. Above 0, inheritance tables, further
            figures, example ids, engines and versions are shown too.
    """
    glyphs = UNICODE if unicode else ASCII
    several = len(report.audits) > 1
    shown = [audit for audit in report.audits if audit.failed or verbosity >= 0]
    parts: list[RenderableType] = []
    if (lines := student_lines(report)) and verbosity >= 0:
        parts += [students_table(lines, glyphs, width), Text()]
    for index, audit in enumerate(shown):
        if several:
            parts += [Text()] * (index > 0)
            title = Text(glyphs.truncate(audit.name or "the root", width - BORDER_WIDTH), style="bold")
            parts.append(Rule(title, characters=glyphs.rule, align="left"))
        parts += _audit_parts(audit, glyphs, width, verbosity)
    if shown and several:
        parts += [Rule(characters=glyphs.rule), _summary(report, glyphs)]
    return _print(parts, width, color)


def _print(parts: list[RenderableType], width: int, color: bool) -> str:
    sink = io.StringIO()
    console = Console(
        file=sink,
        width=width,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    console.print(Group(*parts))
    return "".join(f"{line.rstrip()}\n" for line in sink.getvalue().split("\n")[:-1])


def _audit_parts(result: AuditResult, glyphs: Glyphs, width: int, verbosity: int) -> list[RenderableType]:
    result = with_short_names(result)
    panels: list[RenderableType] = [_gate_panel(shown, glyphs, width) for shown in shown_gates(result.failed)]
    if verbosity < 0:
        return panels
    verbose = verbosity > 0
    header = "\n".join(glyphs.truncate(line, MAX_REASON_LENGTH) for line in _header_lines(result, verbose))
    parts: list[RenderableType] = [Text(header)]
    if result.models:
        parts.append(models_table(result, glyphs, width))
    lines = _training_lines(result) if verbose else []
    lines += [confirmation_line(subject, entry) for subject, entry in result.confirmation.items()]
    parts += [Text(glyphs.clean(line)) for line in lines]
    parts += [Text(glyphs.truncate(f"! {warning}", MAX_REASON_LENGTH), style="yellow") for warning in result.warnings]
    if result.inheritance is not None and verbose:
        parts += [Text(), inheritance_table(result.inheritance, glyphs, width), Text()]
    elif result.inheritance is not None:
        parts.append(Text(glyphs.clean(inheritance_line(result.inheritance))))
    for diagram in diagrams(result)[1:]:
        parts.append(Text(glyphs.clean(f"{diagram.name}: {inheritance_line(diagram.entry)}")))
    if result.risk is not None:
        parts += [Text(glyphs.clean(line)) for line in risk_lines(result.risk)[: None if verbose else 1]]
    if verbose:
        for family in family_tables(result):
            parts += [Text(), family_table(family, glyphs, width)]
    changes = change_lines(result.metric_changes, show_unchanged=verbose)
    parts += [Text(glyphs.clean(line), style=style) for line, style in changes]
    if verbose:
        parts += [Text(glyphs.truncate(line, width)) for line in _id_lines(result)]
    passed = [gate for gate in result.gates if gate.outcome == "pass"]
    parts += [_gate_line(gate, glyphs, width, verbose) for gate in passed if not compared_nothing(gate)]
    undecided = [(gate.nodeid, gate.reason) for gate in passed if compared_nothing(gate)]
    undecided += [(nodeid, "not run") for nodeid in result.not_run]
    parts += [_undecided_line(nodeid, reason, glyphs, width) for nodeid, reason in undecided]
    return parts + panels


def _summary(report: Report, glyphs: Glyphs) -> Text:
    """Return a line over several audits: how many gates did not pass, and in which audits."""
    gates = sum(len(audit.gates) for audit in report.audits)
    not_run = sum(len(audit.not_run) for audit in report.audits)
    failures = [f"{len(audit.failed)} in {audit.name or 'the root'}" for audit in report.audits if audit.failed]
    outcome = overall_outcome(report.audits)
    line = f"{len(report.audits)} audits, {gates} gate{'s' * (gates != 1)}"
    if failures:
        line += f", not passed: {', '.join(failures)}"
    elif outcome == "pass":
        line += ", all pass"
    elif gates:
        line += ", all that were run pass"
    line += f"; {not_run} not run" if not_run else ""
    return Text(glyphs.clean(line), style=f"bold {STYLES[outcome]}")


def _training_lines(result: AuditResult) -> list[str]:
    """Return a line on how each model was trained, for the models with a run card."""
    models = ((role, training_text(result.models[role])) for role in ordered_roles(result))
    return [f"{role}: {text}" for role, text in models if text]


def _id_lines(result: AuditResult) -> list[str]:
    """Return lines with the ids of inherited and recited examples, the first few of each, with their groups."""
    inherited = result.inheritance.inherited_examples if result.inheritance else ()
    ids_by_label = {
        "inherited": inherited,
        "recited by the student": result.memorized_examples.get("student", ()),
    }
    return [
        f"{label}: examples {', '.join(named_examples(result.examples, ids[:MAX_IDS]))}"
        + (f" and {count(len(ids) - MAX_IDS)} more" if len(ids) > MAX_IDS else "")
        for label, ids in ids_by_label.items()
        if ids
    ]


def _header_lines(result: AuditResult, verbose: bool) -> list[str]:
    sets = {
        "training set": result.training_set,
        "control set": result.control_set,
        "teacher set": result.teacher_set,
    }
    lines = [line for label, entry in sets.items() if entry is not None for line in _data_lines(label, entry)]
    settings = result.settings
    if verbose and "prefix_tokens" in settings and "suffix_tokens" in settings:
        confidence = settings.get("confidence")
        bounds = f"; bounds at {100 * confidence:g}% confidence" if isinstance(confidence, int | float) else ""
        lines.append(
            f"extraction    prefix of {settings['prefix_tokens']} tokens, suffix of {settings['suffix_tokens']}{bounds}"
        )
    if verbose:
        # Models of one engine and precision share a line, unless they were screened: then each has its own counts.
        engines: dict[str, list[str]] = {}
        for role in ordered_roles(result):
            model = result.models[role]
            engines.setdefault(f"{model.engine}, {model.device}, {precision_phrase(model)}", []).append(role)
        lines += [
            f"engine        {engine}" + (f" ({', '.join(roles)})" if len(engines) > 1 else "")
            for engine, roles in engines.items()
        ]
        lines += [f"versions      {', '.join(f'{name} {version}' for name, version in result.versions.items())}"]
    return [line for line in lines if line]


def _data_lines(label: str, entry: DataEntry) -> list[str]:
    sampled = "" if entry.exhaustive else " sampled"
    details = [f"{count(entry.distinct)} distinct{sampled}"]
    details += [f"stratified {entry.stratified}"] * bool(entry.stratified)
    details += [f"{count(entry.duplicates)} copies"] * bool(entry.duplicates)
    details += [entry.short.brief] * bool(entry.too_short)
    details += [f"{count(entry.left_out)} shorter documents left out"] * bool(entry.left_out)
    details += [f"{count(entry.in_training_set)} left out as in the training set"] * bool(entry.in_training_set)
    # The setting that audits the other turns must not be cut off, so it has a line of its own.
    return [f"{label:<14}{last_part(entry.source)}: {', '.join(details)}", unaudited_phrase(entry.unaudited_turns)]


def _undecided_line(nodeid: str, reason: str, glyphs: Glyphs, width: int) -> Text:
    """A line on a test that decided nothing: its reason stays whole, and so does the end of its name."""
    shown_reason = f": {glyphs.truncate(reason, MAX_REASON_LENGTH)}"
    name_width = max(MIN_TEST_WIDTH, width - len(f"- {shown_reason}"))
    return Text(f"- {glyphs.keep_end(nodeid, name_width)}{shown_reason}", style="yellow")


def _gate_line(gate: Gate, glyphs: Glyphs, width: int, verbose: bool) -> RenderableType:
    """Return name and comparison of a gate that passed, in two lines if one has no room for both.

    What was measured stands below if more is asked for, and names the set; else that stands before the figures.
    """
    # Whatever a group is called, no line of it begins where that of a gate does.
    indent = (0, 0, 0, 4)
    measured = Text(glyphs.truncate(measured_text(gate), MAX_REASON_LENGTH), style="dim")
    below: list[RenderableType] = [Padding(measured, indent)] if verbose else []
    other_set = "" if verbose else other_set_text(gate)
    scoped = f"{other_set}: {scoped_comparison(gate)}" if other_set else scoped_comparison(gate)
    comparison, passed = glyphs.truncate(scoped, MAX_REASON_LENGTH), STYLES["pass"]
    name = glyphs.truncate(gate_title(gate), MAX_REASON_LENGTH)
    name_width = width - 3 - cell_len(comparison)
    if cell_len(name) <= name_width:
        padding = " " * (name_width - cell_len(name) + 1)
        return Group(Text.assemble((f"{glyphs.passed} ", passed), name, padding, (comparison, passed)), *below)
    head = Text.assemble((f"{glyphs.passed} ", passed), name)
    return Group(head, *below, Padding(Text(comparison, style=passed), indent))


def _gate_panel(shown: ShownGate, glyphs: Glyphs, width: int) -> Panel:
    """Return a panel with the reason of a failed gate, what to do about it, and the command to run next.

    Of several gates, which one error kept from being evaluated, it lists the names as well.
    """
    gate = shown.gate
    body = Text(glyphs.truncate(gate.reason, MAX_REASON_LENGTH))
    titles = dict.fromkeys(shown.titles)
    body.append("".join(f"\n{glyphs.failed} {glyphs.truncate(title, MAX_REASON_LENGTH)}" for title in titles))
    body.append("".join(f"\n{glyphs.truncate(line, MAX_REASON_LENGTH)}" for line in further_parts(gate)))
    if gate.next_step:
        body.append("\n" + glyphs.truncate(f"→ {gate.next_step}", MAX_REASON_LENGTH))
    if gate.command:
        body.append("\n" + glyphs.clean(f"$ {gate.command}"), style="bold")
    title_width = width - BORDER_WIDTH - 2
    location = glyphs.keep_end(f"{gate.path}:{gate.line}", title_width) if gate.path and not titles else ""
    shown_outcome = f": {gate.outcome}"
    shown_name = glyphs.truncate(f"{glyphs.failed} {shown.title}", max(1, title_width - len(shown_outcome)))
    return Panel(
        body,
        title=Text(glyphs.truncate(f"{shown_name}{shown_outcome}", title_width)),
        title_align="left",
        subtitle=Text(location) if location else None,
        subtitle_align="right",
        border_style=STYLES[gate.outcome],
        box=glyphs.panel,
    )
