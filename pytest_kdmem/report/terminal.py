"""Report → text for a terminal: of each audit its models, a line for each gate, and a panel for each that failed."""

from __future__ import annotations

import io

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from pytest_kdmem.audit.provenance import shortened
from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import DataEntry, Gate
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.glyphs import ASCII, UNICODE, Glyphs
from pytest_kdmem.report.regression import change_lines
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sentences import compared, outcome_of
from pytest_kdmem.report.tables import models_table, sets_line, sets_table
from pytest_kdmem.report.venn import roles_in_order

STYLE = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red"}
STYLE_OF_ALL = {outcome: f"bold {style}" for outcome, style in STYLE.items()}
# A reason is a sentence; what is longer was not written here, and would drown the rest.
LONGEST_REASON = 600
MOST_IDS = 12


def render(report: Report, *, width: int = 80, color: bool = False, unicode: bool = True, verbosity: int = 0) -> str:
    """The report as text with a final newline; of several audits each under its name, and a line over all of them.

    Args:
        width: columns.
        color: with ANSI colours.
        unicode: with signs beyond ASCII.
        verbosity: as pytest has it: below 0 only what failed, above 0 with sets, ids, engines and versions.
    """
    signs = UNICODE if unicode else ASCII
    shown = [audit for audit in report.audits if audit.failed or verbosity >= 0]
    parts: list[RenderableType] = []
    for at, audit in enumerate(shown):
        if len(report.audits) > 1:
            parts += [Text()] * (at > 0)
            title = Text(signs.truncate(audit.name or "the root", width - 6), style="bold")
            parts.append(Rule(title, characters=signs.rule, align="left"))
        parts += _section(audit, signs, width, verbosity)
    if shown and len(report.audits) > 1:
        parts += [Rule(characters=signs.rule), _summary(report, signs)]
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


def _section(result: AuditResult, signs: Glyphs, width: int, verbosity: int) -> list[RenderableType]:
    """One audit; where quiet, only what failed in it."""
    panels: list[RenderableType] = [_panel(gate, signs, width) for gate in result.failed]
    if verbosity < 0:
        return panels
    parts: list[RenderableType] = [
        Text("\n".join(signs.truncate(line, width) for line in _settings(result, verbosity)))
    ]
    if result.models:
        parts.append(models_table(result, signs, width))
    lines = list(_runs(result)) if verbosity > 0 else []
    lines += [confirmation_line(*one) for one in result.confirmation.items()]
    parts += [Text(signs.clean(line)) for line in lines]
    parts += [Text(signs.truncate(f"! {warning}", LONGEST_REASON), style="yellow") for warning in result.warnings]
    if result.inheritance is not None:
        whole = verbosity > 0
        parts += (
            [Text(), sets_table(result.inheritance, signs, width), Text()]
            if whole
            else [Text(signs.clean(sets_line(result.inheritance)))]
        )
    if result.risk is not None:
        parts += [Text(signs.clean(line)) for line in risk_lines(result.risk)[: None if verbosity > 0 else 1]]
    parts += [Text(signs.clean(line), style=style) for line, style in change_lines(result.drift, whole=verbosity > 0)]
    if verbosity > 0:
        parts += [Text(signs.truncate(line, width)) for line in _ids(result)]
    parts += [_gate_line(gate, signs, width) for gate in result.gates if gate.outcome == "pass"]
    parts += [Text(signs.truncate(f"- {nodeid}: not run", width), style="yellow") for nodeid in result.not_run]
    return parts + panels


def _summary(report: Report, signs: Glyphs) -> Text:
    """One line over several audits: how many gates do not let their models ship, and in which."""
    gates = sum(len(audit.gates) for audit in report.audits)
    line = f"{len(report.audits)} audits, {gates} gate{'s' * (gates != 1)}"
    red = [f"{len(audit.failed)} in {audit.name or 'the root'}" for audit in report.audits if audit.failed]
    missing = sum(len(audit.not_run) for audit in report.audits)
    held = ", all pass" if outcome_of(report.audits) == "pass" else ", all that were held pass" if gates else ""
    line += f", not passed: {', '.join(red)}" if red else held
    line += f"; {missing} not run" if missing else ""
    return Text(signs.clean(line), style=STYLE_OF_ALL[outcome_of(report.audits)])


