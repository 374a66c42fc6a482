"""AuditResult → text for a terminal: models, inheritance, gates, and a panel for each gate that failed."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from rich.box import ASCII as ASCII_BOX
from rich.box import ASCII2, ROUNDED, SIMPLE_HEAD, Box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pytest_kdmem.estimate import SIGN, Estimate, count, percent
from pytest_kdmem.result import AuditResult, DataEntry, Gate, InheritanceEntry

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
STYLE = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red"}


@dataclass(frozen=True)
class Signs:
    """What is drawn where the terminal has unicode, and where it has not."""

    passed: str
    failed: str
    yes: str
    no: str
    bar: str
    box: Box
    panel: Box
    replaced: tuple[tuple[str, str], ...] = ()

    def say(self, text: str) -> str:
        """Text with the signs that the terminal has."""
        for sign, plain in self.replaced:
            text = text.replace(sign, plain)
        return text


UNICODE = Signs("✓", "✗", "●", "·", "█", SIMPLE_HEAD, ROUNDED)
PLAIN = (("≤", "<="), ("≥", ">="), ("×", "x"), ("…", "..."), ("–", "-"), ("→", "->"), ("−", "-"))
ASCII = Signs("+", "x", "x", ".", "#", ASCII2, ASCII_BOX, PLAIN)
NARROW = 72


def render(
    result: AuditResult, *, width: int = 80, color: bool = False, unicode: bool = True, quiet: bool = False
) -> str:
    """The report as text with a final newline.

    Args:
        width: columns.
        color: with ANSI colours.
        unicode: with signs beyond ASCII.
        quiet: only what failed.
    """
    signs = UNICODE if unicode else ASCII
    parts: list[RenderableType] = []
    if not quiet:
        parts += [_settings(result, width), _models(result, signs, width)]
        if result.inheritance is not None:
            parts += [_inheritance(result.inheritance, signs, width), Text()]
        parts += [_gate_line(gate, signs, width) for gate in result.gates]
    parts += [_panel(gate, signs) for gate in result.failed]
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
    text = "".join(f"{line.rstrip()}\n" for line in sink.getvalue().splitlines())
    # Names are the user's and may hold any sign.
    return text if unicode else text.encode("ascii", "replace").decode("ascii")


def _settings(result: AuditResult, width: int) -> Text:
    lines = [_data_line("training set", result.training_set), _data_line("control set", result.control_set)]
    extraction = result.settings
    confidence = float(extraction.get("confidence", 0.95))
    lines.append(
        f"extraction    prefix of {extraction.get('prefix_tokens')} tokens,"
        f" suffix of {extraction.get('suffix_tokens')}; bounds at {confidence:.0%} confidence"
    )
    engines = {f"{m.engine}, {m.device}, {m.dtype}, ambiguous within {m.tolerance:.1g}" for m in result.models.values()}
    lines += [f"engine        {engine}" for engine in sorted(engines)]
    return Text("\n".join(line[:width] for line in lines if line))


def _data_line(what: str, entry: DataEntry | None) -> str:
    if entry is None:
        return ""
    name = entry.source.rstrip("/").rsplit("/", 1)[-1]
    extent = "" if entry.exhaustive else " sampled"
    rest = [f"{count(entry.duplicates)} copies"] * bool(entry.duplicates)
    rest += [f"{count(entry.too_short)} too short"] * bool(entry.too_short)
    return f"{what:<14}{name}: {count(entry.distinct)} distinct examples{extent}" + "".join(f", {one}" for one in rest)


def _models(result: AuditResult, signs: Signs, width: int) -> Table:
    table = Table(box=signs.box, pad_edge=False, padding=(0, 1))
    table.add_column("model", no_wrap=True)
    names = ["params", "recited", "of", "rate", "bound", "ambiguous", "held-out ppl"]
    dropped = {"params", "of"} if width < NARROW else set()
    for name in names:
        if name not in dropped:
            table.add_column(name, justify="right", no_wrap=True)
    rank = {role: at for at, role in enumerate(ROLE_ORDER)}
    for role in sorted(result.models, key=lambda role: (rank.get(role, len(rank)), role)):
        rate, held_out = result.memorization.get(role), result.held_out.get(role)
        cells = [signs.say("–")] * 5
        if rate is not None:
            bound = "exact" if rate.exhaustive and rate.low == rate.high else f"≤ {percent(rate.high)}"
            cells = [count(rate.k or 0), count(rate.n), percent(rate.value), bound, count(rate.ambiguous)]
        perplexity = f"{held_out.perplexity:.2f}" if held_out else signs.say("–")
        row = [_millions(result.models[role].parameters), *cells, perplexity]
        shown = [signs.say(cell) for name, cell in zip(names, row, strict=True) if name not in dropped]
        table.add_row(signs.say(role), *shown)
    return table


def _inheritance(entry: InheritanceEntry, signs: Signs, width: int) -> Group:
    """A row per cell: which of T, B, S hold it, what it is called, and a bar as long as it is large."""
    largest = max((entry.cells[cell] for cell, *_ in CELL_ROWS), default=0)
    room = max(8, width - 46)
    lines = [Text("T B S  who recites the same examples", style="bold")]
    for cell, members, called in CELL_ROWS:
        size = entry.cells[cell]
        marks = " ".join(signs.yes if member == "1" else signs.no for member in members)
        bar = signs.bar * (max(1, round(room * size / largest)) if size else 0)
        style = "red" if cell == "teacher+student" and size else ""
        lines.append(Text(f"{marks}  {called:<27}{count(size):>7}  {bar}", style=style, no_wrap=True, overflow="crop"))
    lines.append(
        Text(
            signs.say(
                f"inherited {entry.ratio}; easy {entry.easy_share}\n"
                f"reduction {entry.reduction}, McNemar p = {entry.p_value:.2g}"
            )
        )
    )
    return Group(*lines)


def _gate_line(gate: Gate, signs: Signs, width: int) -> Text:
    sign = signs.passed if gate.outcome == "pass" else signs.failed
    name = gate.name.removeprefix("test_").replace("_", " ")
    figure: str = gate.outcome
    if gate.estimate is not None and gate.operator is not None and gate.threshold is not None:
        estimate, limit = gate.estimate, gate.threshold
        bound = estimate.high if gate.operator in ("<=", "<") else estimate.low
        against = limit.value if isinstance(limit, Estimate) else limit
        figure = f"{estimate.figure(bound)} {SIGN[gate.operator]} {estimate.figure(against)}"
        if math.isnan(estimate.value):
            figure = "inconclusive: undefined"
        elif gate.outcome != "pass":
            figure = f"{gate.outcome}: not {figure}"
    name, figure = signs.say(name), signs.say(figure)
    room = width - 3 - len(figure)
    shown = name if len(name) <= room else name[:room]
    return Text.assemble((f"{sign} ", STYLE[gate.outcome]), f"{shown:<{room}} ", (figure, STYLE[gate.outcome]))


def _panel(gate: Gate, signs: Signs) -> Panel:
    body = Text(signs.say(gate.reason))
    if gate.next_step:
        body.append(signs.say(f"\n→ {gate.next_step}"))
    title = Text(f"{gate.outcome}: {gate.name}")
    return Panel(body, title=title, title_align="left", border_style=STYLE[gate.outcome], box=signs.panel)


def _millions(parameters: int) -> str:
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
