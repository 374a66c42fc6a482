"""Report → text for a terminal: of each audit its models, inheritance, gates, and a panel for each that failed."""

from __future__ import annotations

import io
import math
import unicodedata
from dataclasses import dataclass

from rich.box import ASCII as ASCII_BOX
from rich.box import ASCII2, ROUNDED, SIMPLE_HEAD, Box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from pytest_kdmem.estimate import MIRRORED, SIGN, Estimate, count, percent
from pytest_kdmem.provenance import shortened
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.record import Report
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.result import AuditResult
from pytest_kdmem.result_entries import DataEntry, Gate, InheritanceEntry

# Who memorized an example (teacher, baseline, student), and what that is called.
CELL_ROWS = (
    ("teacher", "100", "teacher alone"),
    ("teacher+baseline", "110", "lost in distillation"),
    ("all", "111", "easy: all three"),
    ("teacher+student", "101", "inherited from the teacher"),
    ("baseline", "010", "baseline alone"),
    ("baseline+student", "011", "baseline and student"),
    ("student", "001", "student alone"),
)
ROLE_ORDER = ("teacher", "baseline", "student")
# Columns of figures in order, and those that go first where there is no room.
FIGURES = ("params", "recited", "of", "rate", "bound", "ambiguous", "held-out ppl")
EXPENDABLE = ("params", "of", "held-out ppl", "ambiguous")
SHORTEST_NAME = 8
STYLE = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red"}


