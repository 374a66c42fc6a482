"""The figures that findings are made of: shares, spreads over seeds, and rows of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.direction import Agreement, Vote, agreement

# How a figure is printed: percent of a whole, examples, nats, a perplexity, a quotient of two, a correlation, bytes, an
# area under a curve, copies, seconds, tokens, bits.
Unit = Literal[
    "percent", "examples", "nats", "perplexity", "times", "r", "bytes", "area", "copies", "seconds", "tokens", "bits"
]


@dataclass(frozen=True)
class Share:
    """k of n examples; undefined if n is 0."""

    k: int
    n: int

    @property
    def value(self) -> float | None:
        """k / n, None if n is 0."""
        return self.k / self.n if self.n else None


@dataclass(frozen=True)
class Spread:
    """One figure per seed, None where it is undefined.

    The mean needs all seeds: a mean over those where the figure happens to be defined would be selective.
    """

    values: tuple[float | None, ...]

    def __post_init__(self) -> None:
        not_finite = [value for value in self.values if value is not None and not math.isfinite(value)]
        if not_finite:
            raise DataError(
                f"Finite figures were expected of each model of the study, and one is {not_finite[0]};"
                " train that model again."
            )

    @property
    def n(self) -> int:
        """Number of seeds."""
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
    """One row of a finding's table.

    Attributes:
        setting: family and data set.
        figure: what is measured.
        unit: how the figure is printed.
        measured: the figure for each seed.
        published: the published figure for the setting of the same name; None if there is none.
        claim: the direction that the paper claims; empty if it claims none.
        agreement: whether the measured figures go in the claimed direction; None without a claim.
        counts: the number of examples behind each seed's figure, if it is a share.
    """

    setting: str
    figure: str
    unit: Unit
    measured: Spread
    published: float | None = None
    claim: str = ""
    agreement: Agreement | None = None
    counts: tuple[Share, ...] = ()


@dataclass(frozen=True)
class Claim:
    """What the paper claims of a figure.

    Attributes:
        direction: the claim in words, such as “fewer than before”.
        votes: the vote of each seed.
    """

    direction: str
    votes: Sequence[Vote]


def spread(values: Iterable[float | None]) -> Spread:
    return Spread(tuple(values))


def share_row(
    setting: str,
    figure: str,
    shares: Sequence[Share],
    published: float | None = None,
    claim: Claim | None = None,
) -> Row:
    """A row for a share, printed in percent with the counts of each seed."""
    percent_row = row(setting, figure, "percent", (share.value for share in shares), published, claim)
    return replace(percent_row, counts=tuple(shares))


def row(
    setting: str,
    figure: str,
    unit: Unit,
    values: Iterable[float | None],
    published: float | None = None,
    claim: Claim | None = None,
) -> Row:
    """A row for any other figure, with a value for each seed."""
    measured = spread(values)
    if claim is None:
        return Row(setting, figure, unit, measured, published)
    return Row(setting, figure, unit, measured, published, claim.direction, agreement(claim.votes))
