"""What a student recites of text that its teacher alone saw. No published figure is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.study.findings.examples import Examples, Trio, examples_of, settings
from pytest_kdmem.study.findings.figures import Row, Share, row, share_row
from pytest_kdmem.study.record import Study


@dataclass(frozen=True)
class Half:
    """The models over what the student saw of D, or over what the teacher alone saw.

    Attributes:
        teacher, baseline, student: what each recites.
        inherited: |T ∩ S \\ B| of |T \\ B|.
    """

    teacher: Share
    baseline: Share
    student: Share
    inherited: Share


@dataclass(frozen=True)
class AbsentSeed:
    """A student of one seed, with teacher and baseline of the main part, which saw all of D."""

    seed: int
    temperature: float | None
    seen: Half
    absent: Half
    held_out_loss: float


@dataclass(frozen=True)
class Absent:
    """The students of one family and data set, by seed."""

    family: str
    dataset: str
    seeds: tuple[AbsentSeed, ...]


def absent(study: Study) -> tuple[Absent, ...]:
    """Each setting with a student of a share of D, the main part's teacher, and its baseline of the same seed."""
    found = (
        Absent(setting.family, setting.dataset, _seeds(study, setting.family, setting.dataset))
        for setting in settings(study, "absent")
    )
    return tuple(each for each in found if each.seeds)


def _seeds(study: Study, family: str, dataset: str) -> tuple[AbsentSeed, ...]:
    place = {"family": family, "dataset": dataset}
    teachers = study.select(part="main", role="teacher", **place)
    baselines = {run.seed: run for run in study.select(part="main", role="baseline", **place)}
    students = [run for run in study.select(part="absent", **place) if teachers and run.seed in baselines]
    return tuple(
        _seed(
            Trio(
                run.seed,
                examples_of(study, teachers[0]),
                examples_of(study, baselines[run.seed]),
                examples_of(study, run),
            )
        )
        for run in students
    )


def _seed(trio: Trio) -> AbsentSeed:
    student: Examples = trio.student
    is_absent = np.isin(student.documents, sorted(student.run.unseen))
    run = student.run
    return AbsentSeed(trio.seed, run.temperature, _half(trio, ~is_absent), _half(trio, is_absent), run.held_out_loss)


def _half(trio: Trio, members: Flags) -> Half:
    teacher, baseline, student = (flags & members for flags in trio.flags)
    n, teacher_only = int(members.sum()), teacher & ~baseline
    recited = [Share(int(flags.sum()), n) for flags in (teacher, baseline, student)]
    return Half(recited[0], recited[1], recited[2], Share(int((student & teacher_only).sum()), int(teacher_only.sum())))


def rows(result: Sequence[Absent]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        name, seeds = f"{each.family}, {each.dataset}", each.seeds
        for of, halves in (
            ("what it saw", [seed.seen for seed in seeds]),
            ("what the teacher alone saw", [seed.absent for seed in seeds]),
        ):
            lines += [
                share_row(name, f"recited of {of}, teacher", [half.teacher for half in halves]),
                share_row(name, f"recited of {of}, baseline", [half.baseline for half in halves]),
                share_row(name, f"recited of {of}, student", [half.student for half in halves]),
                share_row(name, f"T∩S∖B of T∖B, of {of}", [half.inherited for half in halves]),
            ]
        lines.append(row(name, "held-out loss, student", "nats", [seed.held_out_loss for seed in seeds]))
    return tuple(lines)
