"""Find what stands several times: copies of what is too short to be scored are a risk, as no model is needed to see."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.scoring.too_short import TooShort, count_short_rows


@dataclass(frozen=True)
class ShortCopies:
    """Further copies of one document that holds examples too short to be scored.

    Attributes:
        documents: Number of further copies.
        rows: Position and digest of each example in them that is too short.
    """

    documents: int
    rows: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Repeated:
    """What stands several times in a training set.

    Attributes:
        examples: Number of examples that are long enough to be scored and stand several times.
        most_copies: Greatest number of copies of one of them; 0 if there is none.
        too_short: What is too short to be scored, whether or not it stands several times.
    """

    examples: int
    most_copies: int
    too_short: TooShort


def find_repeated(rows: pa.Table) -> Repeated:
    """Count what stands several times among rows, by their columns ``digest`` and ``status``."""
    copies = pc.value_counts(rows["digest"].filter(pc.equal(rows["status"], "scored"))).field("counts")
    repeated = copies.filter(pc.greater(copies, 1))
    return Repeated(len(repeated), pc.max(repeated).as_py() or 0, count_short_rows(rows))


def find_short_copies(rows: pa.Table, documents: ExampleIds) -> list[ShortCopies]:
    """Return the further copies of documents with an example that is too short, most copies first.

    A conversation is a copy of an earlier one only if all of its answers, with what stands before them, are the same in
    both: a short answer that many different conversations share is no reason to leave these out.

    Args:
        rows: ``example_id``, ``digest`` and ``status`` of the r rows of a whole training set, in its order.
        documents: Index of the document that holds each row, ascending ``[r]``.
    """
    is_short = pc.equal(rows["status"], "too_short").to_numpy()
    digests = rows["digest"].filter(pa.array(is_short))
    if not len(digests):
        return []
    counts = pc.value_counts(digests)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    holders = np.unique(documents[is_short][pc.is_in(digests, repeated).to_numpy()])
    starts, ends = (np.searchsorted(documents, holders, side=side) for side in ("left", "right"))
    spans: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        spans[tuple(rows["digest"][start:end].to_pylist())].append((start, end))
    groups = [
        ShortCopies(
            len(copies) - 1,
            tuple(
                (int(rows["example_id"][row].as_py()), content[row - start])
                for start, end in copies[1:]
                for row in range(start, end)
                if is_short[row]
            ),
        )
        for content, copies in spans.items()
        if len(copies) > 1
    ]
    return sorted(groups, key=lambda group: -group.documents)
