"""Report → Markdown for a job's summary: the verdict, gates, models, sets, and what lies behind them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate, InheritanceEntry, ModelEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.confirmation import confirmation_line
from pytest_kdmem.report.regression import change_line
from pytest_kdmem.report.risk import risk_lines
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sentences import compared, outcome_of, verdict_sentence
from pytest_kdmem.report.venn import CELL_ROWS, roles_in_order

Item = TypeVar("Item")
SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "⚠️", "error": "❌"}
MOST_IDS = 20
MEMBER = {"1": "●", "0": "·"}
# What GitHub makes of a name, an issue, an address or an emoji it finds in the text that Markdown gave, so that no
# escape of Markdown keeps it from that: a word joiner does, which nobody sees.
LINKING = re.compile(r"@|#(?=\d)|[Gg][Hh]-(?=\d)|:(?=//)|[Ww]{3}(?=\.)|:(?=[\w+-]+(?::|$))")
JOINER = "\u2060"
# What begins something in Markdown, and how it is written instead. A dollar begins mathematics, and has no escape.
ACTIVE = re.compile(r"[\\`*\[\]|~<>&$]|(?<![^\W_])_|^[-+=#]|^\d+[.)](?=\s|$)")
WRITTEN = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "＄"}


@dataclass(frozen=True)
class Extent:
    """How much is shown; ``rows`` is the most of any list, None all."""

    details: bool = True
    ids: bool = True
    rows: int | None = None

    def of(self, items: Sequence[Item]) -> tuple[Sequence[Item], str]:
        """Those to be shown, and how many more there are, in words or nothing."""
        if self.rows is None or len(items) <= self.rows:
            return items, ""
        return items[: self.rows], f"… and {count(len(items) - self.rows)} more"

    def left_out(self) -> str:
        parts = ["settings, versions and digests"] * (not self.details) + ["example ids"] * (not self.ids)
        parts += [f"rows beyond the first {self.rows} of each list"] * (self.rows is not None)
        return f"_Left out here: {'; '.join(parts)}. The JSON report has them._\n" if parts else ""


# What is tried in turn where there is a limit.
EXTENTS = (
    Extent(),
    Extent(details=False),
    Extent(details=False, ids=False),
    *(Extent(details=False, ids=False, rows=rows) for rows in (1000, 300, 100, 30, 10, 3, 1)),
)


def render(report: Report, *, limit_bytes: int | None = None) -> str:
    """Markdown in the flavour of GitHub.

    Args:
        limit_bytes: of the text in UTF-8. What does not fit is left out, and that is told: settings first, then ids,
            then gates and other rows beyond the first; at last all but the verdict, and where not even that fits, all.
    """
    if limit_bytes is None:
        return _shown(report, Extent())
    verdict = f"{_verdict(report)}\n_Left out here: all else. The JSON report has it._\n"
    tried = (*(_shown(report, extent) for extent in EXTENTS), verdict)
    return next((text for text in tried if len(text.encode()) <= limit_bytes), "")


def escaped(text: str) -> str:
    """Foreign text as it stands, in one line of a paragraph or of a table; nothing in it is Markdown or a link."""
    shown = ACTIVE.sub(_written, sanitize(text).strip())
    return LINKING.sub(rf"\g<0>{JOINER}", shown)


def _written(sign: re.Match[str]) -> str:
    return WRITTEN.get(sign[0], f"{sign[0][:-1]}\\{sign[0][-1]}")


def code(text: str) -> str:
    """Foreign text in a code span of one line, also in a table, whatever backticks it holds."""
    shown = sanitize(text).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", shown)), default=0) + 1)
    room = " " * ("`" in (shown[:1], shown[-1:]) or shown[:1] == shown[-1:] == " ")
    return f"{fence}{room}{shown}{room}{fence}" if shown.strip() else "–"


def _verdict(report: Report) -> str:
    return f"## {SIGNS[outcome_of(report.audits)]} {escaped(verdict_sentence(report))}\n"


def _shown(report: Report, extent: Extent) -> str:
    # Those in which something failed first, where not all are shown.
    ordered = sorted(report.audits, key=lambda audit: extent.rows is not None and not audit.failed)
    audits, more = extent.of(ordered)
    alone = len(report.audits) == 1
    sections = [_audit(audit, extent) if alone else _named(audit, extent) for audit in audits]
    parts = [_verdict(report), *sections, f"{more} audits\n" if more else "", extent.left_out()]
    return "\n".join(filter(None, parts))


def _named(audit: AuditResult, extent: Extent) -> str:
    return f"### {escaped(audit.name or 'the root')}\n\n{_audit(audit, extent)}"


def _audit(audit: AuditResult, extent: Extent) -> str:
    """Blocks, the most important first."""
    risk = risk_lines(audit.risk) if audit.risk is not None else ()
    confirmed = [confirmation_line(*one) for one in audit.confirmation.items()]
    parts = [
        _gates(audit, extent),
        _listed("Not run", *extent.of(audit.not_run), code),
        _listed("Warnings", *extent.of(audit.warnings), escaped),
        _models(audit, extent),
        _sets(audit.inheritance, extent) if audit.inheritance is not None else "",
        _listed("Predicted risk", risk, "", escaped),
        _listed("Against accepted figures", *extent.of([change_line(entry) for entry in audit.drift]), escaped),
        _listed("Confirmation", *extent.of(confirmed), escaped),
        _details(audit) if extent.details else "",
    ]
    return "\n".join(filter(None, parts))


def _gates(audit: AuditResult, extent: Extent) -> str:
    gates, more = extent.of(sorted(audit.gates, key=lambda gate: gate.outcome == "pass"))
    rows = [(SIGNS[gate.outcome], escaped(_called(gate)), escaped(compared(gate)), _way_out(gate)) for gate in gates]
    return _table(("", "gate", "figure", "why, and what next"), rows, more) if rows else "No gate was held.\n"


def _called(gate: Gate) -> str:
    return gate.name.removeprefix("test_").replace("_", " ")


def _way_out(gate: Gate) -> str:
    if gate.outcome == "pass":
        return ""
    told = [escaped(gate.reason), escaped(gate.next_step), code(gate.command) if gate.command else ""]
    return "<br>".join(filter(None, told))


def _models(audit: AuditResult, extent: Extent) -> str:
    headings = ("model", "recited", "of", "rate", "bound", "ambiguous", "held-out perplexity")
    roles, more = extent.of(roles_in_order(audit))
    rows = []
    for role in roles:
        rate, held_out = audit.memorization.get(role), audit.held_out.get(role)
        figures = _rate(rate) if rate is not None else ["–"] * 5
        rows.append((escaped(role), *figures, f"{held_out.perplexity:.2f}" if held_out else "–"))
    return _table(headings, rows, more) if rows else ""


def _rate(rate: Estimate) -> list[str]:
    exact = rate.exhaustive and rate.low == rate.high
    recited = "–" if rate.k is None else count(rate.k)
    bound = "exact" if exact else f"≤ {rate.format_value(rate.high)}"
    return [recited, count(rate.n), rate.format_value(rate.value), bound, count(rate.ambiguous)]


def _sets(entry: InheritanceEntry, extent: Extent) -> str:
    rows = [
        (*(MEMBER[member] for member in members), called, count(entry.cells.get(cell, 0)))
        for cell, members, called in CELL_ROWS
    ]
    figures = (f"inherited {entry.ratio}", f"easy {entry.easy_share}", f"reduction {entry.reduction}")
    said = [f"{'; '.join(figures)}, McNemar p = {entry.p_value:.2g}"]
    ids = entry.inherited_examples
    if ids and extent.ids:
        more = f" and {count(len(ids) - MOST_IDS)} more" if len(ids) > MOST_IDS else ""
        said.append(f"inherited examples: {', '.join(map(str, ids[:MOST_IDS]))}{more}")
    told = "".join(f"\n{escaped(line)}\n" for line in said)
    return _table(("T", "B", "S", "recited by", "examples"), rows) + told


def _details(audit: AuditResult) -> str:
    lines = [f"created: {code(audit.created)}"]
    for what, entry in (("training set", audit.training_set), ("control set", audit.control_set)):
        if entry is not None:
            extent = "" if entry.exhaustive else " sampled"
            lines.append(
                f"{what}: {code(entry.source)}, {count(entry.distinct)} distinct{extent} of {count(entry.examples)},"
                f" {count(entry.too_short)} too short, digest {code(entry.digest)}"
            )
    lines += [_model(role, audit.models[role]) for role in roles_in_order(audit)]
    named = (*audit.settings.items(), *audit.versions.items())
    lines += [f"{escaped(name)}: {code(str(value))}" for name, value in named]
    return f"<details><summary>Settings, versions and digests</summary>\n\n{_bullets(lines)}\n</details>\n"


def _model(role: str, model: ModelEntry) -> str:
    revision = f" at {code(model.revision)}" if model.revision else ""
    engine = escaped(f"{model.engine} on {model.device} in {model.dtype}, ambiguous within {model.tolerance:.1g}")
    return f"{escaped(role)}: {code(model.source)}{revision}, digest {code(model.digest)}, {engine}"


def _listed(title: str, items: Iterable[str], more: str, written: Callable[[str], str]) -> str:
    lines = [*map(written, items), *filter(None, [more])]
    return f"**{title}**\n\n{_bullets(lines)}" if lines else ""


def _bullets(lines: Iterable[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], more: str = "") -> str:
    lines = (headings, ["---"] * len(headings), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + (f"\n{more}\n" if more else "")
