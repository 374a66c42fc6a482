"""Teacher and baseline in one pass over both, screened in a fast dtype and decided in float32."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Floats, Scores, ignore_progress, put_scores, take_scores, unknown_scores
from pytest_kdmem.engines.screened import DecidedScores, at_most
from pytest_kdmem.engines.screening import Band, Rows
from pytest_kdmem.engines.transformers.pair import PairedEngine, PairedScores
from pytest_kdmem.errors import OverflowedError
from pytest_kdmem.specs.declared import Extraction


class ScreenedPair:
    """Two engines of one pair of models.

    Args:
        screener: Scores every example, each model in its fast dtype if it has one.
        decider: Scores some of them again, in the dtype that decides. A model that has no fast dtype is the same
            engine in both.
    """

    def __init__(self, screener: PairedEngine, decider: PairedEngine) -> None:
        self._screener, self._decider = screener, decider

    def score(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> PairedScores:
        """Compute all metrics of examples, as `PairedEngine.score`.

        Each model has a band of its own, so that the same rows are decided as if it ran alone. The divergence is
        decided where one of the models is.
        """
        pair = _DecidedPair(examples, self._decider, extraction)
        sides = [
            DecidedScores(len(examples), tolerance, pair.decide_of(model))
            for model, tolerance in enumerate(engine.tolerance for engine in self._decider.engines)
        ]
        report = at_most(len(examples), advance)
        try:
            screened = self._screener.score(examples, extraction, report)
        except OverflowedError:  # what overflows in half precision does not in float32
            return PairedScores(sides[0].all(report), sides[1].all(report), pair.kl)
        teacher, baseline = (
            scores if self._screener.engines[model] is self._decider.engines[model] else _decide(sides[model], scores)
            for model, scores in enumerate((screened.teacher, screened.baseline))
        )
        return PairedScores(teacher, baseline, np.where(np.isnan(pair.kl), screened.kl, pair.kl))

    def losses(self, examples: Sequence[Example]) -> tuple[list[Floats], list[Floats]]:
        """The loss of each token of each example but its first, in nats, by the teacher and by the baseline."""
        return self._decider.losses(examples)

    def close(self) -> None:
        for engine in {id(engine): engine for engine in (*self._screener.engines, *self._decider.engines)}.values():
            engine.close()


def _decide(decided: DecidedScores, screened: Scores) -> Scores:
    band = Band(screened.margin, decided.margin, max(screened.tolerance, decided.tolerance))
    band.settle(decided.decide, math.inf)
    return decided.over(screened, band)


class _DecidedPair:
    """Scores of both models in float32; an example that both ask for is scored once."""

    def __init__(self, examples: Sequence[Example], decider: PairedEngine, extraction: Extraction) -> None:
        self._examples, self._decider, self._extraction = examples, decider, extraction
        self._scores = [unknown_scores(len(examples), engine.tolerance) for engine in decider.engines]
        self.kl = np.full(len(examples), np.nan, np.float32)

    def decide_of(self, model: int) -> Callable[[Rows], Scores]:
        """The function that decides examples for one of the models."""

        def decide(rows: Rows) -> Scores:
            self._score(rows[np.isnan(self.kl[rows])])
            return take_scores(self._scores[model], rows)

        return decide

    def _score(self, rows: Rows) -> None:
        if not len(rows):
            return
        scores = self._decider.score([self._examples[row] for row in rows], self._extraction, ignore_progress)
        for side_scores, side in zip(self._scores, (scores.teacher, scores.baseline), strict=True):
            put_scores(side_scores, rows, side)
        self.kl[rows] = scores.kl
