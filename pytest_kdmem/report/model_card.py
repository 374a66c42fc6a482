"""Writes an audit's results into the ``model-index`` of a model card's front matter, where model hubs read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import to_json_number
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.markdown_text import escape_markdown
from pytest_kdmem.report.sanitize import sanitize

KEY = "model-index"
# The name marks our results in a card. Hubs expect an address beside it.
SOURCE = {"name": "pytest-kdmem", "url": "https://pypi.org/project/pytest-kdmem/"}
TASK = {"type": "text-generation", "name": "Text generation"}
ARGUMENTS = ("low", "high", "k", "n", "ambiguous", "exhaustive", "confidence")
# The front matter at the start of a card, between two lines of three dashes, as hubs read it. It may be empty.
FRONT_MATTER = re.compile(r"(\s*---(?:\r\n|\r|\n))((?:[\s\S]*?(?:\r\n|\r|\n))?)---[ \t]*(?:\r\n|\n|\Z)")
LINE_BREAK = re.compile(r"\r\n|\r|\n")
BYTE_ORDER_MARK = "\ufeff"


class FrontMatter(NamedTuple):
    """A parsed front matter.

    Attributes:
        content: Its keys and values.
        index_span: Where the ``model-index`` starts and ends in the text, or None if there is none.
        indent: Columns that keys are indented by.
    """

    content: dict[str, Any]
    index_span: tuple[int, int] | None
    indent: int


def select_audit(report: Report, name: str | None = None) -> AuditResult:
    """Return the audit of that name, or of the student of that name; or the only audit if no name is given.

    Raises:
        SpecError: The report has no audit of that name, or has several and no name is given.
    """
    names = ", ".join(sanitize(audit.name) or "the root" for audit in report.audits)
    matches = [audit for audit in report.audits if name is None or name in (audit.name or "the root", audit.student)]
    if len(matches) == 1:
        return matches[0]
    if name is None:
        raise SpecError(f"A card covers one audit, and the report has {len(matches)}: {names}; choose by --audit.")
    raise SpecError(
        f"An audit called {sanitize(name)} was expected in the report, which has {names}; choose by --audit."
    )


def index_results(audit: AuditResult) -> list[dict[str, Any]]:
    """Return the student's results in the form of a ``model-index``: one mapping per data set, of what was measured.

    If only one model was audited, the results are that model's.

    Raises:
        DataError: Nothing was measured of that model.
    """
    subject = audited_model(audit)
    candidates = [
        _result(audit.training_set, [*training_metrics(audit, subject)]),
        _result(audit.control_set, [*_held_out_metrics(audit, subject)]),
    ]
    results = [result for result in candidates if result is not None]
    if not results:
        raise DataError("A measured figure of the student was expected in the audit, and there is none.")
    return results


def insert_results(text: str, audit: AuditResult) -> str:
    """Return a card with an audit's results, which replace those of an earlier audit; every other byte stays.

    Raises:
        DataError: The card has a front matter that cannot be parsed, or the audit measured nothing.
    """
    results = index_results(audit)
    mark = BYTE_ORDER_MARK if text.startswith(BYTE_ORDER_MARK) else ""
    body = text.removeprefix(mark)
    first_break = LINE_BREAK.search(body)
    line_break = first_break[0] if first_break else "\n"
    match = FRONT_MATTER.match(body)
    if match is None:
        new_model = _new_model(audit, results)
        rest = body or f"\n# {escape_markdown(new_model['name'])}\n"
        return f"{mark}---{line_break}{_dump([new_model], line_break)}---{line_break}{rest}"
    start, end = match.span(2)
    front_matter = _parse(match[2])
    index = _updated_index(front_matter.content.get(KEY), audit, results)
    index_start, index_end = front_matter.index_span or (end - start, end - start)
    changed = match[2][:index_start] + _dump(index, line_break, front_matter.indent) + match[2][index_end:]
    _check_only_index_changed(changed, front_matter, index)
    return f"{mark}{body[:start]}{changed}{body[end:]}"


def read_card(path: Path) -> str:
    """Return the text of a card, byte by byte, or an empty string if there is none yet.

    Raises:
        DataError: The card cannot be read, or its folder does not exist.
    """
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        if path.parent.is_dir():
            return ""
        raise DataError(f"A model card was to be written at {path}, and there is no such folder.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"A model card was expected at {path}, which is no readable text ({error}).") from None


def audited_model(audit: AuditResult) -> str:
    """Return the role whose results are written: the student, or the only model that was audited."""
    subjects = {*audit.memorization, *audit.held_out}
    return "student" if "student" in subjects or len(subjects) != 1 else subjects.pop()


def training_metrics(audit: AuditResult, subject: str) -> Iterator[dict[str, Any] | None]:
    """Yield what was measured of a model over the training set; None for what was not."""
    yield _metric("memorization_rate", "Memorization rate", audit.memorization.get(subject))
    inheritance, risk = audit.inheritance, audit.risk
    if inheritance is not None and inheritance.ratio.subject == subject:
        yield _metric("inheritance_ratio", "Inheritance ratio", inheritance.ratio)
        yield _metric("reduction", "Baseline's memorization rate over the student's", inheritance.reduction)
    yield _metric("share_at_risk", "Share predicted to be at risk", risk.share_at_risk if risk is not None else None)


def _held_out_metrics(audit: AuditResult, subject: str) -> Iterator[dict[str, Any] | None]:
    entry = audit.held_out.get(subject)
    yield _metric("loss", "Held-out loss", entry.loss if entry is not None else None)


def _metric(kind: str, name: str, estimate: Estimate | None) -> dict[str, Any] | None:
    """Return a metric with its bounds, or None if it was not measured."""
    if estimate is None or math.isnan(estimate.value):
        return None
    arguments = {argument: to_json_number(getattr(estimate, argument)) for argument in ARGUMENTS}
    arguments = {argument: value for argument, value in arguments.items() if value is not None}
    return {"type": kind, "value": to_json_number(estimate.value), "name": name, "args": arguments}


def _result(data: DataEntry | None, metrics: list[dict[str, Any] | None]) -> dict[str, Any] | None:
    measured = [metric for metric in metrics if metric is not None]
    if data is None or not measured:
        return None
    name = sanitize(last_part(data.source)) or "unknown"  # a card is public, and a path tells of the machine
    dataset = {"name": name, "type": name, "args": {"digest": sanitize(data.digest)}}
    return {"task": dict(TASK), "dataset": dataset, "metrics": measured, "source": dict(SOURCE)}


def _new_model(audit: AuditResult, results: list[dict[str, Any]]) -> dict[str, Any]:
    model = audit.models.get(audited_model(audit))
    name = sanitize(last_part(model.source)) if model is not None else ""
    return {"name": name or "model", "results": results}


def _updated_index(index: Any, audit: AuditResult, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the index with the new results after its first model's, and without results of earlier audits."""
    if index is None or index == []:
        return [_new_model(audit, results)]
    if not isinstance(index, list) or not all(
        isinstance(model, dict) and "name" in model and isinstance(model.get("results"), list) for model in index
    ):
        raise DataError(f"A {KEY} of named models with results was expected in the card; mend or remove it.")
    updated = [{**model, "results": [result for result in model["results"] if not _is_ours(result)]} for model in index]
    updated[0]["results"] += results
    return updated


