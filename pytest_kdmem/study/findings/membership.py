"""How well attacks tell D from text of the same kind that no model was trained on.

Zhang et al. (2025, arXiv 2508.07054) find that methods of distillation which are worse in one of memorization and
membership are not always worse in the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.metrics.attacks import ATTACK_NAMES, ATTACKS, Attack
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.paired_roc import PairedAttack, shows_lower_auc, shows_lower_tpr
from pytest_kdmem.study.answers import Answers
from pytest_kdmem.study.findings.asked import LESS, STUDENTS, Asked, asked
from pytest_kdmem.study.findings.direction import LEVEL, Vote
from pytest_kdmem.study.findings.figures import Claim, Row, row
from pytest_kdmem.study.record import Role, Study

FPR = 0.01


@dataclass(frozen=True)
class Attacked:
    """What one attack tells of the models of one role, by seed.

    Attributes:
        auc: area under the curve.
        tpr: share of members found at a false positive rate of `FPR`; None with too few controls.
        auc_votes, tpr_votes: of students, whether it is less than of the baseline, by a paired test.
    """

    role: str
    attack: str
    auc: tuple[float, ...]
    tpr: tuple[float | None, ...]
    auc_votes: tuple[Vote, ...]
    tpr_votes: tuple[Vote, ...]


@dataclass(frozen=True)
class MembershipOf:
    """Membership in one family and data set.

    Attributes:
        members, controls: distinct examples; 0 where it was refused.
        refusals: why no figure is given, a reason for each that differs.
    """

    setting: str
    members: int
    controls: int
    attacked: tuple[Attacked, ...]
    refusals: tuple[str, ...]


def membership(study: Study) -> tuple[MembershipOf, ...]:
    return tuple(_of(setting) for setting in asked(study))


def _of(setting: Asked) -> MembershipOf:
    every = [answers for by_seed in setting.answers.values() for answers in by_seed.values()]
    measured = [answers.membership for answers in every if answers.membership is not None]
    refusals = tuple(dict.fromkeys(answers.refusal for answers in every if answers.refusal))
    attacked = [
        _attacked(setting, role, attack)
        for attack in ATTACKS
        for role, by_seed in setting.answers.items()
        if all(answers.membership is not None and attack in answers.membership.attacks for answers in by_seed.values())
    ]
    sizes = (measured[0].members, measured[0].controls) if measured else (0, 0)
    return MembershipOf(setting.name, *sizes, tuple(attacked), refusals)


def _attacked(setting: Asked, role: Role, attack: Attack) -> Attacked:
    models = [_by(answers, attack) for answers in setting.answers[role].values()]
    pairs = [
        PairedAttack(_by(first, attack).attacks[attack], _by(second, attack).attacks[attack])
        for first, second in (setting.pairs(role) if role in STUDENTS else [])
        if second.membership is not None
    ]
    enough = all(model.controls * FPR >= 1 - 1e-9 for model in models)
    return Attacked(
        role,
        ATTACK_NAMES[attack],
        tuple(model.auc.value for model in models),
        tuple(model.tpr(FPR).value if enough else None for model in models),
        tuple(_vote(_shows_auc(pair), _shows_auc(PairedAttack(pair.second, pair.first))) for pair in pairs),
        tuple(_vote(_shows_tpr(pair), _shows_tpr(PairedAttack(pair.second, pair.first))) for pair in pairs)
        if enough
        else (),
    )


def _by(answers: Answers, attack: Attack) -> Membership:
    assert answers.membership is not None
    return answers.membership.by_attack[attack]


def _shows_auc(pair: PairedAttack) -> bool:
    return not pair.is_of_one_model and shows_lower_auc(pair, 1 - LEVEL)


def _shows_tpr(pair: PairedAttack) -> bool:
    return not pair.is_of_one_model and shows_lower_tpr(pair, FPR, 1 - LEVEL, strictly=True)


def _vote(lower: bool, higher: bool) -> Vote:
    if lower == higher:
        return 0
    return 1 if lower else -1


def rows(result: Sequence[MembershipOf]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        counts = [each.members], [each.controls]
        lines += [
            row(each.setting, name, "examples", n) for name, n in zip(("members", "controls"), counts, strict=True)
        ]
        lines += [row(each.setting, f"refused: {reason}", "examples", [each.controls]) for reason in each.refusals]
        for attacked in each.attacked:
            area, rate = (Claim(LESS, votes) if votes else None for votes in (attacked.auc_votes, attacked.tpr_votes))
            by = f"by {attacked.attack}, {attacked.role}"
            lines.append(row(each.setting, f"AUC {by}", "area", attacked.auc, None, area))
            lines.append(row(each.setting, f"TPR at {FPR:.0%} FPR {by}", "percent", attacked.tpr, None, rate))
    return tuple(lines)