@dataclass(frozen=True)
class Signs:
    """What is drawn where the terminal has unicode, and where it has not."""

    passed: str
    failed: str
    yes: str
    no: str
    bar: str
    ellipsis: str
    box: Box
    panel: Box
    replaced: tuple[tuple[str, str], ...] = ()

    def say(self, text: str) -> str:
        """One line of text in the signs that the terminal has; what would steer a terminal becomes "?"."""
        for sign, plain in self.replaced:
            text = text.replace(sign, plain)
        text = "".join("?" if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp") else sign for sign in text)
        return text.encode("ascii", "replace").decode("ascii") if self.replaced else text

    def cut(self, text: str, width: int) -> str:
        """``say`` in at most ``width`` columns."""
        said = self.say(text)
        if len(said) <= width:
            return said
        return said[: max(0, width - len(self.ellipsis))] + self.ellipsis


PLAIN = (("≤", "<="), ("≥", ">="), ("×", "x"), ("…", "..."), ("–", "-"), ("→", "->"), ("−", "-"))
UNICODE = Signs("✓", "✗", "●", "·", "█", "…", SIMPLE_HEAD, ROUNDED)
ASCII = Signs("+", "x", "x", ".", "#", "...", ASCII2, ASCII_BOX, PLAIN)


def render(report: Report, *, width: int = 80, color: bool = False, unicode: bool = True, quiet: bool = False) -> str:
    """The report as text with a final newline; of several audits each under its name, and a line over all of them.

    Args:
        width: columns.
        color: with ANSI colours.
        unicode: with signs beyond ASCII.
        quiet: only what failed.
    """
    signs = UNICODE if unicode else ASCII
    shown = [audit for audit in report.audits if audit.failed or not quiet]
    parts: list[RenderableType] = []
    for at, audit in enumerate(shown):
        if len(report.audits) > 1:
            parts += [Text()] * (at > 0)
            title = Text(signs.cut(audit.name or "the root", width - 6), style="bold")
            parts.append(Rule(title, characters="─" if unicode else "-", align="left"))
        parts += _section(audit, signs, width, quiet=quiet)
    if shown and len(report.audits) > 1:
        parts += [Rule(characters="─" if unicode else "-"), _summary(report, signs)]
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


def _section(result: AuditResult, signs: Signs, width: int, *, quiet: bool) -> list[RenderableType]:
    """One audit; where quiet, only what failed in it."""
    parts: list[RenderableType] = []
    if not quiet:
        parts.append(Text("\n".join(signs.cut(line, width) for line in _settings(result))))
        if result.models:
            parts.append(_models(result, signs, width))
        parts += [Text(signs.say(line)) for line in _runs(result)]
        parts += [Text(signs.say(confirmation_line(*one))) for one in result.confirmation.items()]
        parts += [Text(signs.say(f"! {warning}"), style="yellow") for warning in result.warnings]
        if result.inheritance is not None:
            parts += [_inheritance(result.inheritance, signs, width), Text()]
        if result.risk is not None:
            parts += [*(Text(signs.say(line)) for line in risk_lines(result.risk)), Text()]
        parts += [_gate_line(gate, signs, width) for gate in result.gates]
        parts += [Text(signs.cut(f"- {nodeid}: not run", width), style="yellow") for nodeid in result.not_run]
    return parts + [_panel(gate, signs, width) for gate in result.failed]


def _summary(report: Report, signs: Signs) -> Text:
    """One line over several audits: how many gates do not let their models ship, and in which."""
    gates = sum(len(audit.gates) for audit in report.audits)
    line = f"{len(report.audits)} audits, {gates} gate{'s' * (gates != 1)}"
    red = [f"{len(audit.failed)} in {audit.name or 'the root'}" for audit in report.audits if audit.failed]
    missing = sum(len(audit.not_run) for audit in report.audits)
    line += f", not passed: {', '.join(red)}" if red else ", all that were held pass" if missing else ", all pass"
    line += f"; {missing} not run" if missing else ""
    return Text(signs.say(line), style="bold red" if red else "bold yellow" if missing else "bold green")


def _runs(result: AuditResult) -> list[str]:
    """A line for each model of ours: how it was made."""
    lines = []
    for role in _in_order(result):
        run = result.models[role].run
        if run is not None:
            # A teacher of mode "baseline" would read oddly, and its loss says all.
            parts = [run["mode"]] * (run["mode"] != "baseline") + [run["loss"]]
            parts += [f"teacher {shortened(run['teacher']['digest'])}"] if run["teacher"] else []
            parts += [f"{run['epochs']:g} epochs", f"{count(run['steps'])} steps"]
            lines.append(f"{role}: {', '.join(parts)}")
    return lines


def _in_order(result: AuditResult) -> list[str]:
    rank = {role: at for at, role in enumerate(ROLE_ORDER)}
    return sorted(result.models, key=lambda role: (rank.get(role, len(rank)), role))


def _settings(result: AuditResult) -> list[str]:
    lines = [_data_line("training set", result.training_set), _data_line("control set", result.control_set)]
    if "prefix_tokens" in result.settings and "suffix_tokens" in result.settings:
        confidence = float(result.settings.get("confidence", 0.95))
        lines.append(
            f"extraction    prefix of {result.settings['prefix_tokens']} tokens, suffix of"
            f" {result.settings['suffix_tokens']}; bounds at {100 * confidence:g}% confidence"
        )
    engines = {f"{m.engine}, {m.device}, {m.dtype}, ambiguous within {m.tolerance:.1g}" for m in result.models.values()}
    lines += [f"engine        {engine}" for engine in sorted(engines)]
    return [line for line in lines if line]


def _data_line(what: str, entry: DataEntry | None) -> str:
    if entry is None:
        return ""
    name = entry.source.rstrip("/").rsplit("/", 1)[-1]
    extent = "" if entry.exhaustive else " sampled"
    rest = [f"{count(entry.duplicates)} copies"] * bool(entry.duplicates)
    rest += [f"{count(entry.too_short)} too short"] * bool(entry.too_short)
    rest += [f"{count(entry.left_out)} shorter documents left out"] * bool(entry.left_out)
    return f"{what:<14}{name}: {count(entry.distinct)} distinct{extent}" + "".join(f", {one}" for one in rest)


def _models(result: AuditResult, signs: Signs, width: int) -> Table:
    """A row per model; figures are never cut: columns go instead, and names give way."""
    roles = _in_order(result)
    rows = {role: dict(zip(FIGURES, map(signs.say, _figures(result, role)), strict=True)) for role in roles}
    shown = list(FIGURES)

    def room() -> int:
        # Of each column, a space on either side and a line between.
        figures = sum(3 + max(len(name), *(len(row[name]) for row in rows.values())) for name in shown)
        return width - figures - 3

    for name in EXPENDABLE:
        if room() < SHORTEST_NAME:
            shown.remove(name)
    table = Table(box=signs.box, pad_edge=False, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="right", no_wrap=True)
    for role in roles:
        table.add_row(signs.cut(role, max(1, room())), *(rows[role][name] for name in shown))
    return table


def _figures(result: AuditResult, role: str) -> list[str]:
    rate, held_out = result.memorization.get(role), result.held_out.get(role)
    cells = ["–"] * 5
    if rate is not None:
        bound = "exact" if rate.exhaustive and rate.low == rate.high else f"≤ {percent(rate.high)}"
        cells = [count(rate.k or 0), count(rate.n), percent(rate.value), bound, count(rate.ambiguous)]
    parameters = result.models[role].parameters
    size = f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
    return [size, *cells, f"{held_out.perplexity:.2f}" if held_out else "–"]


def _inheritance(entry: InheritanceEntry, signs: Signs, width: int) -> Group:
    """A row per cell: which of T, B, S hold it, what it is called, and a bar as long as it is large."""
    largest = max(entry.cells[cell] for cell, *_ in CELL_ROWS)
    room = max(8, width - 46)
    lines = [Text("T B S  who recites the same examples", style="bold")]
    for cell, members, called in CELL_ROWS:
        size = entry.cells[cell]
        marks = " ".join(signs.yes if member == "1" else signs.no for member in members)
        bar = signs.bar * (max(1, round(room * size / largest)) if size else 0)
        style = "red" if cell == "teacher+student" and size else ""
        lines.append(Text(f"{marks}  {called:<27}{count(size):>7}  {bar}", style=style, no_wrap=True, overflow="crop"))
    lines.append(Text(signs.say(f"inherited {entry.ratio}; easy {entry.easy_share}")))
    lines.append(Text(signs.say(f"reduction {entry.reduction}, McNemar p = {entry.p_value:.2g}")))
    return Group(*lines)


def _gate_line(gate: Gate, signs: Signs, width: int) -> Text:
    figure: str = gate.outcome
    if gate.estimate is not None and gate.operator is not None and gate.threshold is not None:
        estimate, limit = gate.estimate, gate.threshold
        against = limit.facing(MIRRORED[gate.operator]) if isinstance(limit, Estimate) else limit
        compared = f"{estimate.figure(estimate.facing(gate.operator))} {SIGN[gate.operator]} {estimate.figure(against)}"
        if math.isnan(estimate.value):
            figure = "inconclusive: undefined"
        else:
            figure = compared if gate.outcome == "pass" else f"{gate.outcome}: not {compared}"
    figure = signs.say(figure)
    room = width - 3 - len(figure)
    name = signs.cut(gate.name.removeprefix("test_").replace("_", " "), room)
    sign = signs.passed if gate.outcome == "pass" else signs.failed
    return Text.assemble((f"{sign} ", STYLE[gate.outcome]), f"{name:<{room}} ", (figure, STYLE[gate.outcome]))


def _panel(gate: Gate, signs: Signs, width: int) -> Panel:
    body = Text(signs.say(gate.reason))
    if gate.next_step:
        body.append("\n" + signs.say(f"→ {gate.next_step}"))
    title = Text(signs.cut(f"{gate.outcome}: {gate.name}", width - 8))
    return Panel(body, title=title, title_align="left", border_style=STYLE[gate.outcome], box=signs.panel)
