"""How much of a training set is removed: by risk, by the share of what is memorized, or by the share of rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.cutoff import DEFAULT_RECALL, Cutoff
from pytest_kdmem.risk.removal import rows_within
from pytest_kdmem.specs.checks import number, require


@dataclass(frozen=True)
class Budget:
    """How much is removed; at most one limit is given. By default 95 % of what is memorized is to be found.

    Attributes:
        threshold: Examples of this risk or more are removed.
        recall: Examples are removed down to the risk that finds this share of what is memorized.
        at_most: The riskiest examples are removed, with their copies, up to this share of the rows.

    Raises:
        SpecError: Two limits are given, or one is not between 0 and 1.
    """

    threshold: float | None = None
    recall: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            options = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            raise SpecError(f"One of --threshold, --recall and --at-most was expected; found {options}: keep one.")
        for name, value in given.items():
            require(name.replace("_", "-"), value, number(above=0, below=1))

    def __str__(self) -> str:
        if self.threshold is not None:
            return f"risk of {self.threshold:g} or more"
        if self.at_most is not None:
            return f"at most {100 * self.at_most:g}% of the rows"
        return f"{100 * (self.recall or DEFAULT_RECALL):g}% of what is memorized"

    @property
    def cutoff(self) -> Cutoff:
        """How the threshold is chosen at or above which an example is at risk."""
        return Cutoff(self.threshold, self.recall or DEFAULT_RECALL)

    def max_rows(self, rows: int) -> float:
        """Return the most of this number of rows that may be removed; infinity without a limit."""
        return math.inf if self.at_most is None else rows_within(self.at_most, rows)
