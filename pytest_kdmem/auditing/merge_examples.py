"""Merges the single examples and distributions that several processes hold of one audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from pytest_kdmem.auditing.merge_rules import Part
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ExamplesEntry, ModelColumns

# A part lists every example that one of its models recites or may recite.
VALUES_OF_UNLISTED = {"memorized": 0, "ambiguous": 0}


@dataclass(frozen=True)
class _Indexed:
    """An entry, and the row of each example in it by the example's id."""

    entry: ExamplesEntry
    row_of: dict[int, int]


def merged_examples(values: Sequence[ExamplesEntry | None], parts: Sequence[Part]) -> ExamplesEntry | None:
    """The rows of all parts. What a part does not list, its models do not recite."""
    entries = [entry for entry in values if entry is not None]
    if len(entries) < 2:
        return entries[0] if entries else None
    indexed = [_Indexed(entry, {id_: row for row, id_ in enumerate(entry.example_id)}) for entry in entries]
    ids = sorted(set().union(*(part.row_of for part in indexed)))
    with_text = all(entry.prefix for entry in entries)
    models: dict[str, ModelColumns] = {}
    for part in indexed:
        for role, columns in part.entry.models.items():
            shown = columns if with_text else replace(columns, generated=())
            models.setdefault(role, _spread(shown, [part.row_of.get(id_) for id_ in ids]))
    with_groups = all(entry.groups or not entry.example_id for entry in entries)
    return ExamplesEntry(
        example_id=tuple(ids),
        digest=_column(indexed, ids, "digest"),
        copies=_column(indexed, ids, "copies"),
        zlib_bytes=_column(indexed, ids, "zlib_bytes"),
        risk=_column(indexed, ids, "risk"),
        models=models,
        prefix=_column(indexed, ids, "prefix") if with_text else (),
        suffix=_column(indexed, ids, "suffix") if with_text else (),
        groups=_column(indexed, ids, "groups") if with_groups else (),
    )


def merged_distributions(
    values: Sequence[DistributionsEntry | None], parts: Sequence[Part]
) -> DistributionsEntry | None:
    """The distributions of all models; of a model in several parts, those of the first one."""
    entries = [entry for entry in values if entry is not None]
    if not entries:
        return None
    models = {role: model for entry in reversed(entries) for role, model in entry.models.items()}
    return DistributionsEntry(entries[0].edges, models)  # the edges are constant


def _column(parts: Sequence[_Indexed], ids: Sequence[int], name: str) -> tuple[Any, ...]:
    """A column over all ids: the first value that is not None in any part, or None."""
    rows = ((getattr(part.entry, name)[part.row_of[id_]] for part in parts if id_ in part.row_of) for id_ in ids)
    return tuple(next((value for value in row if value is not None), None) for row in rows)


def _spread(columns: ModelColumns, rows: Sequence[int | None]) -> ModelColumns:
    """The columns of a model over the rows of all parts; None stands for an example that its part does not list."""
    spread: dict[str, Any] = {}
    for field in fields(ModelColumns):
        values = getattr(columns, field.name)
        unlisted = VALUES_OF_UNLISTED.get(field.name)
        # A part that shows no text has no column of what was generated.
        is_absent = field.name == "generated" and not values
        spread[field.name] = () if is_absent else tuple(unlisted if row is None else values[row] for row in rows)
    return ModelColumns(**spread)
