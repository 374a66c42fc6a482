"""What sampling finds, beside greedy decoding.

Hayes et al. (2025, arXiv 2410.19482) find more examples within some samples than by greedy decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.study.findings.asked import RoleRate, asked, rate_rows, role_rates
from pytest_kdmem.study.findings.figures import Row
from pytest_kdmem.study.questions import DRAWS
from pytest_kdmem.study.record import Study


def sampling(study: Study) -> tuple[RoleRate, ...]:
    """The rate of what is extractable under each sampler, in each family and data set."""
    rates: list[RoleRate] = []
    for setting in asked(study):
        for sampler in setting.any.extractable:
            rates += role_rates(
                setting,
                f"{DRAWS}-extractable {sampler}",
                lambda answers, sampler=sampler: answers.extractable[sampler],  # type: ignore[misc]
                floor_of=lambda answers: answers.memorized,
            )
    return tuple(rates)


def rows(result: Sequence[RoleRate]) -> tuple[Row, ...]:
    return rate_rows(result)
