"""An engine that screens every example in a fast dtype and decides in float32 those whose verdict it could change."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import (
    Engine,
    Floats,
    Metrics,
    Scores,
    Screening,
    ignore_progress,
    put_scores,
    take_scores,
    unknown_scores,
)
from pytest_kdmem.engines.screening import Band, Rows
from pytest_kdmem.errors import OverflowedError
from pytest_kdmem.specs.declared import Extraction

# Sure misses are scored no further from this multiple of the tolerance on, so that the band has room to widen.
SURE_MISS_FACTOR = 2.0


class ScreenedEngine:
    """Two engines of one model.

    Args:
        screener: Scores every example, in a fast dtype.
        decider: Scores some of them again, in float32.
    """

    def __init__(self, screener: Engine, decider: Engine) -> None:
        self._screener, self._decider = screener, decider
        self._decider.sure_miss = math.inf  # the least margin of each decided example is needed
        self.tolerance, self.sure_miss = decider.tolerance, math.inf

    def score(
        self, examples: Sequence[Example], extraction: Extraction, metrics: Metrics, advance: Callable[[int], None]
    ) -> Scores:
        def decide(rows: Rows) -> Scores:
            return self._decider.score([examples[row] for row in rows], extraction, metrics, ignore_progress)

        decided = DecidedScores(len(examples), self._decider.tolerance, decide)
        report = at_most(len(examples), advance)
        screener = self._screener
        width, sure_miss = screener.tolerance, SURE_MISS_FACTOR * screener.tolerance
        widened = 0
        while True:
            screener.sure_miss = sure_miss
            try:
                screened = screener.score(examples, extraction, metrics, report)
            except OverflowedError:  # what overflows in half precision does not in float32
                return decided.all(report)
            band = Band(screened.margin, decided.margin, max(width, self.tolerance), widened=widened)
            if band.settle(decided.decide, math.inf if metrics == "all" else sure_miss):
                return decided.over(screened, band)
            width, widened, sure_miss = band.width, band.widened, SURE_MISS_FACTOR * band.width

    def losses(self, examples: Sequence[Example]) -> list[Floats]:
        return self._decider.losses(examples)

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        return self._decider.decode(prefixes, new_tokens)

    def close(self) -> None:
        self._screener.close()
        self._decider.close()


class DecidedScores:
    """Scores of n examples in float32, filled as they are decided.

    Args:
        examples: Number of examples.
        tolerance: Half the width, in logits, of the band that is ambiguous in float32.
        decide: Scores the examples of given indices.
    """

    def __init__(self, examples: int, tolerance: float, decide: Callable[[Rows], Scores]) -> None:
        self.tolerance = tolerance
        self._decide = decide
        self._scores = unknown_scores(examples, tolerance)

    @property
    def margin(self) -> Floats:
        """Least margins ``[n]``, in logits; NaN for examples that are not decided."""
        return self._scores.margin

    def decide(self, rows: Rows) -> Floats:
        """Decide examples, and return their least margins."""
        scores = self._decide(rows)
        put_scores(self._scores, rows, scores)
        return scores.margin

    def over(self, screened: Scores, band: Band) -> Scores:
        """The scores by the fast dtype, with those of decided examples in their place."""
        rows = np.flatnonzero(~np.isnan(self.margin))
        changed = self._scores.memorized[rows] != screened.memorized[rows]
        counts = Screening(len(self.margin), len(rows), int(changed.sum()), band.width, band.widened)
        merged = replace(take_scores(screened, slice(None)), tolerance=self.tolerance, screening=counts)
        if merged.windows is not None:
            merged.windows.unsure_within[:] = max(band.width, self._greatest_change(screened, rows))
        put_scores(merged, rows, take_scores(self._scores, rows))
        return merged

    def _greatest_change(self, screened: Scores, rows: Rows) -> float:
        """Greatest change of a margin, in logits, at any token of the examples that were decided."""
        assert screened.windows is not None
        assert self._scores.windows is not None
        before, after = screened.windows.margins[rows], self._scores.windows.margins[rows]
        with np.errstate(invalid="ignore"):  # a token that is cut off has −inf in both
            changes = [np.abs(first - second) for first, second in zip(before, after, strict=True)]
        return max((float(change[np.isfinite(change)].max(initial=0.0)) for change in changes), default=0.0)

    def all(self, advance: Callable[[int], None]) -> Scores:
        """Decide every example; none counts as screened."""
        if len(rows := np.flatnonzero(np.isnan(self.margin))):
            self.decide(rows)
        advance(len(self.margin))
        return replace(self._scores, screening=Screening(0, len(self.margin), 0, 0.0, 0))


def at_most(examples: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    """A function that reports no more than a number of examples: some are screened more than once."""
    remaining = examples

    def report(done: int) -> None:
        nonlocal remaining
        counted = min(done, remaining)
        remaining -= counted
        if counted:
            advance(counted)

    return report
