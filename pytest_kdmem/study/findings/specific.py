"""How much of what is recited comes after prefixes of other examples as well.

Tiwari et al. (2026, arXiv 2602.18733) find that 55 to 90 % of the sequences that earlier studies call memorized are
likely whatever stands before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study.findings.asked import Asked, RoleRate, asked, rate_rows, role_rates
from pytest_kdmem.study.findings.direction import most
from pytest_kdmem.study.findings.figures import Row, Share
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class SpecificOf:
    """Rates of what is specific, and the share of what is recited that is common, of one family and data set."""

    rates: tuple[RoleRate, ...]
    common: tuple[RoleRate, ...]


def specific(study: Study) -> tuple[SpecificOf, ...]:
    return tuple(_of(setting) for setting in asked(study))


def _of(setting: Asked) -> SpecificOf:
    rates = role_rates(setting, "specific", lambda answers: answers.specific)
    common = []
    for role, by_seed in setting.answers.items():
        shares = [
            Share(int((answers.memorized & ~answers.specific).sum()), int(answers.memorized.sum()))
            for answers in by_seed.values()
        ]
        votes = tuple(most(share.k, share.n) for share in shares)
        common.append(RoleRate(setting.name, "common of recited", role, tuple(by_seed), tuple(shares), "most", votes))
    return SpecificOf(tuple(rates), tuple(common))


def rows(result: Sequence[SpecificOf]) -> tuple[Row, ...]:
    return rate_rows([rate for each in result for rate in (*each.rates, *each.common)])
