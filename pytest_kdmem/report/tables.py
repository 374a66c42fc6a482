"""An audit's models and sets → tables for a terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import DistributionsEntry, InheritanceEntry
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.report.glyphs import Glyphs
from pytest_kdmem.report.venn import CELL_ROWS, roles_in_order

# Columns of figures in order, and those that go first where there is no room.
FIGURES = ("params", "recited", "of", "rate", "bound", "ambiguous", "held-out ppl", "margins")
EXPENDABLE = ("margins", "params", "of", "held-out ppl", "ambiguous")
SHORTEST_NAME = 8
# Glyphs of a sparkline on either side of 0, and how many logits each is of.
SIDE, LOGITS_A_SIGN = 5, 2


def models_table(result: AuditResult, signs: Glyphs, width: int) -> Table:
    """A row per model; figures are never cut: columns go instead, and names give way."""
    roles = roles_in_order(result)
    rows = {role: dict(zip(FIGURES, _figures(result, role, signs), strict=True)) for role in roles}
    shown = [name for name in FIGURES if name != "margins" or any(row[name] for row in rows.values())]

    def room() -> int:
        # Of each column, a space on either side and a line between.
        figures = sum(3 + max(len(name), *(len(row[name]) for row in rows.values())) for name in shown)
        return width - figures - 3

    for name in EXPENDABLE:
        if room() < SHORTEST_NAME and name in shown:
            shown.remove(name)
    table = Table(box=signs.box, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("model", no_wrap=True)
    for name in shown:
        table.add_column(name, justify="left" if name == "margins" else "right", no_wrap=True)
    for role in roles:
        table.add_row(signs.truncate(role, max(1, room())), *(rows[role][name] for name in shown))
    return table


def _figures(result: AuditResult, role: str, signs: Glyphs) -> list[str]:
    rate, held_out = result.memorization.get(role), result.held_out.get(role)
    cells = ["–"] * 5
    if rate is not None:
        bound = "exact" if rate.exhaustive and rate.low == rate.high else f"≤ {percent(rate.high)}"
        cells = [count(rate.k or 0), count(rate.n), percent(rate.value), bound, count(rate.ambiguous)]
    parameters = result.models[role].parameters
    size = f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.1f} M"
    said = [size, *cells, f"{held_out.perplexity:.2f}" if held_out else "–"]
    return [*map(signs.clean, said), _margins(result.distributions, role, signs)]


def _margins(distributions: DistributionsEntry | None, role: str, signs: Glyphs) -> str:
    """Examples by margin, recited ones right of the line; nothing where no margin is known.

    The two sides have a scale each: far more examples lie left of it.
    """
    if distributions is None or role not in distributions.models:
        return ""
    left, right = [0] * SIDE, [0] * SIDE
    for edge, counted in zip(distributions.edges, distributions.models[role].margins, strict=False):
        place = int(abs(edge if edge >= 0 else edge + 1) // LOGITS_A_SIGN)
        side = right if edge >= 0 else left
        side[min(SIDE - 1, place)] += counted
    if not any(left + right):
        return ""
    return signs.sparkline(left[::-1]) + "|" + signs.sparkline(right)


def sets_line(entry: InheritanceEntry) -> str:
    """The three sets in a line."""
    reduction = entry.reduction.format_value(entry.reduction.value)
    return f"inherited {entry.ratio}; easy {entry.easy_share}; reduction {reduction}"


def sets_table(entry: InheritanceEntry, signs: Glyphs, width: int) -> Group:
    """A row per cell: which of T, B, S hold it, what it is called, and a bar as long as it is large."""
    largest = max(entry.cells.get(cell, 0) for cell, *_ in CELL_ROWS)
    room = max(8, width - 46)
    lines = [Text("T B S  who recites the same examples", style="bold")]
    for cell, members, called in CELL_ROWS:
        size = entry.cells.get(cell, 0)
        marks = " ".join(signs.yes if member == "1" else signs.no for member in members)
        bar = signs.bar * (max(1, round(room * size / largest)) if size else 0)
        style = "red" if cell == "teacher+student" and size else ""
        lines.append(Text(f"{marks}  {called:<27}{count(size):>7}  {bar}", style=style, no_wrap=True, overflow="crop"))
    lines.append(Text(signs.clean(f"inherited {entry.ratio}; easy {entry.easy_share}")))
    lines.append(Text(signs.clean(f"reduction {entry.reduction}, McNemar p = {entry.p_value:.2g}")))
    return Group(*lines)
