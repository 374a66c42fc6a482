"""Finding 4: most of what a student memorizes is easy (T ∩ B ∩ S), and part of what is easy it still leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import most
from pytest_kdmem.study.findings.examples import Setting, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class Easy:
    """The easy examples of the soft students of one setting, by seed.

    Attributes:
        of_student: |T ∩ B ∩ S| of |S|.
        left_out: |T ∩ B \\ S|.
    """

    part: str
    family: str
    dataset: str
    seeds: tuple[int, ...]
    of_student: tuple[Share, ...]
    left_out: tuple[int, ...]


def easy(study: Study) -> tuple[Easy, ...]:
    """The easy set in each setting that has a teacher, a baseline and a soft student of one seed."""
    easy_sets = (_of(setting) for setting in settings(study, "main", "families"))
    return tuple(each for each in easy_sets if each.seeds)


def _of(setting: Setting) -> Easy:
    trios = setting.trios()
    return Easy(
        setting.part,
        setting.family,
        setting.dataset,
        tuple(trio.seed for trio in trios),
        tuple(Share(trio.sets.easy, trio.sets.easy_share.n) for trio in trios),
        tuple(trio.sets.cells["teacher+baseline"] for trio in trios),
    )


def rows(result: Sequence[Easy]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        key, name = (each.family, each.dataset), f"{each.family}, {each.dataset}"
        shares, claim = each.of_student, Claim("most", [most(share.k, share.n) for share in each.of_student])
        lines += [
            share_row(name, "T∩B∩S of S", shares, paper.EASY_SHARES.get(key), claim),
            row(name, "T∩B∩S", "examples", [share.k for share in shares], paper.EASY.get(key)),
            row(name, "S", "examples", [share.n for share in shares], paper.STUDENT_MEMORIZED.get(key)),
            row(name, "T∩B∖S", "examples", each.left_out, paper.LEFT_OUT.get(key)),
        ]
    return tuple(lines)
