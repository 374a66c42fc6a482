"""Tables of an audit's models and of inheritance, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import InheritanceEntry
from pytest_kdmem.auditing.schema_examples import DistributionsEntry
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.report.families import FamilyTable
from pytest_kdmem.report.glyphs import Glyphs
from pytest_kdmem.report.students import COLUMNS as STUDENT_COLUMNS
from pytest_kdmem.report.students import StudentLine, size_text
from pytest_kdmem.report.venn import CELLS, INHERITED, ordered_roles

# Columns after the model's name, and those that are dropped first where the terminal is narrow.
COLUMNS = ("params", "recited", "of", "rate", "bound", "ambiguous", "held-out ppl", "margins")
EXPENDABLE = ("margins", "params", "of", "held-out ppl", "ambiguous")
EXPENDABLE_OF_STUDENTS = ("seed", "size", "temperature", "inherited", "reduction")
LEFT = ("margins", "gates")
STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow", "error": "red"}
MIN_NAME_WIDTH = 8
# Rows of a family's table, and characters of a model's name above its column.
MAX_FAMILY_ROWS, MAX_SUBJECT_WIDTH = 40, 24
LABEL_WIDTH = 20  # for which columns of a family are dropped
COLUMN_PADDING = 3  # a space on either side of a column, and the line between two columns
# Columns of an inheritance table beside its bars.
INHERITANCE_LABELS_WIDTH = 46
MIN_BAR_WIDTH = 8
# Characters of a sparkline on either side of margin 0, and logits that one character stands for.
SPARKLINE_SIDE, LOGITS_PER_CHARACTER = 5, 2


@dataclass(frozen=True)
class Columns:
    """Columns of a table after the name of each row.

    Attributes:
        names: Their headings.
        expendable: Those that are dropped, in this order, until the names have room.
        least_name_width: Characters for which names have room.
        wrap_names: Whether a longer name goes on in the next line. Otherwise it is cut.
    """

    names: Sequence[str]
    expendable: Sequence[str]
    least_name_width: int = MIN_NAME_WIDTH
    wrap_names: bool = False


def models_table(result: AuditResult, glyphs: Glyphs, width: int) -> Table:
    """Return a table with a row per model.

    Numbers are never cut: where the terminal is narrow, columns are dropped and names are truncated.
    """
    rows = [(role, dict(zip(COLUMNS, _cells(result, role, glyphs), strict=True)), "") for role in ordered_roles(result)]
    columns = [name for name in COLUMNS if name != "margins" or any(cells[name] for _, cells, _ in rows)]
    return _fitted_table("model", rows, Columns(columns, EXPENDABLE), glyphs, width)


def students_table(lines: Sequence[StudentLine], glyphs: Glyphs, width: int) -> Table:
    """Return a table with a row per student, in the colour of the outcome of its gates."""
    signs = {"pass": glyphs.passed, "fail": glyphs.failed, "inconclusive": "?"}
    rows = [
        (
            f"{signs[line.outcome]} {line.name}",
            dict(zip(STUDENT_COLUMNS, map(glyphs.clean, line.cells), strict=True)),
            STYLES[line.outcome],
        )
        for line in lines
    ]
    return _fitted_table("student", rows, Columns([*STUDENT_COLUMNS], EXPENDABLE_OF_STUDENTS), glyphs, width)


def family_table(family: FamilyTable, glyphs: Glyphs, width: int) -> Group:
    """Return a family's table under its title and meaning.

    Where the terminal is narrow, models are dropped, the student last.
    """
    subjects = _distinct([glyphs.truncate(subject, MAX_SUBJECT_WIDTH) for subject in family.subjects])
    columns = ["examples", *subjects]
    rows = [
        (row.label, dict(zip(columns, map(glyphs.clean, (row.examples, *row.cells)), strict=True)), "")
        for row in family.rows[:MAX_FAMILY_ROWS]
    ]
    lines: list[RenderableType] = [Text(family.title, style="bold"), Text(glyphs.clean(family.meaning))]
    others = [subject for subject, name in zip(subjects, family.subjects, strict=True) if name != "student"]
    longest_label = max(len(row.label) for row in family.rows)
    # A label that is cut may say another thing than the whole one, so it is wrapped.
    fitted = Columns(columns, ("examples", *reversed(others)), min(longest_label, LABEL_WIDTH), wrap_names=True)
    lines.append(_fitted_table("", rows, fitted, glyphs, width))
    rest = len(family.rows) - MAX_FAMILY_ROWS
    lines += [Text(glyphs.clean(f"… and {count(rest)} more, which the JSON report has"))] * (rest > 0)
    lines += [Text(glyphs.clean(note)) for note in family.notes[:MAX_FAMILY_ROWS]]
    return Group(*lines)


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names with their numbers before them if two of them are the same."""
    is_distinct = len(set(names)) == len(names)
    return list(names) if is_distinct else [f"{number} {name}" for number, name in enumerate(names, start=1)]


