"""Which distinct examples of a training set are of which group."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.metrics.distinct_rows import DistinctRows

Members = npt.NDArray[np.int64]


def group_members(groups: Groups, example_ids: ExampleIds, distinct: DistinctRows) -> dict[str, Members]:
    """Return the indices ``[m]`` among the n distinct examples of each group's, ascending, without empty groups.

    An example whose copies stand in several groups is of each of them.

    Args:
        groups: The group of each row of the training set.
        example_ids: Positions in the training set of the r rows of a score table, int64 ``[r]``.
        distinct: The distinct examples among these rows.
    """
    n = len(distinct)
    example_of_row = np.full(len(example_ids), -1, dtype=np.int64)
    example_of_row[distinct.is_first] = np.arange(n)
    example_of_row[distinct.further] = distinct.original
    is_scored = example_of_row >= 0
    codes = groups.codes[example_ids[is_scored]].astype(np.int64)
    pairs = np.unique(codes * n + example_of_row[is_scored])  # a group and an example, once for any number of copies
    present, starts = np.unique(pairs // n, return_index=True)
    members = np.split(pairs % n, starts[1:])
    return {groups.names[code]: indices for code, indices in zip(present.tolist(), members, strict=True)}
