"""How memorization rises with the number of copies of an example in D, by role."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.study.findings.examples import Setting, settings
from pytest_kdmem.study.findings.figures import Row, Share, share_row
from pytest_kdmem.study.findings.rates import ROLES
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class Bucket:
    """Distinct examples with this many copies in D, and how many of them each seed's model memorized."""

    role: str
    copies: int
    memorized: tuple[Share, ...]


@dataclass(frozen=True)
class Repetition:
    part: str
    family: str
    dataset: str
    buckets: tuple[Bucket, ...]


def repetition(study: Study) -> tuple[Repetition, ...]:
    """Memorized by repetition, in every setting where some example stands more than once."""
    repetitions = (
        Repetition(setting.part, setting.family, setting.dataset, _buckets(setting))
        for setting in settings(study, "main", "families")
    )
    return tuple(each for each in repetitions if any(bucket.copies > 1 for bucket in each.buckets))


def _buckets(setting: Setting) -> tuple[Bucket, ...]:
    buckets = []
    for role in ROLES:
        models = list(setting.of(role).values())
        for copies in sorted({int(each) for model in models for each in np.unique(model.copies)}):
            at = [(model, model.copies == copies) for model in models]
            shares = tuple(Share(int(model.memorized[where].sum()), int(where.sum())) for model, where in at)
            buckets.append(Bucket(role, copies, shares))
    return tuple(buckets)


def rows(result: Sequence[Repetition]) -> tuple[Row, ...]:
    return tuple(
        share_row(f"{each.family}, {each.dataset}", f"memorized, {bucket.role}, {bucket.copies} ×", bucket.memorized)
        for each in result
        for bucket in each.buckets
    )
