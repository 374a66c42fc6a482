"""The JSON schema of the report describes every field, and rejects every report that cannot be read."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib.resources import files
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from jsonschema import Draft202012Validator

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import EARLIER_VERSIONS, REQUIRED, SCHEMA_VERSION, AuditResult
from pytest_kdmem.auditing.students import StudentRow
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.run_card import CURVES, ChatTraining, DataOrigin, ModelOrigin, RunCard
from tests.report.any_report import random_reports
from tests.report.audits import complete_audit, each_saved_report, saved_content

SCHEMA = json.loads(files("pytest_kdmem.report").joinpath("schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
DEFINITIONS = SCHEMA["$defs"]
# The schema keeps the names that its definitions were published with; classes may be called otherwise.
DEFINITION_NAMES = {"EngineCheckEntry": "WitnessEntry", "MetricChange": "DriftEntry"}
JSON_TYPES = {str: "string", int: "integer", bool: "boolean", dict: "object"}


def definition_name(entry: type[Any]) -> str:
    return DEFINITION_NAMES.get(entry.__name__, entry.__name__)


def json_key(field: Field[Any]) -> str:
    key: str = field.metadata.get("json", field.name)
    return key


def schema_of(annotation: Any) -> dict[str, Any]:
    """The schema of a type annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return {}
    if is_dataclass(annotation):
        return {"$ref": f"#/$defs/{definition_name(annotation)}"}  # type: ignore[union-attr]
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        members = [member for member in arguments if member is not types.NoneType]
        return schema_of_union(members, optional=types.NoneType in arguments)
    if origin is tuple:
        return {"type": "array", "items": schema_of(arguments[0])}
    if origin is dict:
        values = schema_of(arguments[1])
        return {"type": "object"} | ({"additionalProperties": values} if values else {})
    return {"$ref": "#/$defs/number"} if annotation is float else {"type": JSON_TYPES[annotation]}


def schema_of_union(members: list[Any], *, optional: bool) -> dict[str, Any]:
    """The schema of a union; a number may be null in any case, which stands for NaN."""
    optional = optional and float not in members
    if len(members) > 1:
        return {"anyOf": [*map(schema_of, members), *[{"type": "null"}] * optional]}
    schema = schema_of(members[0])
    if not optional:
        return schema
    if "type" in schema:
        return schema | {"type": [schema["type"], "null"]}
    return {"enum": [*schema["enum"], None]} if "enum" in schema else {"anyOf": [schema, {"type": "null"}]}


def without_descriptions(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: without_descriptions(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    return [without_descriptions(value) for value in schema] if isinstance(schema, list) else schema


def nested_dataclasses(annotation: Any) -> Iterator[Any]:
    if is_dataclass(annotation):
        yield annotation
        hints = get_type_hints(annotation)
        for field in fields(annotation):
            if json_key(field) is not None:
                yield from nested_dataclasses(hints[field.name])
    for argument in get_args(annotation):
        yield from nested_dataclasses(argument)


ENTRIES = list(dict.fromkeys([*nested_dataclasses(AuditResult), *nested_dataclasses(StudentRow)]))


def test_the_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.__name__ for entry in ENTRIES])
def test_every_object_has_the_fields_of_its_dataclass(entry: Any) -> None:
    hints = get_type_hints(entry)
    written = [field for field in fields(entry) if json_key(field) is not None]
    properties = {json_key(field): schema_of(hints[field.name]) for field in written}
    required = [json_key(field) for field in written if field.default is field.default_factory is MISSING]
    if entry is AuditResult:
        properties = {"schema_version": {"enum": [*EARLIER_VERSIONS, SCHEMA_VERSION]}} | properties
        required = ["schema_version", *required, *REQUIRED]
    if "run" in properties:  # the summary of a run card has a definition of its own
        properties["run"] = {"anyOf": [{"$ref": "#/$defs/RunCard"}, {"type": "null"}]}
    schema = without_descriptions(DEFINITIONS[definition_name(entry)])
    assert schema["properties"] == properties
    assert list(schema["properties"]) == list(properties)
    assert sorted(schema["required"]) == sorted(required)
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)


def test_a_run_has_the_fields_of_a_run_card_without_its_curves() -> None:
    names = [field.name for field in fields(RunCard) if field.name not in CURVES]
    assert list(DEFINITIONS["RunCard"]["properties"]) == ["schema_version", *names, "last_held_out"]
    for name in ("memorization_curve", "chat"):  # which not every card has
        names.remove(name)
    assert DEFINITIONS["RunCard"]["required"] == ["schema_version", *names]
    for name, origin in (("ModelOrigin", ModelOrigin), ("DataOrigin", DataOrigin), ("ChatTraining", ChatTraining)):
        hints = get_type_hints(origin)
        properties = {key: schema_of(hint) for key, hint in hints.items()}
        assert without_descriptions(DEFINITIONS[name])["properties"] == properties


def test_nothing_else_is_defined() -> None:
    without_dataclass = {"number", "Report", "RunCard", "ModelOrigin", "DataOrigin", "ChatTraining"}
    assert DEFINITIONS.keys() == without_dataclass | {definition_name(entry) for entry in ENTRIES}


@each_saved_report
def test_saved_reports_are_valid(saved: str) -> None:
    VALIDATOR.validate(saved_content(saved))


