"""From which predicted risk on an example is at risk: a threshold that is given, or one that finds enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.text import percent
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.specs.checks import number, optional, require

# By default the threshold is that which 95 % of the memorized examples reach in trials on held-out examples. A useless
# predictor has such a threshold as well, and nearly all examples reach it.
DEFAULT_RECALL = 0.95
# A gate on a threshold that fewer of the memorized examples reach would be without meaning.
LEAST_RECALL = 0.5


@dataclass(frozen=True)
class Cutoff:
    """How the threshold is chosen at or above which an example is at risk.

    Attributes:
        threshold: The threshold itself, between 0 and 1; if None, it is derived from ``recall``.
        recall: Share of the memorized examples that reach the derived threshold in trials on held-out examples.

    Raises:
        SpecError: The threshold is not between 0 and 1.
    """

    threshold: float | None = None
    recall: float = DEFAULT_RECALL

    def __post_init__(self) -> None:
        require("A risk threshold", self.threshold, optional(number(above=0, below=1)))

    def __str__(self) -> str:
        return f"{self.threshold:g}" if self.threshold is not None else f"recall of {percent(self.recall)}"


def threshold_and_recall(predictor: Predictor, cutoff: Cutoff) -> tuple[float, float]:
    """Return the threshold, and the share of the memorized examples that reach it in trials on held-out examples."""
    if cutoff.threshold is None:
        log_odds = predictor.log_odds_for_recall(cutoff.recall)
        return float(predictor.risk(np.array(log_odds))), predictor.recall_at(log_odds)
    threshold = cutoff.threshold
    recall = predictor.recall_at(predictor.log_odds_for_risk(threshold))
    if recall < LEAST_RECALL:
        lower = float(predictor.risk(np.array(predictor.log_odds_for_recall(DEFAULT_RECALL))))
        raise SpecError(
            f"A risk threshold that finds at least {percent(LEAST_RECALL)} of what is memorized was expected, and"
            f" {threshold:g} finds {percent(recall)} in trials on held-out examples ({lower:.2g} finds"
            f" {percent(DEFAULT_RECALL)}): set a lower --kdmem-risk-threshold, or none."
        )
    return threshold, recall