def _is_ours(result: Any) -> bool:
    source = result.get("source") if isinstance(result, dict) else None
    return isinstance(source, dict) and source.get("name") == SOURCE["name"]


def _parse(block: str) -> FrontMatter:
    try:
        root, content = yaml.compose(block, yaml.SafeLoader), yaml.safe_load(block)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = sanitize(" ".join(str(error).split()))
        raise DataError(f"A front matter in YAML was expected in the card, and it is none ({reason}).") from None
    if root is None:
        return FrontMatter({}, None, 0)
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        raise DataError("A front matter of lines `key: value` was expected in the card; write it so, or remove it.")
    try:
        spans = [(key.start_mark.index, _value_end(value, block)) for key, value in root.value if key.value == KEY]
    except RecursionError:
        raise DataError(f"A {KEY} was expected in the card's front matter that does not refer to itself.") from None
    if len(spans) > 1:
        raise DataError(f"One {KEY} was expected in the card's front matter; found {len(spans)}: remove the others.")
    indent = root.start_mark.column
    return FrontMatter(content, (spans[0][0] - indent, spans[0][1]) if spans else None, indent)


def _value_end(node: yaml.Node, block: str) -> int:
    """Return the end of a value's last line, without the comments and blank lines that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style:
        last = node.value[-1]
        return _value_end(last[1] if isinstance(last, tuple) else last, block)
    line_break = LINE_BREAK.search(block, len(block[: node.end_mark.index].rstrip()))
    return line_break.end() if line_break is not None else len(block)


def _dump(index: list[dict[str, Any]], line_break: str, indent: int = 0) -> str:
    text = yaml.safe_dump({KEY: index}, sort_keys=False, allow_unicode=True, width=math.inf)
    return "".join(f"{' ' * indent}{line}{line_break}" for line in text.removesuffix("\n").split("\n"))


def _check_only_index_changed(changed: str, front_matter: FrontMatter, index: list[dict[str, Any]]) -> None:
    """Raise DataError unless only the index differs; YAML has references, so that another key may change with it."""
    expected = {**front_matter.content, KEY: index}
    try:
        # Compared as text: there NaN equals itself, and anchors show which values are shared.
        same = yaml.safe_dump(yaml.safe_load(changed), sort_keys=False) == yaml.safe_dump(expected, sort_keys=False)
    except (yaml.YAMLError, ValueError):
        same = False
    if not same:
        raise DataError(
            f"The {KEY} of the card's front matter cannot be replaced without changing more, as where it refers to"
            " other parts or they to it; write it out."
        )
