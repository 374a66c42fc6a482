"""Risks → the rows of a training set that are to be left out, and why each of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.corpus.near_duplicates import NearDuplicate
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.predicted import PredictedRisk

Reason = Literal["at risk", "exact duplicate", "near-duplicate"]
REASONS: tuple[Reason, ...] = get_args(Reason)
# ``risk`` is null of what is too short to have one; ``of`` is the digest of the example at risk.
DROPPED = pa.schema(
    [
        ("example_id", pa.int64()),
        ("digest", pa.string()),
        ("reason", pa.string()),
        ("risk", pa.float64()),
        ("of", pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Dropping:
    """What is to be left out of a training set.

    Attributes:
        rows: by DROPPED, in the order of the training set: an example at risk at its first copy, its further copies
            (exact duplicates), and its near-duplicates.
        threshold: the least risk of an example that is left out for its own.
        recall: share of what is memorized that has such a risk, by trials on held-out examples.
    """

    rows: pa.Table
    threshold: float
    recall: float

    def counts(self) -> dict[str, int]:
        """Rows by reason."""
        reasons = self.rows["reason"].to_pylist()
        return {reason: reasons.count(reason) for reason in REASONS}


def candidates(risk: PredictedRisk, at_most_rows: float = math.inf) -> ExampleIds:
    """Indices of the distinct examples that may be left out, highest risk first.

    Args:
        at_most_rows: as many of the riskiest as have no more copies than this together; without it, those at risk.
    """
    order = np.argsort(-risk.risks, kind="stable")
    if math.isinf(at_most_rows):
        return order[: int(risk.at_risk.sum())]
    return order[np.cumsum(risk.features.copies[order]) <= at_most_rows]


def dropping(
    risk: PredictedRisk, rows: pa.Table, near: Sequence[NearDuplicate], at_most_rows: float = math.inf
) -> Dropping:
    """What to leave out: the candidates in order of their risk, each with its copies and near-duplicates.

    Args:
        rows: ``example_id`` and ``digest`` of all rows of the training set.
        near: near-duplicates of the candidates.
        at_most_rows: the first candidate that would lead beyond it, and all after it, stay.

    Raises:
        SpecError: not even the riskiest example can be left out.
    """
    features = risk.features
    order = candidates(risk, at_most_rows)
    digests = features.digests.take(pa.array(order)).to_pylist()
    nearly: dict[str, set[str]] = defaultdict(set)
    for one in near:
        nearly[one.of].add(one.digest)
    wanted = pa.array([*digests, *sorted({one.digest for one in near} - set(digests))], pa.string())
    places: dict[str, list[int]] = defaultdict(list)
    for row in rows.filter(pc.is_in(rows["digest"], wanted)).select(["example_id", "digest"]).to_pylist():
        places[row["digest"]].append(row["example_id"])
    left_out: dict[str, str] = {}  # digest → that of the example at risk
    total, last = 0, None
    for at, digest in zip(order, digests, strict=True):
        new = {digest, *nearly[digest]} - left_out.keys()
        rows_more = sum(len(places[one]) for one in new)
        if total + rows_more > at_most_rows:
            break
        total, last = total + rows_more, at
        left_out |= dict.fromkeys(new, digest) | {digest: digest}
    if last is None and not math.isinf(at_most_rows):
        raise SpecError(
            f"A budget for at least one example was expected, and {count(int(at_most_rows))} rows are fewer than the"
            f" riskiest example of {features.name} has with its copies: set a larger --at-most."
        )
    threshold = risk.threshold if last is None or math.isinf(at_most_rows) else float(risk.risks[last])
    recall = risk.recall if threshold == risk.threshold else _recall_at(risk, int(last or 0))
    at = pc.index_in(wanted, features.digests).to_pylist()
    known = {name: float(risk.risks[row]) for name, row in zip(wanted.to_pylist(), at, strict=True) if row is not None}
    return Dropping(_table(left_out, places, known), threshold, recall)


def rows_within(share: float, rows: int) -> int:
    """The most rows that a budget allows.

    Raises:
        SpecError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise SpecError(f"A budget must lie between 0% and 100%; found {percent(share)}.")
    return math.floor(share * rows + 1e-9)  # 0.07 · 100 is a little more than 7, and 0.29 · 100 a little less than 29


def _recall_at(risk: PredictedRisk, index: int) -> float:
    return risk.predictor.recall_at(float(risk.predictor.log_odds(risk.features.values[index : index + 1])[0]))


def _table(left_out: dict[str, str], places: dict[str, list[int]], risks: dict[str, float]) -> pa.Table:
    rows = []
    for digest, of in left_out.items():
        for at, example in enumerate(sorted(places[digest])):
            reason = "near-duplicate" if digest != of else "exact duplicate" if at else "at risk"
            rows.append((example, digest, reason, risks.get(digest), of))
    rows.sort()
    columns = [pa.array([row[at] for row in rows], kind.type) for at, kind in enumerate(DROPPED)]
    return pa.table(columns, schema=DROPPED)
