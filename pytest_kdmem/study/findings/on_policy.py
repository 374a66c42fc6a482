"""Soft, hard and on-policy students of one teacher: what they recite, what they inherited, and held-out loss.

Singh (2025, arXiv 2506.16170) finds that students of MiniLLM, which learn from text that they sample, recite less than
a fine-tuned model of their size. No published figure is known of what they inherit, nor of students of one compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.study.findings.direction import Vote, fewer, sides
from pytest_kdmem.study.findings.examples import Trio, examples_of, settings
from pytest_kdmem.study.findings.figures import Claim, Row, Share, row, share_row
from pytest_kdmem.study.record import Role, Study

COMPARED: tuple[tuple[str, Role], ...] = (("main", "soft"), ("main", "hard"), ("on_policy", "on-policy"))


@dataclass(frozen=True)
class StudentsOf:
    """The students of one kind, by seed, over D.

    Attributes:
        recited: of the distinct examples.
        inherited: |T ∩ S \\ B| of |T \\ B|.
        less: whether it recites less than the baseline of its seed, by exact McNemar.
        losses: held-out loss, in nats a token.
        loss_differences: that minus the baseline's.
        seconds: seconds of training.
    """

    role: str
    seeds: tuple[int, ...]
    recited: tuple[Share, ...]
    inherited: tuple[Share, ...]
    less: tuple[Vote, ...]
    losses: tuple[float, ...]
    loss_differences: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class OnPolicy:
    """All students of the teacher of one family and data set."""

    family: str
    dataset: str
    baseline_losses: tuple[float, ...]
    students: tuple[StudentsOf, ...]


def on_policy(study: Study) -> tuple[OnPolicy, ...]:
    """Each setting that has an on-policy student."""
    return tuple(_of(study, setting.family, setting.dataset) for setting in settings(study, "on_policy"))


def _of(study: Study, family: str, dataset: str) -> OnPolicy:
    teacher = examples_of(study, study.one(part="main", role="teacher", family=family, dataset=dataset))
    baselines = {
        run.seed: examples_of(study, run)
        for run in study.select(part="main", role="baseline", family=family, dataset=dataset)
    }
    students = []
    for part, role in COMPARED:
        runs = study.select(part=part, role=role, family=family, dataset=dataset)
        trios = [
            Trio(run.seed, teacher, baselines[run.seed], examples_of(study, run))
            for run in runs
            if run.seed in baselines
        ]
        if trios:
            students.append(_students(role, trios))
    losses = tuple(each.run.held_out_loss for each in baselines.values())
    return OnPolicy(family, dataset, losses, tuple(students))


def _students(role: Role, trios: Sequence[Trio]) -> StudentsOf:
    runs = [trio.student.run for trio in trios]
    return StudentsOf(
        role,
        tuple(trio.seed for trio in trios),
        tuple(Share(int(trio.student.memorized.sum()), len(trio.student)) for trio in trios),
        tuple(Share(trio.sets.ratio.k or 0, trio.sets.ratio.n) for trio in trios),
        tuple(fewer(trio.student.memorized, trio.baseline.memorized) for trio in trios),
        tuple(run.held_out_loss for run in runs),
        tuple(trio.student.run.held_out_loss - trio.baseline.run.held_out_loss for trio in trios),
        tuple(run.seconds for run in runs),
    )


def rows(result: Sequence[OnPolicy]) -> tuple[Row, ...]:
    lines: list[Row] = []
    for each in result:
        name = f"{each.family}, {each.dataset}"
        for students in each.students:
            less = Claim("less than the baseline", students.less)
            no_worse = Claim("no worse than the baseline", sides(students.loss_differences))
            lines += [
                share_row(name, f"recited, {students.role}", students.recited, None, less),
                share_row(name, f"T∩S∖B of T∖B, {students.role}", students.inherited),
                row(name, f"held-out loss, {students.role}", "nats", students.losses, None, no_worse),
                row(name, f"seconds of training, {students.role}", "seconds", students.seconds),
            ]
        lines.append(row(name, "held-out loss, baseline", "nats", each.baseline_losses))
    return tuple(lines)
