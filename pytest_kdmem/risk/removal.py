"""Choose which rows of a training set are removed because of their risk, and record the reason of each."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.corpus.near_duplicates import NearDuplicate
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.risk.short_copies import ShortCopies

Reason = Literal["at risk", "exact duplicate", "near-duplicate", "too short, exact duplicate"]
REASONS: tuple[Reason, ...] = get_args(Reason)
SHORT_COPY: Reason = "too short, exact duplicate"
# ``risk`` is null for rows that are too short to have one; ``of`` is the digest of the example at risk,
# or of what is too short and stands several times.
REMOVED_SCHEMA = pa.schema(
    [
        ("example_id", pa.int64()),
        ("digest", pa.string()),
        ("reason", pa.string()),
        ("risk", pa.float64()),
        ("of", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Removal:
    """The rows to be removed from a training set.

    Attributes:
        rows: Table of REMOVED_SCHEMA in the order of the training set: examples at risk, each at its first copy, their
            further copies (exact duplicates), their near-duplicates, and further copies of what is too short.
        threshold: The least risk of an example that is removed for its own risk.
        recall: Share of the memorized examples of this risk or more, by trials on held-out examples.
    """

    rows: pa.Table
    threshold: float
    recall: float

    def counts(self) -> dict[str, int]:
        """Return the number of rows for each reason."""
        reasons = self.rows["reason"].to_pylist()
        return {reason: reasons.count(reason) for reason in REASONS}


def removal_candidates(risk: PredictedRisk, max_rows: float = math.inf) -> ExampleIds:
    """Return the indices of the distinct examples that may be removed, highest risk first.

    Args:
        risk: Predicted risks.
        max_rows: The riskiest examples that have at most this many copies together are candidates. If infinite, the
            examples at risk are.
    """
    order = np.argsort(-risk.risks, kind="stable")
    if math.isinf(max_rows):
        return order[: int(risk.at_risk.sum())]
    return order[np.cumsum(risk.features.copies[order]) <= max_rows]


def plan_removal(
    risk: PredictedRisk,
    rows: pa.Table,
    near_duplicates: Sequence[NearDuplicate],
    max_rows: float = math.inf,
    short_copies: Sequence[ShortCopies] = (),
) -> Removal:
    """Choose the rows to remove: the candidates in order of their risk, each with its copies and near-duplicates.

    Further copies of what is too short to have a risk come behind the riskiest example: leaving them out loses nothing,
    and what stands often is recited first.

    Args:
        risk: Predicted risks.
        rows: ``example_id`` and ``digest`` of all rows of the training set.
        near_duplicates: Near-duplicates of the candidates.
        max_rows: Most rows to remove. The first candidate that would exceed it is kept, and all after it.
        short_copies: Further copies of what is too short, most copies first.

    Raises:
        SpecError: Not even the riskiest example fits into ``max_rows``.
    """
    features = risk.features
    order = removal_candidates(risk, max_rows)
    digests = features.digests.take(pa.array(order)).to_pylist()
    near_by_candidate: dict[str, set[str]] = defaultdict(set)
    for near in near_duplicates:
        near_by_candidate[near.duplicate_of].add(near.digest)
    all_digests = pa.array([*digests, *sorted({near.digest for near in near_duplicates} - set(digests))], pa.string())
    chosen = _Chosen(near_by_candidate, _positions(rows, all_digests), max_rows)
    last_index = chosen.take_first(list(zip(order.tolist(), digests, strict=True)), short_copies)
    if last_index is None and not math.isinf(max_rows):
        raise SpecError(
            f"A budget for at least one example was expected, and {count(int(max_rows))} rows are fewer than the"
            f" riskiest example of {features.training_set_name} has with its copies: set a larger --at-most."
        )
    threshold, recall = risk.threshold, risk.recall
    if last_index is not None and not math.isinf(max_rows):
        threshold = float(risk.risks[last_index])
        recall = _recall_at(risk, last_index) if threshold != risk.threshold else risk.recall
    indices = pc.index_in(all_digests, features.digests).to_pylist()
    risks = {
        digest: float(risk.risks[index])
        for digest, index in zip(all_digests.to_pylist(), indices, strict=True)
        if index is not None
    }
    return Removal(_removed_rows(chosen, risks), threshold, recall)


@dataclass
class _Chosen:
    """What is removed, as far as it fits into a number of rows.

    Attributes:
        near_by_candidate: Digests of the near-duplicates of each example at risk.
        positions: Positions of all rows by digest.
        max_rows: Most rows to remove.
        removed: Digest of each removed example → digest of the example at risk because of which it is removed.
        removed_copies: Digest of each further copy of what is too short, by position.
    """

    near_by_candidate: Mapping[str, set[str]]
    positions: Mapping[str, list[int]]
    max_rows: float
    removed: dict[str, str] = field(default_factory=dict)
    removed_copies: dict[int, str] = field(default_factory=dict)
    _total: int = 0

    def take_first(self, candidates: Sequence[tuple[int, str]], short_copies: Sequence[ShortCopies]) -> int | None:
        """Take the riskiest candidate, short copies and the other candidates, up to the first that does not fit.

        Args:
            candidates: Index and digest of each example at risk, highest risk first.
            short_copies: Further copies of what is too short, most copies first.

        Returns:
            Index of the last candidate that was taken; None if none was.
        """
        last_index = None
        in_order: list[tuple[int, str] | ShortCopies] = [*candidates[:1], *short_copies, *candidates[1:]]
        for candidate in in_order:
            if isinstance(candidate, ShortCopies):
                if not self._take_copies(candidate):
                    break
            elif self._take_example(candidate[1]):
                last_index = candidate[0]
            else:
                break
        return last_index

    def _take_copies(self, short_copies: ShortCopies) -> bool:
        copies = {position: digest for position, digest in short_copies.rows if digest not in self.removed}
        if self._total + len(copies) > self.max_rows:
            return False
        self._total += len(copies)
        self.removed_copies |= copies
        return True

    def _take_example(self, digest: str) -> bool:
        """Take an example with its near-duplicates, and all copies of these; False if they do not fit."""
        new = {digest, *self.near_by_candidate.get(digest, ())} - self.removed.keys()
        new_rows = sum(len(self.positions[new_digest]) for new_digest in new)
        if self._total + new_rows > self.max_rows:
            return False
        self._total += new_rows
        self.removed |= dict.fromkeys(new, digest) | {digest: digest}
        return True


def rows_within(share: float, rows: int) -> int:
    """Return the most rows that a share of all rows allows.

    Raises:
        SpecError: The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise SpecError(f"A budget must lie between 0% and 100%; found {percent(share)}.")
    # The small addend makes up for rounding: 0.29 · 100 is a little less than 29.
    return math.floor(share * rows + 1e-9)


