"""Combines the verdicts of one engine with the remaining columns of another into one score table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.table import ScoreTable


def combine_engines(verdicts: ScoreTable, columns: ScoreTable) -> ScoreTable:
    """Combine two tables over the same examples.

    An example is ambiguous if the two engines disagree about it or if it is ambiguous to either. The tolerance of the
    combined table is the larger of the two.

    Args:
        verdicts: Gives ``memorized`` and ``first_miss``.
        columns: Gives every other column.

    Raises:
        EngineError: The engines disagree outside the ambiguous band, so one of them is wrong, or the tables are over
            different examples.
    """
    first, second = verdicts.rows, columns.rows
    if not first["digest"].equals(second["digest"]):
        raise EngineError(
            f"The same examples of {columns.training_set.source} were expected by both engines, and it was changed"
            " between their runs; audit it again once it is whole."
        )
    tolerance = max(verdicts.tolerance, columns.tolerance)
    differ = _flags(pc.not_equal(first["memorized"], second["memorized"]))
    ambiguous = _flags(first["ambiguous"]) | _flags(pc.less_equal(pc.abs(second["margin"]), tolerance))
    if len(outside := np.flatnonzero(differ & ~ambiguous)):
        row = int(outside[0])
        raise EngineError(
            f"Verdicts of {verdicts.numerics.engine} and {columns.numerics.engine} on {columns.model.source} were"
            f" expected to agree outside the ambiguous band of {tolerance:g} logits, and differ on {len(outside)} of"
            f" {len(first)} examples (first: example {first['example_id'][row]}, margin {second['margin'][row]});"
            " try --kdmem-dtype float32, or --kdmem-engine transformers."
        )
    scored = _flags(pc.equal(first["status"], "scored"))
    rows = second
    for name, values in (
        ("memorized", first["memorized"]),
        ("first_miss", first["first_miss"]),
        ("ambiguous", pa.array(ambiguous, mask=~scored)),
    ):
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)
    return replace(
        columns,
        rows=rows,
        tolerance=tolerance,
        numerics=replace(verdicts.numerics, engine=f"{verdicts.numerics.engine} + {columns.numerics.engine}"),
        scored_now=max(verdicts.scored_now, columns.scored_now),
    )


def _flags(values: pa.ChunkedArray) -> Flags:
    """Booleans ``[n]``; a null becomes false."""
    flags: Flags = pc.fill_null(values, False).to_numpy().astype(bool)
    return flags
