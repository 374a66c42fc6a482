"""The schema of the JSON report says what its values are, field by field, and refuses what cannot be read."""

from __future__ import annotations

import copy
import json
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import REQUIRED, SCHEMA_VERSION, AuditResult
from pytest_kdmem.audit.schema import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.reliability import Bin
from pytest_kdmem.specs.run_card import CURVES, RunCard
from tests.report.any_report import of_reports, rate, reports, saved, whole

SCHEMA = json.loads(files("pytest_kdmem.report").joinpath("schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
DEFINED = SCHEMA["$defs"]
PLAIN = {str: "string", int: "integer", bool: "boolean", dict: "object"}
RUN = {
    "schema_version": 1, "weights": "w", "mode": "soft", "recipe": {"temperature": 2.0}, "loss": "forward KL, T = 2",
    "init": {"source": "base", "digest": "b"}, "teacher": {"source": "teacher", "digest": "t"},
    "training_set": {"source": "train.jsonl", "fingerprint": None, "examples": 9, "tokens": 900},
    "extraction": {"prefix_tokens": 50}, "steps": 1752, "epochs": 4, "seconds": 60.5, "processes": 1, "resumed_at": [],
    "versions": {}, "last_held_out": 3.1,
}  # fmt: skip


def complete() -> AuditResult:
    """An audit that has a value of every kind there is."""
    columns = ModelColumns((1, 0), (0, 1), (0.5, None), (1.5, None), (-2.0, None))
    examples = ExamplesEntry(
        (3, 8), ("d", "e"), (1, 2), (90, None), (0.25, None), {"student": columns}, ("a", "b"), ("c", "d")
    )
    spread = ModelDistributions((1, 2), 3, (RepetitionBin(1, 1, 2, 9),), (90,), (1.5,))
    made = whole(examples=examples, distributions=DistributionsEntry((-1.0, 0.0, 1.0), {"student": spread}))
    assert made.risk is not None
    risk = replace(made.risk, edges=(0.0, 1.0), counts=(9,), reliability=(Bin(0.0, 0.1, 9, 0.05, 0.0, 0.1, 0.0),))
    paired = replace(made.gates[0], threshold=rate(1, 9, "baseline"))
    models = made.models | {"student": replace(made.models["student"], run=RUN, revision=None)}
    return replace(made, risk=risk, models=models, gates=(*made.gates, paired))


def written(kind: Any) -> dict[str, Any]:
    """The schema of an annotation."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return {}
    if is_dataclass(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}  # type: ignore[union-attr]
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return either([one for one in arguments if one is not types.NoneType], types.NoneType in arguments)
    if origin is tuple:
        return {"type": "array", "items": written(arguments[0])}
    if origin is dict:
        return {"type": "object"} | ({"additionalProperties": one} if (one := written(arguments[1])) else {})
    return {"$ref": "#/$defs/number"} if kind is float else {"type": PLAIN[kind]}


def either(kinds: list[Any], optional: bool) -> dict[str, Any]:
    """A number may be nothing anyway, which stands for NaN."""
    optional = optional and float not in kinds
    if len(kinds) > 1:
        return {"anyOf": [*map(written, kinds), *[{"type": "null"}] * optional]}
    one = written(kinds[0])
    if not optional:
        return one
    if "type" in one:
        return {"type": [one["type"], "null"]}
    return {"enum": [*one["enum"], None]} if "enum" in one else {"anyOf": [one, {"type": "null"}]}


def bare(schema: Any) -> Any:
    """Without descriptions."""
    if isinstance(schema, dict):
        return {
            key: bare(value) for key, value in schema.items() if not (key == "description" and isinstance(value, str))
        }
    return [bare(value) for value in schema] if isinstance(schema, list) else schema


def dataclasses_below(kind: Any) -> Iterator[Any]:
    if is_dataclass(kind):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from dataclasses_below(hint)
    for argument in get_args(kind):
        yield from dataclasses_below(argument)


ENTRIES = list(dict.fromkeys(dataclasses_below(AuditResult)))


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("kind", ENTRIES, ids=[kind.__name__ for kind in ENTRIES])
def test_every_object_is_as_its_dataclass(kind: Any) -> None:
    hints = get_type_hints(kind)
    properties = {field.name: written(hints[field.name]) for field in fields(kind)}
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if kind is AuditResult:
        properties = {"schema_version": {"const": SCHEMA_VERSION}} | properties
        needed = ["schema_version", *needed, *REQUIRED]
    if "run" in properties:  # a summary of a card, which is checked as one
        properties["run"] = {"anyOf": [{"$ref": "#/$defs/RunCard"}, {"type": "null"}]}
    found = bare(DEFINED[kind.__name__])
    assert found["properties"] == properties
    assert list(found["properties"]) == list(properties)
    assert sorted(found["required"]) == sorted(needed)
    assert (found["type"], found["additionalProperties"]) == ("object", False)


def test_a_run_has_the_fields_of_a_card_but_its_curves() -> None:
    names = [field.name for field in fields(RunCard) if field.name not in CURVES]
    assert list(DEFINED["RunCard"]["properties"]) == ["schema_version", *names, "last_held_out"]
    assert DEFINED["RunCard"]["required"] == ["schema_version", *names]
    for name, kind in (("ModelOrigin", "init"), ("DataOrigin", "training_set")):
        hints = get_type_hints(get_type_hints(RunCard)[kind])
        assert bare(DEFINED[name])["properties"] == {field: written(hint) for field, hint in hints.items()}


def test_nothing_else_is_defined() -> None:
    others = {"number", "Report", "RunCard", "ModelOrigin", "DataOrigin"}
    assert DEFINED.keys() == others | {kind.__name__ for kind in ENTRIES}


@saved
def test_saved_reports_are_valid(path: Path) -> None:
    VALIDATOR.validate(json.loads(path.read_text(encoding="utf-8")))


def test_one_audit_and_several_are_valid() -> None:
    VALIDATOR.validate(Report((complete(),)).to_json())
    VALIDATOR.validate(Report((complete(), AuditResult("2026", {}, {}))).to_json())


@given(reports())
@of_reports
def test_any_report_is_valid(report: Report) -> None:
    VALIDATOR.validate(report.to_json())


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from places(value, (*path, key))


def changed(content: Any, path: tuple[Any, ...], change: str) -> Any:
    """A copy that is wrong, or may be, at one place."""
    content = copy.deepcopy(content)
    if not path:
        return {"removed": {}, "added": content | {"more": 1}}.get(change, VALUES.get(change))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    if change == "removed":
        del holder[path[-1]]
    elif change == "added":
        if isinstance(holder[path[-1]], dict):
            holder[path[-1]]["more"] = 1
    else:
        holder[path[-1]] = VALUES[change]
    return content


# How long a list is against another no schema tells.
TOGETHER = (
    "one edge more", "equally long", "as many perplexities as", "a bin of repetition that holds", "cells that hold",
)  # fmt: skip
VALUES: dict[str, Any] = {
    "text": "x", "number": 0.5, "whole": 7, "truth": True, "nothing": None, "list": [], "object": {}, "endless": "inf",
}  # fmt: skip


@pytest.mark.parametrize("change", ["removed", "added", *VALUES])
def test_what_cannot_be_read_is_not_valid(change: str) -> None:
    content = json.loads(json.dumps(complete().to_json()))
    refused = 0
    for path in places(content):
        wrong = changed(content, path, change)
        if (why := refusal(wrong)) and not any(said in why for said in TOGETHER):
            refused += 1
            assert not VALIDATOR.is_valid(wrong), path
    assert refused > 20


def refusal(content: Any) -> str:
    """Why it is no report, or nothing."""
    try:
        Report.from_json(content if isinstance(content, dict) else {})
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("path", "wrong"),
    [(("examples", "copies"), [1]), (("examples", "models", "student", "margin"), [0.5]),
     (("examples", "prefix"), ["a"]),
     (("risk", "counts"), [1, 2, 3]), (("risk", "edges"), []), (("distributions", "edges"), [0.0]),
     (("distributions", "models", "student", "perplexity"), []),
     (("distributions", "models", "student", "repetition", 0, "n"), 0),
     (("distributions", "models", "student", "repetition", 0, "memorized"), 10),
     (("inheritance", "cells", "all"), -1)],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(path: tuple[str, ...], wrong: Any) -> None:
    content = json.loads(json.dumps(complete().to_json()))
    holder: Any = content
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = wrong
    assert any(said in refusal(content) for said in TOGETHER)


@pytest.mark.parametrize(
    "content",
    [{"schema_version": 1, "audits": []}, {"schema_version": 1, "audits": {}}, {"schema_version": 2, "audits": [{}]},
     {"audits": [AuditResult("2026", {}, {}).to_json()]}, {}, [], None],
    ids=["none", "an object", "another version", "no version", "nothing", "a list", "null"],
)  # fmt: skip
def test_what_is_no_report_is_not_valid(content: Any) -> None:
    assert not VALIDATOR.is_valid(content)


def test_what_is_valid_can_be_read_where_a_part_is_changed() -> None:
    content = json.loads(json.dumps(complete().to_json()))
    for path in places(content):
        for change in ("text", "whole", "nothing", "endless"):
            wrong = changed(content, path, change)
            if VALIDATOR.is_valid(wrong):
                Report.from_json(wrong)
