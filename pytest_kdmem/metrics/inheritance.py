"""Compare what teacher, baseline and student memorized: what only the teacher can have passed on, and what is easy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import (
    Counts,
    PairedTable,
    estimate_proportion,
    estimate_quotient,
    mcnemar,
)
from pytest_kdmem.metrics.comparable import check_comparable
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags, count_pairs
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.metrics.share import estimate_share
from pytest_kdmem.metrics.subsets import Parts
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.weight_copies import are_copies

# Cells of the Venn diagram: which models memorized an example, in the order of the reports.
CELLS = ("teacher", "baseline", "student", "teacher+baseline", "teacher+student", "baseline+student", "all", "none")


@dataclass(frozen=True, eq=False)
class Inheritance:
    """What teacher T, baseline B and student S memorized of the same distinct examples.

    Over a whole training set, the bounds of each estimate are the least and the greatest value that the ambiguous
    verdicts allow.

    Attributes:
        teacher, baseline, student: Verdicts on the same n examples.
        exhaustive: Whether the examples are the whole training set.
        subject: Role or name of the student.
        confidence: Confidence level of each one-sided bound.
        too_short: Number of examples of the training set that were too short to be measured.
        memorizations: What teacher, baseline and student memorized by group; None if the training set names no groups.
        example_ids: Positions of the n examples in the training set, int64 ``[n]``.
        comparable_on: Digests of the training set, the teacher and the baseline. Estimates of two runs are comparable
            only where these agree.
        set_name: Name of the set that they are examples of, as `Estimate.set_name`; empty for a training set.
        model_digest: Digest of the student.
        same_model: Whether student and baseline are the same model. If so, ratio and shares are undefined, and the
            reduction is 1.
        not_shown: Verdict of a comparison that would hold, if something stands often that was not looked at; else None.
        same_reference: Whether teacher and baseline are the same model. If so, ratio and shares are undefined.
    """

    teacher: MemorizedFlags
    baseline: MemorizedFlags
    student: MemorizedFlags
    exhaustive: bool
    subject: str = "student"
    confidence: float = 0.95
    too_short: int = 0
    memorizations: tuple[Memorization, Memorization, Memorization] | None = field(default=None, repr=False)
    example_ids: ExampleIds = field(default_factory=lambda: np.empty(0, np.int64))
    comparable_on: Mapping[str, str] = field(default_factory=dict)
    set_name: str = ""
    model_digest: str = ""
    same_model: bool = False
    same_reference: bool = False
    not_shown: Verdict | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        raise ComparisonError(
            "An inheritance is neither true nor false; compare its ratio or reduction with a threshold."
        )

    def __repr__(self) -> str:
        return f"Inheritance({self.subject}: {self.cells})"

    @cached_property
    def cells(self) -> dict[str, int]:
        """Number of examples in each cell of the Venn diagram; together they are all examples."""
        t, b, s = self.teacher.memorized, self.baseline.memorized, self.student.memorized
        members = (t & ~b & ~s, ~t & b & ~s, ~t & ~b & s, t & b & ~s, t & ~b & s, ~t & b & s, t & b & s)
        counts = [int(cell.sum()) for cell in members]
        return dict(zip(CELLS, [*counts, len(t) - sum(counts)], strict=True))

    @property
    def inherited(self) -> int:
        """|T ∩ S \\ B|."""
        return self.cells["teacher+student"]

    @property
    def inherited_examples(self) -> list[int]:
        """Positions in the training set of the inherited examples."""
        inherited = (self.teacher & self.student) - self.baseline
        ids: list[int] = self.example_ids[inherited.memorized].tolist()
        return ids

    @property
    def easy(self) -> int:
        """|T ∩ B ∩ S|."""
        return self.cells["all"]

    @property
    def ratio(self) -> Estimate:
        """|T ∩ S \\ B| / |T \\ B|: of what teacher and not baseline memorized, the share that the student memorized."""
        return self._share("inheritance ratio", whole=self.teacher - self.baseline, part=self.student)

    @property
    def share(self) -> Estimate:
        """|T ∩ S \\ B| / |S|: share of the student's memorized examples that the teacher but not the baseline has."""
        return self._share("inherited share", whole=self.student, part=self.teacher - self.baseline)

    @property
    def easy_share(self) -> Estimate:
        """|T ∩ B ∩ S| / |S|: share of the student's memorized examples that teacher and baseline memorized as well."""
        return self._share("easy share", whole=self.student, part=self.teacher & self.baseline)

    @property
    def reduction(self) -> Estimate:
        """rate(B) / rate(S): how many times as much a fine-tuned model of the student's size memorized."""
        b, s = self.student if self.same_model else self.baseline, self.student
        table = PairedTable(
            observed=count_pairs(b.memorized, s.memorized),
            least=count_pairs(b.sure, s.possible),
            greatest=count_pairs(b.possible, s.sure),
            n=len(b.memorized),
            ambiguous=int((b.ambiguous | s.ambiguous).sum()),
        )
        estimate = estimate_quotient(
            "reduction", self.subject, table, exhaustive=self.exhaustive, confidence=self.confidence
        )
        return self._of_student(estimate)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the exact McNemar test of student against baseline."""
        pairs = count_pairs(self.baseline.memorized, self.student.memorized)
        return mcnemar(pairs.only_first, pairs.only_second)

    @property
    def by_group(self) -> Parts[Inheritance]:
        """The same of each group of the training set, by its name: ``ratio``, ``share``, ``reduction`` and all else.

        Over a sample each bound is at a confidence with which those of one figure hold for all groups at once.

        Raises:
            SpecError: The training set names no column of groups.
        """
        if self.memorizations is None:
            raise refused(
                SpecError(
                    "Groups of the training set were expected, and it names no column of them: declare"
                    ' TrainingSet(…, group_column="…"), or set --kdmem-group-column.'
                )
            )
        teachers, baselines, students = (memorization.by_group for memorization in self.memorizations)
        groups = {
            name: replace(
                self,
                teacher=MemorizedFlags.of_subset(teachers[name]),
                baseline=MemorizedFlags.of_subset(baselines[name]),
                student=MemorizedFlags.of_subset(student),
                exhaustive=student.exhaustive,
                confidence=student.confidence,
                too_short=student.too_short,
                not_shown=teachers[name].not_shown or baselines[name].not_shown or student.not_shown,
                subject=student.label,
                example_ids=student.example_ids,
                memorizations=None,
            )
            for name, student in students.items()
        }
        return Parts("group", groups)

    def _share(self, metric: str, *, whole: MemorizedFlags, part: MemorizedFlags) -> Estimate:
        """Estimate |whole ∩ part| / |whole|, which is undefined where two of the models are one."""
        proportion = partial(self._proportion, metric)
        if self.same_model or self.same_reference:
            observed = Counts(int((whole & part).memorized.sum()), int(whole.memorized.sum()))
            return replace(proportion(observed), value=math.nan)
        return estimate_share(whole, part, proportion)

    def _proportion(self, metric: str, counts: Counts) -> Estimate:
        estimate = estimate_proportion(
            metric, self.subject, counts, exhaustive=self.exhaustive, confidence=self.confidence
        )
        return self._of_student(estimate)

    def _of_student(self, estimate: Estimate) -> Estimate:
        return replace(
            estimate,
            too_short=self.too_short,
            set_name=self.set_name,
            model_digest=self.model_digest,
            not_shown=self.not_shown,
        )


def is_same_model(first: Checkpoint, second: Checkpoint) -> bool:
    """Return whether two checkpoints hold the same weights, whatever their tokenizers, settings and stored dtypes.

    Raises:
        SpecError: A folder no longer holds the weights that were scored.
    """
    if first.digest == second.digest:
        return True
    return bool(first.weights_digest and second.weights_digest) and (
        first.weights_digest == second.weights_digest or are_copies(first, second)
    )


def compute_inheritance(teacher: Memorization, baseline: Memorization, student: Memorization) -> Inheritance:
    """Compare three models over the same examples.

    Raises:
        SpecError: The models have different tokenizers, or were scored over different examples.
    """
    models = (teacher, baseline, student)
    check_comparable(models)
    beyond = [model.beyond for model in models if model.beyond is not None]
    if beyond:
        check_comparable(beyond)
    return Inheritance(
        MemorizedFlags.from_memorization(teacher),
        MemorizedFlags.from_memorization(baseline),
        MemorizedFlags.from_memorization(student),
        exhaustive=teacher.scores.record.exhaustive,
        subject=student.label,
        confidence=student.confidence,
        too_short=teacher.too_short,
        not_shown=teacher.not_shown or baseline.not_shown or student.not_shown,
        memorizations=models if teacher.groups is not None else None,
        example_ids=teacher.example_ids,
        comparable_on={
            "training set": teacher.scores.record.digest,
            "teacher": teacher.scores.checkpoint.digest,
            "baseline": baseline.scores.checkpoint.digest,
        },
        set_name=student.set_name,
        model_digest=student.scores.checkpoint.digest,
        same_model=is_same_model(student.scores.checkpoint, baseline.scores.checkpoint),
        same_reference=is_same_model(teacher.scores.checkpoint, baseline.scores.checkpoint),
    )