def _fitted_table(
    heading: str,
    rows: Sequence[tuple[str, Mapping[str, str], str]],
    columns: Columns,
    glyphs: Glyphs,
    width: int,
) -> Table:
    """Return a table that is no wider than the terminal.

    Args:
        heading: Heading of the names.
        rows: Name, cells by column, and style of each row.
        columns: Columns after the name.
        glyphs: Characters of the terminal.
        width: Columns of the terminal.
    """

    names = list(columns.names)

    def name_width() -> int:
        widths = (max(len(column), *(len(cells[column]) for _, cells, _ in rows)) for column in names)
        return width - sum(COLUMN_PADDING + column_width for column_width in widths) - COLUMN_PADDING

    for column in columns.expendable:
        if name_width() < columns.least_name_width and column in names:
            names.remove(column)
    table = Table(box=glyphs.box, pad_edge=False, padding=(0, 1), show_edge=False)
    widest_name = max(1, name_width())
    table.add_column(heading, no_wrap=not columns.wrap_names, overflow="fold", max_width=widest_name)
    for column in names:
        table.add_column(column, justify="left" if column in LEFT else "right", no_wrap=True)
    for name, cells, style in rows:
        shown = (cells[column] for column in names)
        shown_name = glyphs.clean(name) if columns.wrap_names else _shortened(name, widest_name, glyphs)
        table.add_row(Text(shown_name), *shown, style=style or None)
    return table


def _shortened(name: str, width: int, glyphs: Glyphs) -> str:
    """A name that fits: of a path the end, which tells models apart, and of any other name the beginning."""
    return glyphs.keep_end(name, width) if "/" in name else glyphs.truncate(name, width)


def _cells(result: AuditResult, role: str, glyphs: Glyphs) -> list[str]:
    rate, held_out = result.memorization.get(role), result.held_out.get(role)
    rate_cells = ["–"] * 5
    if rate is not None:
        bound = "exact" if rate.exhaustive and rate.low == rate.high else f"≤ {percent(rate.high)}"
        rate_cells = [count(rate.k or 0), count(rate.n), percent(rate.value), bound, count(rate.ambiguous)]
    cells = [size_text(result.models[role].parameters), *rate_cells, f"{held_out.perplexity:.2f}" if held_out else "–"]
    return [*map(glyphs.clean, cells), _margins_sparkline(result.distributions, role, glyphs)]


def _margins_sparkline(distributions: DistributionsEntry | None, role: str, glyphs: Glyphs) -> str:
    """Return a sparkline of examples by margin, with "|" at 0, or an empty string if no margin is known.

    Recited examples are to the right of 0. The two sides are scaled apart, because far more examples are to the left.
    """
    if distributions is None or role not in distributions.models:
        return ""
    left, right = [0] * SPARKLINE_SIDE, [0] * SPARKLINE_SIDE
    for edge, examples in zip(distributions.edges, distributions.models[role].margins, strict=False):
        distance = int(abs(edge if edge >= 0 else edge + 1) // LOGITS_PER_CHARACTER)
        side = right if edge >= 0 else left
        side[min(SPARKLINE_SIDE - 1, distance)] += examples
    if not any(left + right):
        return ""
    return glyphs.sparkline(left[::-1]) + "|" + glyphs.sparkline(right)


def inheritance_table(entry: InheritanceEntry, glyphs: Glyphs, width: int) -> Group:
    """Return a row per cell of the Venn diagram: who recites its examples, its label, its size, and a bar."""
    largest = max(entry.cells.get(cell.key, 0) for cell in CELLS)
    bar_width = max(MIN_BAR_WIDTH, width - INHERITANCE_LABELS_WIDTH)
    lines = [Text("T B S  who recites the same examples", style="bold")]
    for cell in CELLS:
        size = entry.cells.get(cell.key, 0)
        members = " ".join(glyphs.yes if member == "1" else glyphs.no for member in cell.members)
        bar = glyphs.bar * (max(1, round(bar_width * size / largest)) if size else 0)
        style = "red" if cell.key == INHERITED and size else ""
        row = f"{members}  {cell.label:<27}{count(size):>7}  {bar}"
        lines.append(Text(row, style=style, no_wrap=True, overflow="crop"))
    lines.append(Text(glyphs.clean(f"inherited {entry.ratio}; easy {entry.easy_share}")))
    lines.append(Text(glyphs.clean(f"reduction {entry.reduction}, McNemar p = {entry.p_value:.2g}")))
    return Group(*lines)