def _runs(result: AuditResult) -> list[str]:
    """A line for each model of ours: how it was made."""
    lines = []
    for role in roles_in_order(result):
        run = result.models[role].run
        if run is not None:
            # A teacher of mode "baseline" would read oddly, and its loss says all.
            parts = [run["mode"]] * (run["mode"] != "baseline") + [run["loss"]]
            parts += [f"teacher {shortened(run['teacher']['digest'])}"] if run["teacher"] else []
            parts += [f"{run['epochs']:g} epochs", f"{count(run['steps'])} steps"]
            lines.append(f"{role}: {', '.join(parts)}")
    return lines


def _ids(result: AuditResult) -> list[str]:
    """Which examples, as far as a line holds them."""
    entry = result.inheritance
    listed = {"inherited": entry.inherited_examples if entry else ()}
    listed["recited by the student"] = result.memorized_examples.get("student", ())
    lines = []
    for what, ids in listed.items():
        rest = f" and {count(len(ids) - MOST_IDS)} more" if len(ids) > MOST_IDS else ""
        lines += [f"{what}: examples {', '.join(map(str, ids[:MOST_IDS]))}{rest}"] if ids else []
    return lines


def _settings(result: AuditResult, verbosity: int) -> list[str]:
    lines = [_data_line("training set", result.training_set), _data_line("control set", result.control_set)]
    if verbosity > 0 and "prefix_tokens" in result.settings and "suffix_tokens" in result.settings:
        confidence = result.settings.get("confidence")
        sure = f"; bounds at {100 * confidence:g}% confidence" if isinstance(confidence, int | float) else ""
        lines.append(
            f"extraction    prefix of {result.settings['prefix_tokens']} tokens, suffix of"
            f" {result.settings['suffix_tokens']}{sure}"
        )
    if verbosity > 0:
        engines = {
            f"{m.engine}, {m.device}, {m.dtype}, ambiguous within {m.tolerance:.1g}" for m in result.models.values()
        }
        lines += [f"engine        {engine}" for engine in sorted(engines)]
        lines += [f"versions      {', '.join(f'{name} {version}' for name, version in result.versions.items())}"]
    return [line for line in lines if line]


def _data_line(what: str, entry: DataEntry | None) -> str:
    if entry is None:
        return ""
    name = last_part(entry.source)
    extent = "" if entry.exhaustive else " sampled"
    rest = [f"{count(entry.duplicates)} copies"] * bool(entry.duplicates)
    rest += [f"{count(entry.too_short)} too short"] * bool(entry.too_short)
    rest += [f"{count(entry.left_out)} shorter documents left out"] * bool(entry.left_out)
    return f"{what:<14}{name}: {count(entry.distinct)} distinct{extent}" + "".join(f", {one}" for one in rest)


def _called(gate: Gate) -> str:
    return gate.name.removeprefix("test_").replace("_", " ")


def _gate_line(gate: Gate, signs: Glyphs, width: int) -> Text:
    figure = signs.clean(compared(gate))
    room = max(1, width - 3 - len(figure))
    name = signs.truncate(_called(gate), room)
    return Text.assemble((f"{signs.passed} ", STYLE["pass"]), f"{name:<{room}} ", (figure, STYLE["pass"]))


def _panel(gate: Gate, signs: Glyphs, width: int) -> Panel:
    """What failed, why, what to do about it, and the command to run next."""
    body = Text(signs.truncate(gate.reason, LONGEST_REASON))
    if gate.next_step:
        body.append("\n" + signs.truncate(f"→ {gate.next_step}", LONGEST_REASON))
    if gate.command:
        body.append("\n" + signs.clean(f"$ {gate.command}"), style="bold")
    title = Text(signs.truncate(f"{signs.failed} {_called(gate)}: {gate.outcome}", width - 8))
    place = Text(signs.truncate(f"{gate.path}:{gate.line}", width - 8)) if gate.path else None
    return Panel(
        body,
        title=title,
        title_align="left",
        subtitle=place,
        subtitle_align="right",
        border_style=STYLE[gate.outcome],
        box=signs.panel,
    )
