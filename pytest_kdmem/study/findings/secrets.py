"""Of which classes the secrets are that are recited, and how many of D's there are."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.study.findings.asked import RoleRate, asked, rate_rows, role_rates
from pytest_kdmem.study.findings.figures import Row
from pytest_kdmem.study.record import Study


def secrets(study: Study) -> tuple[RoleRate, ...]:
    """Of the examples that hold a secret of a class in their suffix, the share that is recited."""
    rates: list[RoleRate] = []
    for setting in asked(study):
        for name in setting.any.secrets:
            rates += role_rates(
                setting,
                f"recited, of those with {name}",
                lambda answers, name=name: answers.memorized & answers.secrets[name],  # type: ignore[misc]
                lambda answers, name=name: answers.secrets[name],  # type: ignore[misc]
            )
    return tuple(rates)


def rows(result: Sequence[RoleRate]) -> tuple[Row, ...]:
    return rate_rows(result)
