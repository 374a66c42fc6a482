"""Describes predicted risk and fitted predictors, in the words of every report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pytest_kdmem.auditing.schema import RiskEntry
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.bounds import lower_bound

if TYPE_CHECKING:
    from pytest_kdmem.risk.fitting import FittedPredictor
    from pytest_kdmem.risk.trials import TrialStatistic

METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "PR-AUC at the true prevalence",
    "true_precision": "precision at the true prevalence",
    "true_recall": "recall at even corrected odds",
}


def risk_lines(entry: RiskEntry) -> tuple[str, ...]:
    """Return lines on how much is at risk, how much of that is duplicated, and how good the predictor is."""
    expected = entry.expected_memorized
    roc_auc, pr_auc = (next(iter(entry.quality.get(name, ())), math.nan) for name in ("roc_auc", "pr_auc"))
    return (
        f"predicted risk: {entry.share_at_risk} at {entry.threshold:.2g} or more;"
        f" {expected.value:.0f} memorized expected ({expected.low:.0f} to {expected.high:.0f})",
        *_duplicate_lines(entry),
        f"predictor {entry.predictor[:8]}: from {count(entry.positives)} of {count(entry.fitted_to)} that"
        f" {entry.labels} recite; ROC-AUC {roc_auc:.4f}, PR-AUC {pr_auc:.4f}, finds {percent(entry.recall)} (≥"
        f" {percent(_recall_bound(entry))})",
    )


def _duplicate_lines(entry: RiskEntry) -> list[str]:
    exact, near = entry.exact_duplicates, entry.near_duplicates
    if exact is None or near is None:
        return []
    neither = len(entry.examples) - exact - near
    return [
        f"at risk: {count(exact)} with exact duplicates, {count(near)} with near-duplicates only, {count(neither)}"
        " with neither"
    ]


def _recall_bound(entry: RiskEntry) -> float:
    """Return the lower bound of the predictor's recall; NaN if the recall is unknown."""
    if not 0 <= entry.recall <= 1 or entry.positives <= 0:
        return math.nan
    recalled = round(entry.recall * entry.positives)
    return lower_bound(recalled, entry.positives, entry.expected_memorized.confidence)


def predictor_report(fitted: FittedPredictor, published: Mapping[str, float], *, published_name: str) -> RenderableType:
    """Return tables of a predictor's metrics beside published ones, and of how reliable its risks are.

    Args:
        fitted: The predictor with its assessment.
        published: Published metrics by name, and published coefficients by feature.
        published_name: Heading of the column of published values.
    """
    assessment, predictor = fitted.assessment, fitted.predictor
    return Group(
        Text(
            f"{count(assessment.positives)} of {count(assessment.examples)} distinct examples recited by"
            f" {predictor.labels}"
        ),
        _metrics_table(fitted, published, published_name),
        Text(
            f"Corrected risks of examples not trained on: Brier score {fitted.brier:.5f},"
            f" {fitted.brier_of_chance:.5f} of one risk for all (prevalence {percent(assessment.prevalence)})"
        ),
        _reliability_table(fitted),
    )


def _metrics_table(fitted: FittedPredictor, published: Mapping[str, float], published_name: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("figure", no_wrap=True)
    table.add_column("mean ± std", justify="right", no_wrap=True)
    table.add_column(published_name, justify="right")
    for name, statistic in fitted.assessment.metrics.items():
        table.add_row(METRIC_LABELS[name], format_statistic(statistic), _format_published(published.get(name)))
    for name, statistic in fitted.assessment.coefficients.items():
        table.add_row(f"weight of {name}", format_statistic(statistic), _format_published(published.get(name)))
    return table


def _reliability_table(fitted: FittedPredictor) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("risk", "examples", "mean risk", "memorized", "95% interval"):
        table.add_column(heading, justify="right")
    for bucket in fitted.predictor.reliability:
        table.add_row(
            f"{bucket.lower:g}–{bucket.upper:g}",
            count(bucket.n),
            percent(bucket.expected),
            percent(bucket.observed),
            f"{percent(bucket.low)} to {percent(bucket.high)}",
        )
    return table


def format_statistic(statistic: TrialStatistic) -> str:
    """Return mean and standard deviation over trials, with four decimals."""
    return f"{statistic.mean:.4f} ± {statistic.deviation:.4f}"


def _format_published(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
