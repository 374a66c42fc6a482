"""Which way round a comparison of an estimate protects what is released; in an audit the other way is refused."""

from __future__ import annotations

from typing import Literal, Protocol

Operator = Literal["<=", "<", ">=", ">"]
MIRRORED: dict[str, Operator] = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}

# Metrics where a higher value is better; of every other metric a lower value is.
HIGHER_IS_BETTER = ("reduction",)
# Of what a student memorized, how much is easy or common says neither good nor bad of it.
EITHER_WAY = ("easy share", "common share")
# Of two models that are compared, the one of the lower rank is the one to be protected.
RANKS = {"student": 0, "teacher": 2, "baseline": 2}


class Measured(Protocol):
    """What of an estimate says which way round it is compared."""

    @property
    def metric(self) -> str: ...
    @property
    def subject(self) -> str: ...


def protects(estimate: Measured, operator: Operator, other: Measured | None = None) -> bool:
    """Return whether a comparison that holds speaks for the model that is to be released.

    Args:
        estimate: Left-hand side.
        operator: Operator between the two sides.
        other: Right-hand side if that is an estimate. The student's then lies on the side that protects, whichever side
            it is written on; of two estimates of equal standing the left one does.
    """
    if other is not None and _rank(other) < _rank(estimate):
        estimate, operator = other, MIRRORED[operator]
    if estimate.metric in EITHER_WAY:
        return True
    return (operator in (">=", ">")) == (estimate.metric in HIGHER_IS_BETTER)


def wrong_way_round(estimate: Measured, operator: Operator, other: Measured | None = None) -> str:
    """Return the sentence by which a comparison that does not protect is refused, and which says how to write it."""
    if other is not None and _rank(other) < _rank(estimate):
        expected = ("<=", "<") if other.metric in HIGHER_IS_BETTER else (">=", ">")
    else:
        expected = (">=", ">") if estimate.metric in HIGHER_IS_BETTER else ("<=", "<")
    limit = "threshold" if other is None else "other"
    return (
        f"The {estimate.metric} of {estimate.subject} was expected to be compared by {expected[0]} or {expected[1]},"
        f" and {operator} was found: in an audit every comparison of an estimate is a gate and must hold, so write"
        f" `assert … {expected[0]} {limit}`, and use `.value`, `.low` or `.high` where you only want to look or to"
        " choose."
    )


def _rank(measured: Measured) -> int:
    return RANKS.get(measured.subject.split(" on ")[0], 1)
