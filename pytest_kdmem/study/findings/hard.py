"""Finding 10: soft against hard distillation: as much memorized, much of it shared, yet hard passes more on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import Vote, alike, fewer, most
from pytest_kdmem.study.findings.examples import Setting, Trio, same_examples, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class SoftHard:
    """Soft (S) and hard (H) student of one seed, beside their teacher and baseline.

    Attributes:
        shared: |H ∩ S| of |H|.
        hard_easy: |T ∩ B ∩ H| of |H|.
        soft_inherited: |T ∩ S \\ B| of |T \\ B|.
        hard_inherited: |T ∩ H \\ B| of |T \\ B|.
        inherited_quotient: hard / soft, None if the soft student inherited nothing.
        alike: whether the two differ in how many they memorize (exact McNemar): never a vote for.
        hard_inherits_more: by exact McNemar within T \\ B.
    """

    seed: int
    soft: Share
    hard: Share
    shared: Share
    hard_easy: Share
    soft_inherited: Share
    hard_inherited: Share
    inherited_quotient: float | None
    alike: Vote
    hard_inherits_more: Vote


@dataclass(frozen=True)
class SoftAgainstHard:
    family: str
    dataset: str
    seeds: tuple[SoftHard, ...]


def soft_against_hard(study: Study) -> tuple[SoftAgainstHard, ...]:
    """Each setting of the main part that has both students of one seed, with teacher and baseline."""
    students = (
        SoftAgainstHard(setting.family, setting.dataset, _seeds(setting)) for setting in settings(study, "main")
    )
    return tuple(each for each in students if each.seeds)


def _seeds(setting: Setting) -> tuple[SoftHard, ...]:
    soft, hard = ({trio.seed: trio for trio in setting.trios(role)} for role in ("soft", "hard"))
    return tuple(_compared(soft[seed], hard[seed]) for seed in soft if seed in hard)


def _compared(soft: Trio, hard: Trio) -> SoftHard:
    same_examples(soft.student, hard.student)
    teacher, baseline, s = soft.flags
    h = hard.student.memorized
    teacher_only = teacher & ~baseline
    soft_inherited, hard_inherited = soft.sets.inherited, hard.sets.inherited
    return SoftHard(
        soft.seed,
        Share(int(s.sum()), len(s)),
        Share(int(h.sum()), len(h)),
        Share(int((h & s).sum()), int(h.sum())),
        Share(hard.sets.easy, int(h.sum())),
        Share(soft_inherited, int(teacher_only.sum())),
        Share(hard_inherited, int(teacher_only.sum())),
        hard_inherited / soft_inherited if soft_inherited else None,
        alike(h, s),
        fewer(s & teacher_only, h & teacher_only),
    )


def rows(result: Sequence[SoftAgainstHard]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        key, name, seeds = (each.family, each.dataset), f"{each.family}, {each.dataset}", each.seeds
        rates = paper.RATES.get(key, {})
        like_soft = Claim("like soft", [seed.alike for seed in seeds])
        more_than_soft = Claim("more than soft", [seed.hard_inherits_more for seed in seeds])
        shared, easy = [seed.shared for seed in seeds], [seed.hard_easy for seed in seeds]
        soft_has, hard_has = [seed.soft_inherited for seed in seeds], [seed.hard_inherited for seed in seeds]
        quotients = [seed.inherited_quotient for seed in seeds]
        most_shared, most_easy = (
            Claim("most", [most(share.k, share.n) for share in shares]) for shares in (shared, easy)
        )
        lines += [
            share_row(name, "memorized, soft", [seed.soft for seed in seeds], rates.get("soft")),
            share_row(name, "memorized, hard", [seed.hard for seed in seeds], rates.get("hard"), like_soft),
            share_row(name, "H∩S of H", shared, paper.HARD_SHARED.get(key), most_shared),
            share_row(name, "T∩B∩H of H", easy, paper.HARD_EASY.get(key), most_easy),
            share_row(name, "T∩S∖B of T∖B", soft_has, paper.INHERITED_RATIOS.get(key)),
            share_row(name, "T∩H∖B of T∖B", hard_has, None, more_than_soft),
            row(name, "T∩S∖B", "examples", [share.k for share in soft_has], paper.INHERITED.get(key)),
            row(name, "T∩H∖B", "examples", [share.k for share in hard_has], paper.HARD_INHERITED.get(key)),
            row(name, "inherited, hard / soft", "times", quotients, paper.HARD_OVER_SOFT_INHERITED.get(key)),
        ]
    return tuple(lines)
