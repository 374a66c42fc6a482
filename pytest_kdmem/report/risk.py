"""What is predicted of a student to come, in the words of every report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pytest_kdmem.audit.schema import RiskEntry
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.bounds import lower_bound

if TYPE_CHECKING:
    from pytest_kdmem.risk.fitting import FittedPredictor
    from pytest_kdmem.risk.trials import TrialStatistic

SAID = {
    "roc_auc": "ROC-AUC",
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "PR-AUC at the true prevalence",
    "true_precision": "precision at the true prevalence",
    "true_recall": "recall at even corrected odds",
}


def risk_lines(entry: RiskEntry) -> tuple[str, ...]:
    """Lines: what is at risk, how much of it is repeated, and what the prediction rests on."""
    expected, positives = entry.expected_memorized, entry.positives
    roc_auc, pr_auc = (next(iter(entry.quality.get(name, ())), math.nan) for name in ("roc_auc", "pr_auc"))
    exact, near = entry.exact_duplicates, entry.near_duplicates
    repeated = []
    if exact is not None and near is not None:
        neither = len(entry.examples) - exact - near
        repeated = [
            f"at risk: {count(exact)} with exact duplicates, {count(near)} with near-duplicates only, {count(neither)}"
            " with neither"
        ]
    known = 0 <= entry.recall <= 1 and positives > 0
    least = lower_bound(round(entry.recall * positives), positives, expected.confidence) if known else math.nan
    return (
        f"predicted risk: {entry.share_at_risk} at {entry.threshold:.2g} or more;"
        f" {expected.value:.0f} memorized expected ({expected.low:.0f} to {expected.high:.0f})",
        *repeated,
        f"predictor {entry.predictor[:8]}: from {count(positives)} of {count(entry.fitted_to)} that"
        f" {entry.labels} recite; ROC-AUC {roc_auc:.4f}, PR-AUC {pr_auc:.4f}, finds {percent(entry.recall)} (≥"
        f" {percent(least)})",
    )


def predictor_report(fitted: FittedPredictor, published: Mapping[str, float], *, published_name: str) -> RenderableType:
    """The protocol's figures beside published ones, and how the risks hold, as tables.

    Args:
        published: figures by name, and coefficients by feature.
        published_name: what the published ones are called.
    """
    found = fitted.assessment
    figures = Table(box=SIMPLE_HEAD, pad_edge=False)
    figures.add_column("figure", no_wrap=True)
    figures.add_column("mean ± std", justify="right", no_wrap=True)
    figures.add_column(published_name, justify="right")
    for name, figure in found.metrics.items():
        figures.add_row(SAID[name], format_statistic(figure), _published(published.get(name)))
    for name, figure in found.coefficients.items():
        figures.add_row(f"weight of {name}", format_statistic(figure), _published(published.get(name)))
    held = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("risk", "examples", "mean risk", "memorized", "95% interval"):
        held.add_column(heading, justify="right")
    for one in fitted.predictor.reliability:
        held.add_row(
            f"{one.lower:g}–{one.upper:g}",
            count(one.n),
            percent(one.expected),
            percent(one.observed),
            f"{percent(one.low)} to {percent(one.high)}",
        )
    labels = fitted.predictor.labels
    return Group(
        Text(f"{count(found.positives)} of {count(found.examples)} distinct examples recited by {labels}"),
        figures,
        Text(
            f"Corrected risks of examples not trained on: Brier score {fitted.brier:.5f},"
            f" {fitted.brier_of_chance:.5f} of one risk for all (prevalence {percent(found.prevalence)})"
        ),
        held,
    )


def format_statistic(figure: TrialStatistic) -> str:
    return f"{figure.mean:.4f} ± {figure.deviation:.4f}"


def _published(figure: float | None) -> str:
    return "–" if figure is None else f"{figure:.4f}"
