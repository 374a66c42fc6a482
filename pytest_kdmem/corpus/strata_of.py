"""A training set of which only those examples are read that its strata need beyond its random sample."""

from __future__ import annotations

from dataclasses import dataclass, fields

from pytest_kdmem.base.text import count
from pytest_kdmem.specs.declared import TrainingSet

# 0 of 300 bounds a rate by 1 % at a confidence of 95 %.
STRATUM_SAMPLE = 300


@dataclass(frozen=True)
class StrataOf(TrainingSet):
    """What a stratified sample holds beyond the plain random sample of the same size and seed."""

    @property
    def least(self) -> int:
        """Number of distinct examples to draw of each stratum at least."""
        return self.stratum_sample or STRATUM_SAMPLE

    @property
    def rule(self) -> list[object]:
        """All that decides which examples these are, beside the sample."""
        return [self.stratify, self.least, self.group_column if self.stratify == "group" else None]


def stratified_phrase(training_set: TrainingSet) -> str:
    """How a sample is stratified, in a few words."""
    return f"by {training_set.stratify}, at least {count(strata_of(training_set).least)} of each"


def strata_of(training_set: TrainingSet) -> StrataOf:
    """Return what is read of a stratified training set beyond its random sample."""
    return StrataOf(**{field.name: getattr(training_set, field.name) for field in fields(TrainingSet)})
