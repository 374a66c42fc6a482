"""Finding 3: how much of what the teacher alone memorized the student has: T ∩ S \\ B of T \\ B."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import few
from pytest_kdmem.study.findings.examples import Setting, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class Inherited:
    """What the soft students of one setting inherited, by seed.

    Attributes:
        of_teacher_only: |T ∩ S \\ B| of |T \\ B|.
        cells: distinct examples by who memorized them.
    """

    part: str
    family: str
    dataset: str
    seeds: tuple[int, ...]
    of_teacher_only: tuple[Share, ...]
    cells: tuple[dict[str, int], ...]


def inherited(study: Study) -> tuple[Inherited, ...]:
    """Inheritance in each setting that has a teacher, a baseline and a soft student of one seed."""
    inherited_sets = (_of(setting) for setting in settings(study, "main", "families"))
    return tuple(each for each in inherited_sets if each.seeds)


def _of(setting: Setting) -> Inherited:
    trios = setting.trios()
    return Inherited(
        setting.part,
        setting.family,
        setting.dataset,
        tuple(trio.seed for trio in trios),
        tuple(Share(trio.sets.ratio.k or 0, trio.sets.ratio.n) for trio in trios),
        tuple(trio.sets.cells for trio in trios),
    )


def rows(result: Sequence[Inherited]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        key, name = (each.family, each.dataset), f"{each.family}, {each.dataset}"
        shares, claim = each.of_teacher_only, Claim("few", [few(share.k, share.n) for share in each.of_teacher_only])
        lines += [
            share_row(name, "T∩S∖B of T∖B", shares, paper.INHERITED_RATIOS.get(key), claim),
            row(name, "T∩S∖B", "examples", [share.k for share in shares], paper.INHERITED.get(key)),
            row(name, "T∖B", "examples", [share.n for share in shares], paper.TEACHER_ONLY.get(key)),
        ]
    return tuple(lines)
