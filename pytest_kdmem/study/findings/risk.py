"""Finding 6: teacher, baseline and text tell before distilling what a student will memorize."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pytest_kdmem.base.text import percent
from pytest_kdmem.risk.classifier import FEWEST_PER_CLASS
from pytest_kdmem.risk.cutoff import DEFAULT_RECALL
from pytest_kdmem.risk.features import Features, extract_features
from pytest_kdmem.risk.fitting import FittedPredictor, fit_predictor
from pytest_kdmem.risk.labels import Labels, labels_from_both_models, labels_from_rows
from pytest_kdmem.risk.reliability import Bin, reliability_bins
from pytest_kdmem.risk.trials import TrialStatistic, shuffled_roc_auc
from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.examples import described
from pytest_kdmem.study.findings.figures import Row, Share, row, share_row
from pytest_kdmem.study.record import ModelRun, Study

# Of the bins of a reliability curve in the table; all are in findings.json.
LOWEST_SHOWN = 0.1
METRIC_LABELS = {
    "roc_auc": "ROC-AUC",
    "precision": "precision",
    "recall": "recall",
    "pr_auc": "PR-AUC at the true prevalence",
}


@dataclass(frozen=True)
class StudentPrediction:
    """The protocol applied to one student; figures are mean and standard deviation over 100 trials, by name.

    Attributes:
        memorized: share of the examples that the student memorized.
        shuffled: ROC-AUC with as many other examples labelled, drawn again in each trial.
    """

    part: str
    family: str
    dataset: str
    seed: int
    temperature: float | None
    memorized: Share
    figures: dict[str, TrialStatistic]
    coefficients: dict[str, TrialStatistic]
    shuffled: TrialStatistic


@dataclass(frozen=True)
class Transfer:
    """A predictor learned from one student, or from teacher and baseline, applied to another student's data.

    Attributes:
        by: what differs: seed, temperature, family or dataset; ``none`` if labels come from teacher and baseline.
        recalled: of the examples that the other student memorized, the share at risk at a recall of 95 %.
        at_risk: share of that student's examples that are at risk.
        reliability: reliability of the risks; empty unless only the seed differs.
    """

    by: str
    learned_from: str
    applied_to: str
    roc_auc: float
    pr_auc: float
    recalled: Share = field(metadata={"json": "found"})
    at_risk: Share
    reliability: tuple[Bin, ...] = ()


@dataclass(frozen=True)
class Risk:
    """Results for all students with enough memorized and enough other examples to learn from."""

    predictions: tuple[StudentPrediction, ...]
    transfers: tuple[Transfer, ...]

    def __bool__(self) -> bool:
        return bool(self.predictions)


@dataclass(frozen=True, eq=False)
class _Case:
    """A student, and the features of its teacher and of the baseline of its seed."""

    run: ModelRun
    features: Features

    @cached_property
    def labels(self) -> Labels:
        return labels_from_rows(self.run.scores, self.features, described(self.run), described(self.run))

    @cached_property
    def fitted(self) -> FittedPredictor:
        return fit_predictor(self.features, self.labels)

    @property
    def name(self) -> str:
        run = self.run
        return f"{run.family}, {run.dataset}, T = {run.temperature:g}, seed {run.seed}"

    @property
    def place(self) -> tuple[str, str, float | None, int]:
        return self.run.family, self.run.dataset, self.run.temperature, self.run.seed


def risk(study: Study) -> Risk:
    """The protocol on each soft student on all of D, and how predictors transfer between them."""
    every = list(_cases(study))
    cases = [case for case in every if _tell_apart(case.labels)]
    first_seed = every[0].run.seed if every else 0
    return Risk(tuple(map(_prediction, cases)), tuple(_transfers(cases, first_seed)))


def _tell_apart(labels: Labels) -> bool:
    """Whether both classes have enough examples to learn from."""
    positives = int(labels.memorized.sum())
    return min(positives, len(labels.memorized) - positives) >= FEWEST_PER_CLASS


def _cases(study: Study) -> Iterator[_Case]:
    for part in ("main", "temperature", "families"):
        for run in study.select(part=part, role="soft"):
            of = "main" if part == "temperature" else part
            baselines = study.select(part=of, family=run.family, dataset=run.dataset, role="baseline", seed=run.seed)
            if baselines and baselines[0].pair is not None:
                yield _Case(run, extract_features(baselines[0].pair))


def _prediction(case: _Case) -> StudentPrediction:
    features, labels, assessment = case.features, case.labels, case.fitted.assessment
    return StudentPrediction(
        case.run.part,
        case.run.family,
        case.run.dataset,
        case.run.seed,
        case.run.temperature,
        Share(assessment.positives, assessment.examples),
        assessment.metrics,
        assessment.coefficients,
        shuffled_roc_auc(features.values, labels.memorized, labels.source),
    )


def _transfers(cases: Sequence[_Case], first_seed: int) -> Iterator[Transfer]:
    """Of the first seed each, but where the seed is what differs."""
    for case in (case for case in cases if case.run.seed == first_seed):
        both = labels_from_both_models(case.features)
        if _tell_apart(both):
            yield _transfer("none", fit_predictor(case.features, both), f"teacher and baseline ({case.name})", case)
    for first in cases:
        for second in cases:
            differing = [
                name
                for name, learned, applied in zip(
                    ("family", "dataset", "temperature", "seed"), first.place, second.place, strict=True
                )
                if learned != applied
            ]
            if len(differing) == 1 and ("seed" in differing or first.run.seed == first_seed):
                yield _transfer(differing[0], first.fitted, first.name, second)


def _transfer(by: str, fitted: FittedPredictor, learned_from: str, case: _Case) -> Transfer:
    from sklearn.metrics import average_precision_score, roc_auc_score

    predictor, memorized = fitted.predictor, case.labels.memorized
    log_odds = predictor.log_odds(case.features.values)
    at_risk = log_odds >= predictor.log_odds_for_recall(DEFAULT_RECALL)
    bins: tuple[Bin, ...] = ()
    if by == "seed":
        refits = np.concatenate(list(predictor.refit_risks(case.features.values)))
        bins = reliability_bins(predictor.risk(log_odds), refits.T, memorized)
    return Transfer(
        by,
        learned_from,
        case.name,
        float(roc_auc_score(memorized, log_odds)),
        float(average_precision_score(memorized, log_odds)),
        Share(int((at_risk & memorized).sum()), int(memorized.sum())),
        Share(int(at_risk.sum()), len(memorized)),
        bins,
    )


def rows(result: Risk) -> tuple[Row, ...]:
    lines: list[Row] = []
    places: dict[tuple[str, str, str, float | None], list[StudentPrediction]] = {}
    for each in result.predictions:
        places.setdefault((each.part, each.family, each.dataset, each.temperature), []).append(each)
    for (part, family, dataset, temperature), predictions in places.items():
        published = paper.PREDICTION.get((family, dataset), {}) if part != "temperature" else {}
        name = f"{family}, {dataset}" + (f", T = {temperature:g}" if part == "temperature" else "")
        lines.append(share_row(name, "memorized by the student", [prediction.memorized for prediction in predictions]))
        for key, label in METRIC_LABELS.items():
            means = [prediction.figures[key].mean for prediction in predictions]
            lines.append(row(name, label, "area", means, published.get(key)))
        shuffled = [prediction.shuffled.mean for prediction in predictions]
        lines.append(row(name, "ROC-AUC, labels shuffled", "area", shuffled))
    for transfer in result.transfers:
        name = f"{transfer.learned_from} → {transfer.applied_to}" if transfer.by != "none" else transfer.learned_from
        target = "to its student" if transfer.by == "none" else f"to another {transfer.by}"
        lines.append(row(name, f"ROC-AUC, {target}", "area", [transfer.roc_auc]))
        lines.append(share_row(name, f"found where {percent(DEFAULT_RECALL)} are to be, {target}", [transfer.recalled]))
        for risk_bin in (risk_bin for risk_bin in transfer.reliability if risk_bin.lower >= LOWEST_SHOWN):
            memorized = Share(round(risk_bin.observed * risk_bin.n), risk_bin.n)
            interval = f"{percent(risk_bin.low)} to {percent(risk_bin.high)} expected"
            risks = f"{risk_bin.lower:g}–{risk_bin.upper:g}"
            lines.append(share_row(name, f"memorized of risk {risks} ({interval})", [memorized]))
    return tuple(lines)
