"""Score tables by document: the verdict of each model on each distinct example of D, and models compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.study.record import ModelRun, Role, Study

Documents = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Examples:
    """One model over the n distinct examples of D that are long enough, ordered by document.

    Attributes:
        run: the model.
        documents: int64 ``[n]``.
        copies: number of rows of D that hold each example, int64 ``[n]``.
        memorized: bool ``[n]``; true if any copy was memorized.
        ambiguous: bool ``[n]``; the verdict could change within the numerical tolerance.
        too_short: distinct examples that are left out because they have too few tokens.
    """

    run: ModelRun
    documents: Documents
    copies: Documents
    memorized: Flags
    ambiguous: Flags
    too_short: int
    rows: pa.Table  # the first copy of each

    def __len__(self) -> int:
        return len(self.documents)

    def column(self, name: str) -> Values:
        """A metric of each example at its first copy, ``[n]``.

        Raises:
            DataError: it is missing or not finite for some example.
        """
        column = self.rows[name]
        values: Values = column.to_numpy().astype(np.float64)
        if column.null_count or not np.isfinite(values).all():
            raise DataError(
                f"Column {name} was expected to be filled and finite for every example of {described(self.run)}, and it"
                " is not; score that model with all metrics."
            )
        return values


def described(run: ModelRun) -> str:
    return f"the {run.role} of {run.family}, {run.dataset} (part {run.part}, seed {run.seed})"


def examples_of(study: Study, run: ModelRun) -> Examples:
    """The model's scores by document.

    Raises:
        DataError: the score table and D do not have the same rows.
    """
    every = np.asarray(study.documents.get(run.dataset, ()), dtype=np.int64)
    table = run.scores.sort_by("example_id")
    ids = table["example_id"].to_numpy()
    if not np.array_equal(ids, np.arange(len(every))):
        raise DataError(
            f"A score for each of the {len(every)} rows of {run.dataset} was expected of {described(run)}, and its"
            f" table holds {len(ids)} rows that are not those; score the model over that data set."
        )
    long_enough = pc.equal(table["status"], "scored").to_numpy(zero_copy_only=False)
    rows, of_rows = table.filter(pa.array(long_enough)), every[long_enough]
    documents, first, at, copies = np.unique(of_rows, return_index=True, return_inverse=True, return_counts=True)
    recited, doubtful = (rows[name].to_numpy().astype(bool) for name in ("memorized", "ambiguous"))
    memorized = _any(recited, at, len(documents))
    sure, possible = _any(recited & ~doubtful, at, len(documents)), _any(recited | doubtful, at, len(documents))
    left_out = len(np.setdiff1d(every, documents))
    return Examples(run, documents, copies, memorized, possible & ~sure, left_out, rows.take(pa.array(first)))


def _any(flags: Flags, document: Documents, documents: int) -> Flags:
    """Whether any row of each document has the flag."""
    return np.bincount(document, weights=flags, minlength=documents) > 0


@dataclass(frozen=True, eq=False)
class Trio:
    """Teacher, baseline and a student, of one seed, over the same examples."""

    seed: int
    teacher: Examples
    baseline: Examples
    student: Examples

    def __post_init__(self) -> None:
        same_examples(self.teacher, self.baseline, self.student)

    @property
    def flags(self) -> tuple[Flags, Flags, Flags]:
        """What teacher, baseline and student memorized, bool ``[n]`` each."""
        return self.teacher.memorized, self.baseline.memorized, self.student.memorized

    @cached_property
    def sets(self) -> Inheritance:
        """The three sets as an audit compares them; all of D was scored."""
        teacher, baseline, student = (MemorizedFlags.unambiguous(memorized) for memorized in self.flags)
        return Inheritance(teacher, baseline, student, exhaustive=True)


def same_examples(first: Examples, *others: Examples) -> None:
    """Raise DataError unless all models have the same examples long enough."""
    for second in others:
        if not np.array_equal(first.documents, second.documents):
            raise DataError(
                f"The same examples were expected to be long enough for {described(first.run)} and"
                f" {described(second.run)}, and they are not; compare models of one tokenizer, scored with the same"
                " lengths."
            )


@dataclass(frozen=True, eq=False)
class Setting:
    """The models of one part that share family and data set."""

    study: Study
    part: str
    family: str
    dataset: str

    @property
    def key(self) -> tuple[str, str]:
        return self.family, self.dataset

    @property
    def name(self) -> str:
        return f"{self.family}, {self.dataset}"

    def of(self, role: Role) -> dict[int, Examples]:
        """Models of a role by seed.

        Raises:
            DataError: two models have the same role and seed.
        """
        runs = self.study.select(part=self.part, family=self.family, dataset=self.dataset, role=role)
        by_seed = {run.seed: run for run in sorted(runs, key=lambda run: run.seed)}
        if len(by_seed) < len(runs):
            raise DataError(
                f"One {role} per seed was expected in part {self.part} ({self.name}), and there are {len(runs)} for"
                f" {len(by_seed)} seeds; give each model its own seed or part."
            )
        return {seed: examples_of(self.study, run) for seed, run in by_seed.items()}

    def trios(self, role: Role = "soft") -> tuple[Trio, ...]:
        """Teacher, baseline and student of each seed that has all of them.

        Raises:
            DataError: there is more than one teacher.
        """
        teachers, baselines, students = list(self.of("teacher").values()), self.of("baseline"), self.of(role)
        if len(teachers) > 1:
            raise DataError(
                f"One teacher was expected in part {self.part} ({self.name}), and there are {len(teachers)}; keep one."
            )
        seeds = [seed for seed in baselines if teachers and seed in students]
        return tuple(Trio(seed, teachers[0], baselines[seed], students[seed]) for seed in seeds)


def settings(study: Study, *parts: str) -> Iterator[Setting]:
    """Every family and data set of these parts, in the order they were made."""
    keys = dict.fromkeys((run.part, run.family, run.dataset) for part in parts for run in study.select(part=part))
    return (Setting(study, *key) for key in keys)


def drawn(candidates: Flags, size: int, seed: int = 0) -> npt.NDArray[np.intp]:
    """At most ``size`` random positions among the candidates, in order; the same for the same seed."""
    at = np.flatnonzero(candidates)
    return np.sort(np.random.default_rng(seed).choice(at, min(size, len(at)), replace=False))
