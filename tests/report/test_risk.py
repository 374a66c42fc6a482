"""Lines on predicted risk, and the tables of a fitted predictor beside published figures."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import beta

from pytest_kdmem.report.risk import METRIC_LABELS, format_statistic, predictor_report, risk_lines
from pytest_kdmem.risk.fitting import FittedPredictor
from pytest_kdmem.risk.predictor_file import read_predictor
from pytest_kdmem.risk.trials import TRIAL_METRICS, Assessment, TrialStatistic
from tests.report.audits import risk_entry

RECORDS = Path(__file__).parents[1] / "records"


def test_risk_lines_show_the_share_its_duplicates_and_the_predictor() -> None:
    lines = risk_lines(replace(risk_entry(), examples=(70, 4, 9), near_duplicates=1))
    # The lower Clopper–Pearson bound of 106 of 112, which is 95 % to the next example.
    bound = 100 * beta.ppf(0.05, 106, 112 - 106 + 1)
    assert lines == (
        "predicted risk: 7.97% (236 of 2 960) at 0.045 or more; 115 memorized expected (98 to 140)",
        "at risk: 1 with exact duplicates, 1 with near-duplicates only, 1 with neither",
        "predictor ffa51129: from 112 of 2 960 that teacher recite; ROC-AUC 0.9000, PR-AUC 0.9000, finds 95.00% (≥"
        f" {bound:.2f}%)",
    )


def test_over_a_sample_there_is_no_line_on_duplicates() -> None:
    assert len(risk_lines(replace(risk_entry(), exact_duplicates=None, near_duplicates=None))) == 2


@pytest.mark.parametrize("changed", [{"recall": float("nan")}, {"positives": 0}])
def test_an_unknown_recall_has_no_bound(changed: dict[str, float]) -> None:
    assert risk_lines(replace(risk_entry(), **changed))[-1].endswith("(≥ undefined)")


def test_every_metric_of_the_trials_has_a_label() -> None:
    assert set(METRIC_LABELS) == set(TRIAL_METRICS)


def test_a_statistic_is_mean_and_deviation() -> None:
    assert format_statistic(TrialStatistic(0.99966, 0.0005)) == "0.9997 ± 0.0005"


def test_a_predictor_stands_beside_published_figures() -> None:
    statistics = [TrialStatistic(mean, 0.0005) for mean in (0.9996, 0.99, 0.98, 0.97, 0.5, 0.6)]
    roc_auc, precision, recall, pr_auc, true_precision, true_recall = statistics
    assessment = Assessment(
        300, 40, roc_auc, precision, recall, {"kl": TrialStatistic(-1.05, 0.1)},
        pr_auc, true_precision, true_recall, np.zeros(300),
    )  # fmt: skip
    predictor = read_predictor(RECORDS / "predictor.json")
    fitted = FittedPredictor(predictor, assessment, 0.0123)
    sink = io.StringIO()
    report = predictor_report(fitted, {"roc_auc": 0.9997, "kl": -1.0579}, published_name="study")
    Console(file=sink, width=120, color_system=None).print(report)
    lines = [line.rstrip() for line in sink.getvalue().splitlines()]
    assert lines[0] == f"40 of 300 distinct examples recited by {predictor.labels}"
    rows = [" ".join(line.split()) for line in lines]
    assert "ROC-AUC 0.9996 ± 0.0005 0.9997" in rows
    assert "recall at even corrected odds 0.6000 ± 0.0005 –" in rows
    assert "weight of kl -1.0500 ± 0.1000 -1.0579" in rows
    assert any("Brier score 0.01230, 0.11556 of one risk for all (prevalence 13.33%)" in row for row in rows)
    assert sum(" to " in row for row in rows) == len(predictor.reliability) > 0
