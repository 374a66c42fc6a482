"""Audit → a model's card: results in the ``model-index`` of its front matter, where model hubs read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import DataEntry
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import to_json_number
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.markdown import escaped
from pytest_kdmem.report.sanitize import sanitize

KEY = "model-index"
# By its name, results are known to be ours; hubs want an address beside it.
SOURCE = {"name": "pytest-kdmem", "url": "https://pypi.org/project/pytest-kdmem/"}
TASK = {"type": "text-generation", "name": "Text generation"}
ARGUMENTS = ("low", "high", "k", "n", "ambiguous", "exhaustive", "confidence")
# The first lines of a card between two of three dashes, as hubs read them; also where nothing stands between.
FRONT = re.compile(r"(\s*---(?:\r\n|\r|\n))((?:[\s\S]*?(?:\r\n|\r|\n))?)---[ \t]*(?:\r\n|\n|\Z)")
BREAK = re.compile(r"\r\n|\r|\n")
BYTE_ORDER_MARK = "\ufeff"


class Front(NamedTuple):
    """A front matter: what is in it, where its ``model-index`` stands, if it has one, and how far keys are indented."""

    content: dict[str, Any]
    span: tuple[int, int] | None
    indent: int


def select_audit(report: Report, name: str | None = None) -> AuditResult:
    """The audit of a name, or the only one.

    Raises:
        SpecError: it is not one audit that is meant.
    """
    names = ", ".join(sanitize(audit.name) or "the root" for audit in report.audits)
    found = [audit for audit in report.audits if name is None or name == (audit.name or "the root")]
    if len(found) == 1:
        return found[0]
    if name is None:
        raise SpecError(f"A card tells of one audit, and the report has {len(found)}: {names}; choose by --audit.")
    raise SpecError(
        f"An audit called {sanitize(name)} was expected in the report, which has {names}; choose by --audit."
    )


def results(audit: AuditResult) -> list[dict[str, Any]]:
    """Results of the student, a mapping for each set, as a ``model-index`` holds them; nothing that was not measured.

    Raises:
        DataError: of the student, or of the only model audited, nothing was measured.
    """
    subject = _subject(audit)
    told = [
        _result(audit.training_set, [*_over_training(audit, subject)]),
        _result(audit.control_set, [*_held_out(audit, subject)]),
    ]
    found = [one for one in told if one is not None]
    if not found:
        raise DataError("A measured figure of the student was expected in the audit, and there is none.")
    return found


def insert_results(text: str, audit: AuditResult) -> str:
    """A card with an audit's results in the place of those of an earlier one; all else in it stays, byte by byte.

    Raises:
        DataError: the card has a front matter that cannot be understood, or the audit has no figures.
    """
    ours = results(audit)
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    body = text.removeprefix(mark)
    line_break = found[0] if (found := BREAK.search(body)) else "\n"
    matched = FRONT.match(body)
    if matched is None:
        new = _new(audit, ours)
        rest = body or f"\n# {escaped(new['name'])}\n"
        return f"{mark}---{line_break}{_written([new], line_break)}---{line_break}{rest}"
    start, end = matched.span(2)
    front = _read(matched[2])
    index = _updated(front.content.get(KEY), audit, ours)
    first, last = front.span or (end - start, end - start)
    changed = matched[2][:first] + _written(index, line_break, front.indent) + matched[2][last:]
    _check(changed, front, index)
    return f"{mark}{body[:start]}{changed}{body[end:]}"


def read_card(path: Path) -> str:
    """The text of a card, every byte of it; nothing where there is none yet.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        if path.parent.is_dir():
            return ""
        raise DataError(f"A model card was to be written at {path}, and there is no such folder.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"A model card was expected at {path}, which is no readable text ({error}).") from None


def _subject(audit: AuditResult) -> str:
    subjects = {*audit.memorization, *audit.held_out}
    return "student" if "student" in subjects or len(subjects) != 1 else subjects.pop()


def _over_training(audit: AuditResult, subject: str) -> Iterator[dict[str, Any] | None]:
    yield _metric("memorization_rate", "Memorization rate", audit.memorization.get(subject))
    entry, risk = audit.inheritance, audit.risk
    if entry is not None and entry.ratio.subject == subject:
        yield _metric("inheritance_ratio", "Inheritance ratio", entry.ratio)
        yield _metric("reduction", "Baseline's memorization rate over the student's", entry.reduction)
    yield _metric("share_at_risk", "Share predicted to be at risk", risk.share_at_risk if risk is not None else None)


def _held_out(audit: AuditResult, subject: str) -> Iterator[dict[str, Any] | None]:
    entry = audit.held_out.get(subject)
    yield _metric("loss", "Held-out loss", entry.loss if entry is not None else None)


def _metric(kind: str, name: str, estimate: Estimate | None) -> dict[str, Any] | None:
    """One figure with its bounds; None where nothing was measured."""
    if estimate is None or math.isnan(estimate.value):
        return None
    told = {argument: to_json_number(getattr(estimate, argument)) for argument in ARGUMENTS}
    known = {argument: value for argument, value in told.items() if value is not None}
    return {"type": kind, "value": to_json_number(estimate.value), "name": name, "args": known}


def _result(data: DataEntry | None, metrics: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    measured = [metric for metric in metrics if metric is not None]
    if data is None or not measured:
        return None
    # Where it lies is nobody's business but the auditor's.
    called = sanitize(last_part(data.source)) or "unknown"
    dataset = {"name": called, "type": called, "args": {"digest": sanitize(data.digest)}}
    return {"task": dict(TASK), "dataset": dataset, "metrics": measured, "source": dict(SOURCE)}


def _new(audit: AuditResult, listed: list[dict[str, Any]]) -> dict[str, Any]:
    model = audit.models.get(_subject(audit))
    return {"name": (sanitize(last_part(model.source)) if model is not None else "") or "model", "results": listed}


def _updated(index: Any, audit: AuditResult, ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The index with our results at the end of its first model, and ours of before nowhere."""
    if index is None or index == []:
        return [_new(audit, ours)]
    if not isinstance(index, list) or not all(
        isinstance(model, dict) and "name" in model and isinstance(model.get("results"), list) for model in index
    ):
        raise DataError(f"A {KEY} of named models with results was expected in the card; mend or remove it.")
    kept = [{**model, "results": [one for one in model["results"] if not _is_ours(one)]} for model in index]
    kept[0]["results"] += ours
    return kept


def _is_ours(result: Any) -> bool:
    source = result.get("source") if isinstance(result, dict) else None
    return isinstance(source, dict) and source.get("name") == SOURCE["name"]


def _read(block: str) -> Front:
    try:
        root, content = yaml.compose(block, yaml.SafeLoader), yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = sanitize(" ".join(str(error).split()))
        raise DataError(f"A front matter in YAML was expected in the card, and it is none ({said}).") from None
    if root is None:
        return Front({}, None, 0)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise DataError("A front matter of lines `key: value` was expected in the card; write it so, or remove it.")
    try:
        spans = [(key.start_mark.index, _end(value, block)) for key, value in root.value if key.value == KEY]
    except RecursionError:
        raise DataError(f"A {KEY} was expected in the card's front matter that does not refer to itself.") from None
    if len(spans) > 1:
        raise DataError(f"One {KEY} was expected in the card's front matter; found {len(spans)}: remove the others.")
    column = root.start_mark.column
    return Front(content, (spans[0][0] - column, spans[0][1]) if spans else None, column)


def _end(node: yaml.Node, block: str) -> int:
    """Where the last line of a value ends, with its break: comments and blank lines after it are not its own."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last, block)
    found = BREAK.search(block, len(block[: node.end_mark.index].rstrip()))
    return found.end() if found is not None else len(block)


def _written(index: list[dict[str, Any]], line_break: str, indent: int = 0) -> str:
    text = yaml.safe_dump({KEY: index}, sort_keys=False, allow_unicode=True, width=math.inf)
    return "".join(f"{' ' * indent}{line}{line_break}" for line in text.removesuffix("\n").split("\n"))


def _check(changed: str, front: Front, index: list[dict[str, Any]]) -> None:
    """Raise DataError unless the new front matter is the old one but for its index: YAML has references, for one."""
    expected = {**front.content, KEY: index}
    try:
        # As text, in which NaN is itself, and what is referred to stands once.
        same = yaml.safe_dump(yaml.safe_load(changed), sort_keys=False) == yaml.safe_dump(expected, sort_keys=False)
    except (yaml.YAMLError, ValueError):
        same = False
    if not same:
        raise DataError(
            f"The {KEY} of the card's front matter cannot be replaced without changing more, as where it refers to"
            " other parts or they to it; write it out."
        )
