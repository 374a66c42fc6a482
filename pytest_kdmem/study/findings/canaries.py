"""What models show of canaries in the text that they were trained on, by the number of copies.

Carlini et al. (The Secret Sharer, 2019, section 4) find that exposure grows with the number of copies. Of distilled
students no published figure is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_kdmem.base.arrays import Values
from pytest_kdmem.canaries.exposure import exposures
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.metrics.roc_bounds import AttackScores, hits_at
from pytest_kdmem.study.findings.asked import LESS, STUDENTS
from pytest_kdmem.study.findings.direction import Vote, decided, greater, rank_sum
from pytest_kdmem.study.findings.examples import settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Role, Study

FPR = 0.01
ROLES: tuple[Role, ...] = ("teacher", "baseline", "soft", "hard")


@dataclass(frozen=True)
class Tier:
    """The canaries with one number of copies, in the models of one role, by seed.

    Attributes:
        exposure: mean exposure, in bits.
        found: canaries that are likelier than all but a share `FPR` of the twins.
        recited: canaries whose suffix is recited.
        claim: a direction of the exposure, in words; empty if there is none.
        votes: the vote of each seed on it.
    """

    setting: str
    role: Role
    copies: int
    seeds: tuple[int, ...]
    exposure: tuple[float, ...]
    found: tuple[Share, ...]
    recited: tuple[Share, ...]
    claim: str
    votes: tuple[Vote, ...]


def canaries(study: Study) -> tuple[Tier, ...]:
    """Every number of copies, of every role, in each setting with canaries."""
    tiers: list[Tier] = []
    for setting in settings(study, "canaries"):
        place = {"part": "canaries", "family": setting.family, "dataset": setting.dataset}
        by_role = {
            role: {run.seed: run.canaries for run in study.select(role=role, **place) if run.canaries is not None}
            for role in ROLES
        }
        numbers = {copies for by_seed in by_role.values() for measured in by_seed.values() for copies in measured.tiers}
        name = f"{setting.family}, {setting.dataset}"
        tiers += [
            _tier(name, role, copies, min(numbers), by_role)
            for copies in sorted(numbers)
            for role in ROLES
            if by_role[role]
        ]
    return tuple(tiers)


def _tier(
    setting: str, role: Role, copies: int, fewest: int, by_role: Mapping[Role, Mapping[int, MeasuredCanaries]]
) -> Tier:
    by_seed = by_role[role]
    models = list(by_seed.values())
    claim, votes = "", list[Vote]()
    if role in STUDENTS:
        claim, baselines = LESS, by_role["baseline"]
        votes = [
            greater(_exposures(baselines[seed], copies), _exposures(measured, copies))
            for seed, measured in by_seed.items()
            if seed in baselines
        ]
    elif copies > fewest:
        claim = f"more than of {fewest} {'copy' if fewest == 1 else 'copies'}"
        votes = [_exceeds(_exposures(measured, copies), _exposures(measured, fewest)) for measured in models]
    return Tier(
        setting,
        role,
        copies,
        tuple(by_seed),
        tuple(measured.exposure(copies).value for measured in models),
        tuple(_found(measured, copies) for measured in models),
        tuple(_recited(measured, copies) for measured in models),
        claim,
        tuple(votes),
    )


def _exposures(measured: MeasuredCanaries, copies: int) -> Values:
    """Exposure of each canary ``[c]`` with so many copies, in bits."""
    return exposures(measured.logprobs[measured.copies == copies], measured.logprobs[measured.copies == 0])


def _exceeds(first: Values, second: Values) -> Vote:
    test = rank_sum(first, second)
    if test is None:
        return 0
    statistic, p_value = test
    return decided(p_value, right=statistic > len(first) * len(second) / 2)


def _found(measured: MeasuredCanaries, copies: int) -> Share:
    chosen = measured.copies == copies
    scores = AttackScores(measured.logprobs[chosen], measured.logprobs[measured.copies == 0], False)
    return Share(hits_at(scores, FPR), int(chosen.sum()))


def _recited(measured: MeasuredCanaries, copies: int) -> Share:
    chosen = measured.copies == copies
    return Share(int(measured.memorized[chosen].sum()), int(chosen.sum()))


def rows(result: Sequence[Tier]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for tier in result:
        of = f"of {tier.copies} {'copy' if tier.copies == 1 else 'copies'}, {tier.role}"
        claim = Claim(tier.claim, tier.votes) if tier.claim else None
        lines += [
            row(tier.setting, f"exposure {of}", "bits", tier.exposure, None, claim),
            share_row(tier.setting, f"found at {FPR:.0%} FPR, {of}", tier.found),
            share_row(tier.setting, f"recited {of}", tier.recited),
        ]
    return tuple(lines)
