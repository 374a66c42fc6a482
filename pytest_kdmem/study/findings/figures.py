"""The figures that findings are made of: shares, spreads over seeds, and rows of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.direction import Agreement, Vote, agreement

# How a figure is printed: percent of a whole, examples, nats, a perplexity, a quotient of two, a correlation, bytes, an
# area under a curve.
Unit = Literal["percent", "examples", "nats", "perplexity", "times", "r", "bytes", "area"]


@dataclass(frozen=True)
class Share:
    """k of n examples; of none, undefined."""

    k: int
    n: int

    @property
    def value(self) -> float | None:
        """k / n, None if n is 0."""
        return self.k / self.n if self.n else None


@dataclass(frozen=True)
class Spread:
    """One figure per seed, None where it is undefined.

    A mean over the seeds where a figure happens to be defined would be selective, so it needs them all.
    """

    values: tuple[float | None, ...]

    def __post_init__(self) -> None:
        wrong = [value for value in self.values if value is not None and not math.isfinite(value)]
        if wrong:
            raise DataError(
                f"Finite figures were expected of each model of the study, and one is {wrong[0]};"
                " train that model again."
            )

    @property
    def n(self) -> int:
        """Seeds."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over seeds, None without seeds or where one is undefined."""
        defined = self._defined
        return statistics.fmean(defined) if defined else None

    @property
    def deviation(self) -> float | None:
        """Sample standard deviation over seeds (n − 1), None below two of them."""
        defined = self._defined
        return statistics.stdev(defined) if len(defined) > 1 else None

    @property
    def _defined(self) -> list[float]:
        """All values, or none if one of them is undefined."""
        defined = [value for value in self.values if value is not None]
        return defined if len(defined) == len(self.values) else []


@dataclass(frozen=True)
class Row:
    """One line of a finding's table.

    Attributes:
        setting: family and data set.
        figure: what is measured.
        unit: how it is printed.
        measured: the figure of each seed.
        published: the study's figure in the setting of the same name, None if it gave none.
        claim: what the study says of it, as a direction; empty if it says nothing.
        agreement: whether what is measured goes that way; None without a claim.
        counts: the examples behind each seed's figure, where it is a share.
    """

    setting: str
    figure: str
    unit: Unit
    measured: Spread
    published: float | None = None
    claim: str = ""
    agreement: Agreement | None = None
    counts: tuple[Share, ...] = ()


def spread(values: Iterable[float | None]) -> Spread:
    return Spread(tuple(values))


def share_row(
    setting: str,
    figure: str,
    shares: Sequence[Share],
    published: float | None = None,
    claim: str = "",
    votes: Sequence[Vote] = (),
) -> Row:
    """A share of each seed, printed in percent with its counts."""
    measured = spread(share.value for share in shares)
    decided = agreement(votes) if claim else None
    return Row(setting, figure, "percent", measured, published, claim, decided, tuple(shares))


def row(
    setting: str,
    figure: str,
    unit: Unit,
    values: Iterable[float | None],
    published: float | None = None,
    claim: str = "",
    votes: Sequence[Vote] = (),
) -> Row:
    """Any other figure of each seed."""
    return Row(setting, figure, unit, spread(values), published, claim, agreement(votes) if claim else None)
