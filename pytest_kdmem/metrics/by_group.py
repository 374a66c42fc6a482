"""Which distinct examples of a training set are of which group, and which groups have none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.base.arrays import ExampleIds, Flags
from pytest_kdmem.corpus.groups import Codes, Groups
from pytest_kdmem.metrics.distinct_rows import DistinctRows

Members = npt.NDArray[np.int64]


def group_members(groups: Groups, example_ids: ExampleIds, distinct: DistinctRows) -> dict[str, Members]:
    """Return the indices ``[m]`` among the n distinct examples of each group's, ascending; a group may have none.

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
    return _by_name(groups, groups.codes[example_ids[is_scored]], example_of_row[is_scored], n)


def drawn_members(groups: Groups, example_ids: ExampleIds, copies: Iterable[tuple[int, ...]]) -> dict[str, Members]:
    """The same of a sample, which holds each distinct example once.

    Args:
        groups: The group of each row of the training set.
        example_ids: Positions of the first copies of the n examples, int64 ``[n]``, ascending.
        copies: Positions of the first and the further copies of each example that has any.
    """
    further = [(positions[0], position) for positions in copies for position in positions[1:]]
    firsts, others = np.array(further, dtype=np.int64).reshape(-1, 2).T
    examples = np.concatenate([np.arange(len(example_ids)), np.searchsorted(example_ids, firsts)])
    return _by_name(groups, groups.codes[np.concatenate([example_ids, others])], examples, len(example_ids))


def rows_too_short(groups: Groups, example_ids: ExampleIds, is_too_short: Flags) -> dict[str, int]:
    """Return the number of rows of each group that are too short to be scored.

    Args:
        groups: The group of each row of the training set.
        example_ids: Positions in the training set of the r rows of a score table, int64 ``[r]``.
        is_too_short: Whether each row is too short, bool ``[r]``.
    """
    counts = np.bincount(groups.codes[example_ids[is_too_short]], minlength=len(groups.names))
    return dict(zip(groups.names, counts.tolist(), strict=True))


def most_short_copies(
    groups: Groups, example_ids: ExampleIds, is_too_short: Flags, digests: pa.ChunkedArray
) -> dict[str, int]:
    """Return how often the most frequent example of each group that is too short stands in the training set.

    Args:
        groups, example_ids, is_too_short: As of `rows_too_short`.
        digests: Digest of each row ``[r]``.

    Returns:
        By group, 0 where no such example stands there more than once, in whichever groups its copies are.
    """
    codes = digests.filter(pa.array(is_too_short)).combine_chunks().dictionary_encode().indices.to_numpy()
    copies = np.bincount(codes)[codes] if len(codes) else np.zeros(0, dtype=np.int64)
    most = np.zeros(len(groups.names), dtype=np.int64)
    np.maximum.at(most, groups.codes[example_ids[is_too_short]], copies)
    return dict(zip(groups.names, np.where(most > 1, most, 0).tolist(), strict=True))


def _by_name(groups: Groups, codes: Codes, examples: Members, n: int) -> dict[str, Members]:
    """Members by group, from the group and the example of each row."""
    pairs = np.unique(codes.astype(np.int64) * n + examples)  # a group and an example, once for any number of copies
    starts = np.searchsorted(pairs, np.arange(1, len(groups.names)) * n)
    return dict(zip(groups.names, np.split(pairs % max(n, 1), starts), strict=True))
