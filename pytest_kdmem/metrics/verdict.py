"""Verdict: the outcome of a comparison, and the numbers that decided it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Verdict:
    """Outcome of one comparison.

    Attributes:
        outcome: ``inconclusive`` if the data show neither the comparison nor its opposite.
        defined: Whether both sides are numbers; a quotient of 0 by 0 is not.
        examples_needed: Least number of examples with which the comparison could hold; infinite if no sample can show
            it, 0 if the number of examples is not what decides.
        basis: What decided if it is not the two sides alone, in words; empty if it is.
        remedy: What to do about a comparison that does not pass, in a sentence; empty if its two sides tell.
    """

    outcome: Outcome
    defined: bool = True
    examples_needed: float = 0
    basis: str = ""
    remedy: str = ""
