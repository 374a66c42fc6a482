"""Finding 4, further: whether other seeds and other sizes memorize the same examples."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.study import published as paper
from pytest_kdmem.study.findings.direction import FEWEST_SEEDS, most
from pytest_kdmem.study.findings.examples import Examples, Setting, examples_of, same_examples, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class OverSeeds:
    """Sets of the seeds that have both a baseline and a soft student; needs two seeds or more.

    Attributes:
        baseline_always: memorized by the baseline of every seed.
        student_always: of these, by the student of every seed, too.
        student_never: of these, by the student of none.
        baseline_pairs: |A ∩ B| of |A ∪ B| for each pair of baselines.
        student_pairs: the same of each pair of students.
    """

    part: str
    family: str
    dataset: str
    seeds: tuple[int, ...]
    baseline_always: int
    student_always: int
    student_never: int
    baseline_pairs: tuple[Share, ...]
    student_pairs: tuple[Share, ...]


@dataclass(frozen=True)
class OverSizes:
    """How much of what a smaller model memorized a larger one has, at one seed.

    Attributes:
        smaller_by_larger: of the smaller baseline's set, what the larger baseline has.
        baseline_by_teacher: of the main baseline's set, what the teacher has; None without a teacher.
    """

    family: str
    dataset: str
    seed: int
    smaller: str
    larger: str
    smaller_by_larger: Share
    baseline_by_teacher: Share | None


@dataclass(frozen=True)
class Stability:
    over_seeds: tuple[OverSeeds, ...]
    over_sizes: tuple[OverSizes, ...]

    def __bool__(self) -> bool:
        return bool(self.over_seeds or self.over_sizes)


def stability(study: Study) -> Stability:
    """Sets of the main part over its seeds, and against baselines of another size."""
    main = list(settings(study, "main"))
    over_seeds = tuple(seeds for setting in main if (seeds := _over_seeds(setting)))
    return Stability(over_seeds, tuple(sizes for setting in main for sizes in _over_sizes(setting)))


def _over_seeds(setting: Setting) -> OverSeeds | None:
    baselines, students = setting.of("baseline"), setting.of("soft")
    seeds = tuple(seed for seed in baselines if seed in students)
    if len(seeds) < 2:
        return None
    same_examples(*(models[seed] for models in (baselines, students) for seed in seeds))
    base, soft = (np.stack([models[seed].memorized for seed in seeds]) for models in (baselines, students))
    always = base.all(axis=0)
    return OverSeeds(
        setting.part,
        setting.family,
        setting.dataset,
        seeds,
        int(always.sum()),
        int((always & soft.all(axis=0)).sum()),
        int((always & ~soft.any(axis=0)).sum()),
        *(
            tuple(Share(int((a & b).sum()), int((a | b).sum())) for a, b in combinations(sets, 2))
            for sets in (base, soft)
        ),
    )


def _over_sizes(setting: Setting) -> list[OverSizes]:
    study, over_sizes = setting.study, []
    teachers, baselines = list(setting.of("teacher").values()), setting.of("baseline")
    for run in study.select(part="size", family=setting.family, dataset=setting.dataset, role="baseline"):
        if run.seed not in baselines:
            continue
        main, further = baselines[run.seed], examples_of(study, run)
        same_examples(main, further, *teachers)
        smaller, larger = sorted((main, further), key=lambda model: model.run.parameters)
        over_sizes.append(
            OverSizes(
                setting.family,
                setting.dataset,
                run.seed,
                smaller.run.size,
                larger.run.size,
                _held(smaller.memorized, larger),
                _held(main.memorized, teachers[0]) if teachers else None,
            )
        )
    return over_sizes


def _held(examples: Flags, by: Examples) -> Share:
    return Share(int((examples & by.memorized).sum()), int(examples.sum()))


def rows(result: Stability) -> tuple[Row, ...]:
    lines: list[Row] = []
    for seeds in result.over_seeds:
        key, name = (seeds.family, seeds.dataset), f"{seeds.family}, {seeds.dataset}"
        n = len(seeds.seeds)
        # The study's count is over three seeds; over two, more examples would qualify.
        published = paper.ALWAYS_BASELINE_NEVER_STUDENT.get(key) if n == FEWEST_SEEDS else None
        of = f"memorized by the baselines of all {n} seeds"
        lines += [
            row(name, of, "examples", [seeds.baseline_always]),
            row(name, f"{of}, by no student", "examples", [seeds.student_never], published),
            row(name, f"{of}, by every student", "examples", [seeds.student_always]),
            share_row(name, "shared by a pair of baselines, of what either has", seeds.baseline_pairs),
            share_row(name, "shared by a pair of students, of what either has", seeds.student_pairs),
        ]
    for sizes in result.over_sizes:
        key, name = (sizes.family, sizes.dataset), f"{sizes.family}, {sizes.dataset}"
        held = sizes.smaller_by_larger
        figure = f"{sizes.smaller} baseline's set held by the {sizes.larger} one"
        published_share = paper.SMALLER_HELD_BY_LARGER.get(key)
        lines.append(share_row(name, figure, [held], published_share, Claim("most", [most(held.k, held.n)])))
        if (held_by := sizes.baseline_by_teacher) is not None:
            published_share = paper.BASELINE_HELD_BY_TEACHER.get(key)
            claim = Claim("most", [most(held_by.k, held_by.n)])
            lines.append(share_row(name, "baseline's set held by the teacher", [held_by], published_share, claim))
    return tuple(lines)
