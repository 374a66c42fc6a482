"""Rates and inheritance by the number of copies of an example in D, in tiers.

Memorization grows with the number of copies (Lee et al. 2022; Kandpal et al. 2022; Carlini et al. 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.metrics.by_copies import copy_tiers
from pytest_kdmem.study.answers import Answers
from pytest_kdmem.study.findings.asked import STUDENTS, Asked, RoleRate, asked, rate_rows
from pytest_kdmem.study.findings.direction import Vote, decided, rank_sum
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Role, Study


@dataclass(frozen=True)
class MeanCopies:
    """Copies of what the models of one role recite, by seed: their mean, and whether they are more than the others'."""

    setting: str
    role: str
    means: tuple[float | None, ...]
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class ByCopies:
    """Rates and inheritance by tier, of one family and data set."""

    rates: tuple[RoleRate, ...]
    inherited: tuple[RoleRate, ...]
    copies: tuple[MeanCopies, ...]


def by_copies(study: Study) -> tuple[ByCopies, ...]:
    """The settings in which some example stands more than once."""
    return tuple(_of(setting) for setting in asked(study) if setting.any.copies.max(initial=0) > 1)


def _of(setting: Asked) -> ByCopies:
    rates, inherited = [], []
    for tier, members in copy_tiers(setting.any.copies).items():
        for role, by_seed in setting.answers.items():
            shares = [Share(int(each.memorized[members].sum()), int(members.sum())) for each in by_seed.values()]
            rates.append(RoleRate(setting.name, f"recited, {tier} ×", role, tuple(by_seed), tuple(shares)))
        for role in STUDENTS:
            if passed_on := _inherited(setting, role, members):
                seeds = tuple(seed for seed in setting.answers[role] if seed in setting.answers["baseline"])
                inherited.append(RoleRate(setting.name, f"T∩S∖B of T∖B, {tier} ×", role, seeds, tuple(passed_on)))
    copies = tuple(_copies(setting, role, list(by_seed.values())) for role, by_seed in setting.answers.items())
    return ByCopies(tuple(rates), tuple(inherited), copies)


def _inherited(setting: Asked, role: Role, members: np.ndarray) -> list[Share]:
    teachers = list(setting.answers.get("teacher", {}).values())
    shares = []
    for student, baseline in setting.pairs(role) if teachers else ():
        teacher_only = teachers[0].memorized & ~baseline.memorized & members
        shares.append(Share(int((student.memorized & teacher_only).sum()), int(teacher_only.sum())))
    return shares


def _copies(setting: Asked, role: Role, models: Sequence[Answers]) -> MeanCopies:
    means, votes = [], list[Vote]()
    for model in models:
        recited, others = model.copies[model.memorized], model.copies[~model.memorized]
        test = rank_sum(recited.astype(float), others.astype(float))
        means.append(float(recited.mean()) if len(recited) else None)
        votes.append(0 if test is None else decided(test[1], right=test[0] > len(recited) * len(others) / 2))
    return MeanCopies(setting.name, role, tuple(means), tuple(votes))


def rows(result: Sequence[ByCopies]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        lines += rate_rows(each.rates)
        for copies in each.copies:
            claim = Claim("more than of what is not recited", copies.votes)
            figure = f"mean copies of what is recited, {copies.role}"
            lines.append(row(copies.setting, figure, "copies", copies.means, None, claim))
        lines += [share_row(rate.setting, f"{rate.figure}, {rate.role}", rate.shares) for rate in each.inherited]
    return tuple(lines)
