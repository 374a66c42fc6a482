"""Verdicts of one engine and the remaining columns of another → one table, where the two agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.table import ScoreTable


def composed(verdicts: ScoreTable, columns: ScoreTable) -> ScoreTable:
    """One table of two over the same examples: ``memorized`` and ``first_miss`` of the first, the rest of the second.

    An example on which the two differ, or that is ambiguous to either, is ambiguous. The tolerance is the greater one.

    Raises:
        EngineError: the two differ outside that band, so that one of them is wrong, or are of different examples.
    """
    one, other = verdicts.rows, columns.rows
    if not one["digest"].equals(other["digest"]):
        raise EngineError(
            f"The same examples of {columns.training_set.source} were expected by both engines, and it was changed"
            " between their runs; audit it again once it is whole."
        )
    tolerance = max(verdicts.tolerance, columns.tolerance)
    differ = _flags(pc.not_equal(one["memorized"], other["memorized"]))
    ambiguous = _flags(one["ambiguous"]) | _flags(pc.less_equal(pc.abs(other["margin"]), tolerance))
    if len(outside := np.flatnonzero(differ & ~ambiguous)):
        first = int(outside[0])
        raise EngineError(
            f"Verdicts of {verdicts.numerics.engine} and {columns.numerics.engine} on {columns.model.source} were"
            f" expected to agree outside the ambiguous band of {tolerance:g} logits, and differ on {len(outside)} of"
            f" {len(one)} examples (first: example {one['example_id'][first]}, margin {other['margin'][first]});"
            " try --kdmem-dtype float32, or --kdmem-engine transformers."
        )
    scored = _flags(pc.equal(one["status"], "scored"))
    rows = other
    for name, values in (
        ("memorized", one["memorized"]),
        ("first_miss", one["first_miss"]),
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


def _flags(values: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Booleans ``[n]``, false where nothing is known."""
    flags: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.fill_null(values, False).to_numpy().astype(bool)
    return flags
