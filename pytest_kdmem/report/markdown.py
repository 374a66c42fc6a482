"""Report → Markdown for a job's summary: the verdict, gates, models, sets, and what lies behind them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_kdmem.estimate import count, percent
from pytest_kdmem.report.cells import CELL_ROWS, roles_in_order
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.drift import drift_line
from pytest_kdmem.report.plain import plain
from pytest_kdmem.report.record import Report
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.words import compared, verdict_sentence
from pytest_kdmem.result import AuditResult
from pytest_kdmem.result_entries import Gate

SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️", "error": "❌"}
MOST_IDS = 20
ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
LEFT_OUT = "\n_Shortened: what is left out stands in the JSON report._\n"
# What begins something in GitHub's Markdown, or links by itself: a name, an issue, an address.
ACTIVE = re.compile(r"([\\`*_\[\]#|~$<>&@]|:(?=//)|(?<=[A-Za-z])\.(?=[A-Za-z])|^\s*[-+=]|^\s*\d+[.)](?=\s|$))")


def render(report: Report, *, limit_bytes: int | None = None) -> str:
    """Markdown in the flavour of GitHub.

    Args:
        limit_bytes: of the text in UTF-8; what does not fit is left out from the end of each audit, and that is told.
    """
    head = [f"## {SIGNS['fail' if report.failed else 'pass']} {escaped(verdict_sentence(report))}\n"]
    audits = [_audit(audit, alone=len(report.audits) == 1) for audit in report.audits]
    whole = "\n".join((*head, *(block for parts in audits for block in parts)))
    if limit_bytes is None or _size(whole) <= limit_bytes:
        return whole
    # Gates of all audits first: whatever room there is, they have it.
    gates, rest = [parts[0] for parts in audits], [block for parts in audits for block in parts[1:]]
    return _fitting([*head, *gates, *rest], limit_bytes)


def escaped(text: str) -> str:
    """Foreign text as it stands, in a paragraph or a cell of a table."""
    return ACTIVE.sub(_spelled, plain(text).strip())


def _spelled(sign: re.Match[str]) -> str:
    """A sign that does nothing; one of HTML as what stands for it, and a number at the start by its last sign."""
    shown = sign[0]
    return ENTITIES.get(shown) or f"{shown[:-1]}\\{shown[-1]}"


def code(text: str) -> str:
    """Foreign text in a code span of a table, whatever backticks it holds."""
    shown = plain(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    return f"{fence} {shown} {fence}" if shown.strip() else "–"


def _audit(audit: AuditResult, *, alone: bool) -> list[str]:
    """Blocks, the most important first."""
    title = [] if alone else [f"### {escaped(audit.name or 'the root')}\n"]
    gates = "\n".join([*title, _gates(audit), *_told("Not run", audit.not_run), *_told("Warning", audit.warnings)])
    parts = [gates, _models(audit), _sets(audit)]
    parts.append(_lines("Predicted risk", risk_lines(audit.risk) if audit.risk else ()))
    parts.append(_lines("Accepted figures", [drift_line(entry) for entry in audit.drift]))
    parts.append(_lines("Confirmed", [confirmation_line(*one) for one in audit.confirmation.items()]))
    return [part for part in (*parts, _details(audit)) if part]


def _gates(audit: AuditResult) -> str:
    ordered = sorted(audit.gates, key=lambda gate: gate.outcome == "pass")
    rows = [(SIGNS[gate.outcome], escaped(_called(gate)), escaped(compared(gate)), _way_out(gate)) for gate in ordered]
    return _table(("", "gate", "figure", "why, and what next"), rows) if rows else "No gate was held.\n"


def _called(gate: Gate) -> str:
    return gate.name.removeprefix("test_").replace("_", " ")


def _way_out(gate: Gate) -> str:
    if gate.outcome == "pass":
        return ""
    told = [escaped(gate.reason), escaped(gate.next_step), code(gate.command) if gate.command else ""]
    return "<br>".join(filter(None, told))


def _models(audit: AuditResult) -> str:
    rows = []
    for role in roles_in_order(audit):
        rate, held_out = audit.memorization.get(role), audit.held_out.get(role)
        cells = ["–"] * 5
        if rate is not None:
            bound = "exact" if rate.exhaustive and rate.low == rate.high else f"≤ {percent(rate.high)}"
            cells = [count(rate.k or 0), count(rate.n), percent(rate.value), bound, count(rate.ambiguous)]
        rows.append((escaped(role), *cells, f"{held_out.perplexity:.2f}" if held_out else "–"))
    headings = ("model", "recited", "of", "rate", "bound", "ambiguous", "held-out perplexity")
    return _table(headings, rows) if rows else ""


def _sets(audit: AuditResult) -> str:
    entry = audit.inheritance
    if entry is None:
        return ""
    marks = {"1": "●", "0": "·"}
    rows = [
        (*(marks[member] for member in members), called, count(entry.cells[cell]))
        for cell, members, called in CELL_ROWS
    ]
    said = f"Inherited {entry.ratio}; easy {entry.easy_share}; reduction {entry.reduction}; p = {entry.p_value:.2g}"
    ids = entry.inherited_examples
    more = f" and {count(len(ids) - MOST_IDS)} more" if len(ids) > MOST_IDS else ""
    shown = f"\nInherited examples: {', '.join(map(str, ids[:MOST_IDS]))}{more}.\n" if ids else ""
    return _table(("T", "B", "S", "recited by", "examples"), rows) + f"\n{escaped(said)}.\n{shown}"


def _details(audit: AuditResult) -> str:
    lines = [f"created: {audit.created}"]
    for what, entry in (("training set", audit.training_set), ("control set", audit.control_set)):
        if entry is not None:
            lines.append(f"{what}: {entry.source}, {count(entry.distinct)} distinct, digest {entry.digest}")
    for role in roles_in_order(audit):
        model = audit.models[role]
        lines.append(
            f"{role}: {model.source}, digest {model.digest}, {model.engine} on {model.device} in {model.dtype},"
            f" ambiguous within {model.tolerance:.1g}"
        )
    lines += [f"{name}: {value}" for name, value in audit.settings.items()]
    lines += [f"{name} {version}" for name, version in audit.versions.items()]
    listed = "\n".join(f"- {escaped(line)}" for line in lines)
    return f"<details><summary>Settings, versions, digests</summary>\n\n{listed}\n\n</details>\n"


def _told(what: str, lines: Iterable[str]) -> list[str]:
    return [f"> **{what}:** {escaped(line)}\n" for line in lines]


def _lines(title: str, lines: Sequence[str]) -> str:
    return f"**{title}**\n\n" + "".join(f"- {escaped(line)}\n" for line in lines) if lines else ""


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _fitting(blocks: Sequence[str], limit_bytes: int) -> str:
    """As many blocks as fit, the first of them by lines where not even that does."""
    room = limit_bytes - _size(LEFT_OUT)
    kept: list[str] = []
    for block in blocks:
        if _size(block) + 1 <= room:
            kept.append(block)
            room -= _size(block) + 1
            continue
        for line in block.splitlines(keepends=True) if len(kept) < 2 else ():
            if _size(line) > room:
                break
            kept.append(line.rstrip("\n") if line.endswith("|\n") else line)
            room -= _size(line)
        break
    return "\n".join(kept) + LEFT_OUT if room >= 0 else ""


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
