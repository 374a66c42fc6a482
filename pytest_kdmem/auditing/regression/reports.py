"""Compares two reports: every metric of each audit, and which of them speak against a release."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.auditing.regression.compare import metric_change, metric_changes
from pytest_kdmem.auditing.regression.further import further_metrics
from pytest_kdmem.auditing.regression.metrics import TrackedMetric, tracked_metrics
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_checks import MetricChange
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.roles import REFERENCES

# Metrics whose subject is a model. The subject of a share at risk is a training set, whatever its name is.
METRICS_OF_MODELS = ("memorization rate", "loss")
# Fail closed: neither what chance could explain, nor what cannot be compared or was not measured, passes.
REGRESSED = ("worse", "undecided", "refused", "unused")


@dataclass(frozen=True)
class AuditComparison:
    """The changes of one audit between two reports.

    Attributes:
        audit: Name of the audit in the later report.
        changes: One change for each metric of either report that can be accepted.
        further: One change for each further figure that both reports hold, such as those of groups and of classes of
            secrets.
    """

    audit: str
    changes: tuple[MetricChange, ...]
    further: tuple[MetricChange, ...] = ()

    @property
    def shown(self) -> tuple[MetricChange, ...]:
        """All changes but those of further figures that stayed the same."""
        return (*self.changes, *(change for change in self.further if change.outcome != "same"))

    @property
    def regressed(self) -> tuple[MetricChange, ...]:
        """Changes of what is released that are worse, or not shown to be no worse."""
        concerned = (*filter(concerns_release, self.changes), *self.further)
        return tuple(change for change in concerned if change.outcome in REGRESSED)


def concerns_release(metric: TrackedMetric | MetricChange) -> bool:
    """Whether a metric measures what is released; teacher and baseline are references that it is compared with."""
    return metric.metric not in METRICS_OF_MODELS or metric.subject not in REFERENCES


def compare_reports(old: Report, new: Report) -> tuple[AuditComparison, ...]:
    """Compare audits of the same name; the only audit of each report whatever their names.

    Raises:
        DataError: An audit of the old report is not in the new one, or has no metric of what is released.
    """
    comparisons = []
    for before, now in _audit_pairs(old, new):
        accepted = tracked_metrics(before)
        if not any(map(concerns_release, accepted)):
            raise DataError(
                f"Figures of what ships were expected in the first report's audit {now.name or 'of the root'}, and it"
                " has none."
            )
        changes = metric_changes(accepted, tracked_metrics(now))
        comparisons.append(AuditComparison(now.name, changes, _further_changes(before, now)))
    return tuple(comparisons)


def _further_changes(before: AuditResult, now: AuditResult) -> tuple[MetricChange, ...]:
    earlier = {metric.key: metric for metric in further_metrics(before)}
    return tuple(metric_change(earlier[metric.key], metric) for metric in further_metrics(now) if metric.key in earlier)


def _audit_pairs(old: Report, new: Report) -> list[tuple[AuditResult, AuditResult]]:
    if len(old.audits) == len(new.audits) == 1:
        return [(old.audits[0], new.audits[0])]
    by_name = {audit.name: audit for audit in new.audits}
    if missing := [audit.name or "the root" for audit in old.audits if audit.name not in by_name]:
        raise DataError(
            f"The same audits were expected in both reports, and {', '.join(missing)} is missing in the second;"
            " run all audits, or compare reports of one."
        )
    return [(audit, by_name[audit.name]) for audit in old.audits]
