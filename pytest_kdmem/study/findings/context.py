"""How much context it takes: rates by the length of the prefix, and the longest recited run.

Carlini et al. (2023, arXiv 2202.07646) find that models recite more of what they are given a longer prefix of. Theirs
are prefixes of other lengths that end at one place; here each length asks for another suffix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_kdmem.study.findings.asked import STUDENTS, Asked, RoleRate, asked, rate_rows, role_rates
from pytest_kdmem.study.findings.direction import Vote, fewer
from pytest_kdmem.study.findings.figures import Row, row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class LongestRuns:
    """The longest recited run of the models of one role, in tokens, by seed."""

    setting: str
    role: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Context:
    """Rates by prefix length, and longest runs, of one family and data set."""

    rates: tuple[RoleRate, ...]
    runs: tuple[LongestRuns, ...]


def context(study: Study) -> tuple[Context, ...]:
    return tuple(_of(setting) for setting in asked(study))


def _of(setting: Asked) -> Context:
    lengths = list(setting.any.at_prefix)
    rates: list[RoleRate] = []
    for length in lengths:
        at_length = role_rates(
            setting,
            f"recited from {length} tokens",
            lambda answers, length=length: answers.at_prefix[length].recited,  # type: ignore[misc]
            lambda answers, length=length: answers.at_prefix[length].measured,  # type: ignore[misc]
        )
        if length == lengths[-1] and len(lengths) > 1:
            at_length = [_rising(rate, setting, lengths[0], length) for rate in at_length]
        rates += at_length
    runs = tuple(
        LongestRuns(setting.name, role, tuple(int(each.longest_runs.max(initial=0)) for each in by_seed.values()))
        for role, by_seed in setting.answers.items()
    )
    return Context(tuple(rates), runs)


def _rising(rate: RoleRate, setting: Asked, shortest: int, longest: int) -> RoleRate:
    """The rate at the longest prefix with the published claim; of a student the claim against the baseline stays."""
    if rate.role in STUDENTS:
        return rate
    votes: list[Vote] = []
    for answers in setting.answers[rate.role].values():  # type: ignore[index]
        first, last = answers.at_prefix[shortest], answers.at_prefix[longest]
        measured = first.measured & last.measured
        votes.append(fewer(first.recited & measured, last.recited & measured))
    return replace(rate, claim=f"more than from {shortest} tokens", votes=tuple(votes))


def rows(result: Sequence[Context]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        lines += rate_rows(each.rates)
        lines += [row(runs.setting, f"longest run, {runs.role}", "tokens", runs.tokens) for runs in each.runs]
    return tuple(lines)
