"""Two reports → what became of every figure, and which of them stand against a release."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.audit.regression.compare import drifts
from pytest_kdmem.audit.regression.metrics import TrackedMetric, tracked_metrics
from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.schema import MetricChange
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.roles import REFERENCES

# A share at risk is of a training set, whatever that is called.
OF_MODELS = ("memorization rate", "loss")
# Fail closed: what chance could do, what cannot be compared, and what is no longer measured are no pass.
AGAINST = ("worse", "undecided", "refused", "unused")


@dataclass(frozen=True)
class Comparison:
    """One audit in both reports."""

    audit: str
    drift: tuple[MetricChange, ...]

    @property
    def regressed(self) -> tuple[MetricChange, ...]:
        """Figures of what ships that are worse, or not known to be no worse."""
        return tuple(entry for entry in self.drift if entry.outcome in AGAINST and ships(entry))


def ships(figure: TrackedMetric | MetricChange) -> bool:
    """Whether a figure is of what ships; what teacher and baseline do is there to compare with."""
    return figure.metric not in OF_MODELS or figure.subject not in REFERENCES


def compared(old: Report, new: Report) -> tuple[Comparison, ...]:
    """Audit by audit, by name; an audit of the one is held against that of the other if each is alone.

    Raises:
        DataError: an audit of the old is not in the new, or nothing was measured in it.
    """
    before, now = ({audit.name: audit for audit in report.audits} for report in (old, new))
    if len(before) == len(now) == 1:
        (one,), ((name, other),) = before.values(), now.items()
        pairs = [(name, one, other)]
    else:
        if missing := [name or "the root" for name in before if name not in now]:
            raise DataError(
                f"The same audits were expected in both reports, and {', '.join(missing)} is missing in the second;"
                " run all audits, or compare reports of one."
            )
        pairs = [(name, audit, now[name]) for name, audit in before.items()]
    found = []
    for name, one, other in pairs:
        accepted = tracked_metrics(one)
        if not any(map(ships, accepted)):
            raise DataError(
                f"Figures of what ships were expected in the first report's audit {name or 'of the root'}, and it has"
                " none."
            )
        found.append(Comparison(name, drifts(accepted, tracked_metrics(other))))
    return tuple(found)