def _positions(rows: pa.Table, digests: pa.Array) -> dict[str, list[int]]:
    """Return the positions of all rows with one of the digests, by digest."""
    positions: dict[str, list[int]] = defaultdict(list)
    for row in rows.filter(pc.is_in(rows["digest"], digests)).select(["example_id", "digest"]).to_pylist():
        positions[row["digest"]].append(row["example_id"])
    return positions


def _recall_at(risk: PredictedRisk, index: int) -> float:
    """Return the share of the memorized examples that are at least as risky as the example at an index."""
    return risk.predictor.recall_at(float(risk.predictor.log_odds(risk.features.values[index : index + 1])[0]))


def _removed_rows(chosen: _Chosen, risks: Mapping[str, float]) -> pa.Table:
    """Return the table of removed rows; the risks are by digest."""
    rows: list[tuple[int, str, Reason, float | None, str]] = [
        (position, digest, SHORT_COPY, None, digest)
        for position, digest in chosen.removed_copies.items()
        if digest not in chosen.removed
    ]
    for digest, risky_digest in chosen.removed.items():
        for copy, example_id in enumerate(sorted(chosen.positions[digest])):
            is_near = digest != risky_digest
            reason: Reason = "near-duplicate" if is_near else "exact duplicate" if copy else "at risk"
            rows.append((example_id, digest, reason, risks.get(digest), risky_digest))
    rows.sort()
    columns = [pa.array([row[index] for row in rows], field.type) for index, field in enumerate(REMOVED_SCHEMA)]
    return pa.table(columns, schema=REMOVED_SCHEMA)
