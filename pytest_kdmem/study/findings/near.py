"""What is recited nearly: within a tenth of edits, or with twenty tokens in a row.

A published audit found 7.6 % exactly and 12.6 % approximately of the same sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study.findings.asked import Asked, RoleRate, asked, rate_rows, role_rates
from pytest_kdmem.study.findings.figures import Row, row
from pytest_kdmem.study.record import Study

PUBLISHED_QUOTIENT = 12.6 / 7.6


@dataclass(frozen=True)
class Quotients:
    """What is recited nearly / what is recited exactly by the models of one role, by seed; None if that is nothing."""

    setting: str
    figure: str
    role: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Near:
    """Near-verbatim rates of one family and data set."""

    exact: tuple[RoleRate, ...]
    rates: tuple[RoleRate, ...]
    quotients: tuple[Quotients, ...]


def near(study: Study) -> tuple[Near, ...]:
    return tuple(_of(setting) for setting in asked(study))


def _of(setting: Asked) -> Near:
    exact = role_rates(setting, "recited exactly", lambda answers: answers.memorized)
    rates: list[RoleRate] = []
    quotients: list[Quotients] = []
    for name in setting.any.near:
        near_rates = role_rates(
            setting,
            f"recited {name}",
            lambda answers, name=name: answers.near[name],  # type: ignore[misc]
            floor_of=lambda answers: answers.memorized,
        )
        rates += near_rates
        quotients += [_quotients(*pair) for pair in zip(near_rates, exact, strict=True)]
    return Near(tuple(exact), tuple(rates), tuple(quotients))


def _quotients(near_rate: RoleRate, exact: RoleRate) -> Quotients:
    values = [
        numerator.k / denominator.k if denominator.k else None
        for numerator, denominator in zip(near_rate.shares, exact.shares, strict=True)
    ]
    return Quotients(near_rate.setting, near_rate.figure, near_rate.role, tuple(values))


def rows(result: Sequence[Near]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        lines += rate_rows((*each.exact, *each.rates))
        for quotients in each.quotients:
            published = PUBLISHED_QUOTIENT if "edits" in quotients.figure else None
            figure = f"{quotients.figure} / exactly, {quotients.role}"
            lines.append(row(quotients.setting, figure, "times", quotients.values, published))
    return tuple(lines)