def test_one_audit_and_several_are_valid() -> None:
    VALIDATOR.validate(Report((complete_audit(),)).to_json())
    VALIDATOR.validate(Report((complete_audit(), AuditResult("2026", {}, {}))).to_json())


def test_a_table_of_students_is_valid_and_is_made_anew_of_the_audits() -> None:
    students = [replace(complete_audit(), name=f"a[{name}]", student=name) for name in ("soft", "hard")]
    for audits in (students, students[:1]):
        report = Report((*audits, AuditResult("2026", {}, {})) if len(audits) > 1 else tuple(audits))
        content = json.loads(json.dumps(report.to_json()))
        VALIDATOR.validate(content)
        assert [row["name"] for row in content["students"]] == [audit.student for audit in audits]
        content["students"][0]["failed"] = 0
        assert Report.from_json(content).to_json() == report.to_json()


def test_any_report_is_valid() -> None:
    for report in random_reports():
        VALIDATOR.validate(report.to_json())


def paths_in(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value."""
    yield path
    if isinstance(content, dict | list):
        for key, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield from paths_in(value, (*path, key))


def different_paths(content: Any) -> list[tuple[Any, ...]]:
    """Paths of values: of values of one type that objects with the same fields hold in one of them, the first and last.

    So a bound of an estimate is changed twice, and not in each of twenty estimates.
    """
    alike: dict[Any, list[tuple[Any, ...]]] = {}
    for path in paths_in(content):
        holder, value = None, content
        for key in path:
            holder, value = value, value[key]
        fields_of_holder = tuple(holder) if isinstance(holder, dict) else path[-2:-1]
        name = path[-1] if path and isinstance(path[-1], str) else None
        alike.setdefault((fields_of_holder, name, type(value)), []).append(path)
    return [path for paths in alike.values() for path in dict.fromkeys((paths[0], paths[-1]))]


@contextmanager
def changed(content: Any, path: tuple[Any, ...], change: str) -> Iterator[Any]:
    """The content with one value changed, which may make it invalid; afterwards it is as before."""
    if not path:
        yield {"removed": {}, "added": content | {"more": 1}}.get(change, VALUES.get(change))
        return
    *outer, key = path
    holder = content
    for part in outer:
        holder = holder[part]
    before = list(holder) if isinstance(holder, list) else dict(holder)
    if change == "removed":
        del holder[key]
    elif change == "added" and isinstance(holder[key], dict):
        holder[key] = holder[key] | {"more": 1}
    elif change != "added":
        holder[key] = VALUES[change]
    yield content
    holder.clear()
    if isinstance(before, list):
        holder.extend(before)
    else:
        holder.update(before)


# Messages of errors that no schema can express: how values relate to each other, and what range each is of.
RELATIONS = (
    "one edge more", "equally long", "as many perplexities as", "a bin of repetition that holds", "cells that hold",
    "a confidence between", "no more ambiguous", "bounds that are", "no more hits", "proportions between",
    "finite tolerance", "tolerances in", "a perplexity of", "p-value between", "a threshold between",
    "no more memorized", "ascending edges", "a finite number", "edges between", "shares between", "finite perplexities",
    "a bin that does not end", "risks between", "from 0 to", "no generated text but beside",
)  # fmt: skip
VALUES: dict[str, Any] = {
    "text": "x", "number": 0.5, "whole": 7, "truth": True, "nothing": None, "list": [], "object": {}, "endless": "inf",
}  # fmt: skip
# Changes that many values of a report allow, and after which values still fit together.
HARMLESS = ("text", "whole", "nothing", "endless")


@pytest.mark.parametrize("change", ["removed", "added", *VALUES])
def test_the_schema_and_the_reader_refuse_the_same_changes(change: str) -> None:
    """Values of every kind in a report are changed, one at a time; what no schema can express is left out."""
    content = json.loads(json.dumps(complete_audit().to_json()))
    refused = accepted = 0
    for path in different_paths(content):
        with changed(content, path, change) as other_content:
            error_message = read_error(other_content)
            if any(relation in error_message for relation in RELATIONS):
                continue
            if error_message:
                refused += 1
                assert not VALIDATOR.is_valid(other_content), path
            elif change in HARMLESS:  # of other changes, the schema may refuse more than the reader does
                accepted += VALIDATOR.is_valid(other_content)
    assert refused > 20
    assert accepted > 20 or change not in HARMLESS
    assert content == json.loads(json.dumps(complete_audit().to_json()))


def read_error(content: Any) -> str:
    """The error of reading the content as a report; empty if it can be read."""
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
def test_values_that_do_not_fit_together_are_refused(path: tuple[str, ...], wrong: Any) -> None:
    content = json.loads(json.dumps(complete_audit().to_json()))
    holder: Any = content
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = wrong
    assert any(relation in read_error(content) for relation in RELATIONS)


@pytest.mark.parametrize(
    "content",
    [{"schema_version": 1, "audits": []}, {"schema_version": 1, "audits": {}}, {"schema_version": 3, "audits": [{}]},
     {"audits": [AuditResult("2026", {}, {}).to_json()]}, {}, [], None],
    ids=["none", "an object", "another version", "no version", "nothing", "a list", "null"],
)  # fmt: skip
def test_other_json_is_not_valid(content: Any) -> None:
    assert not VALIDATOR.is_valid(content)
