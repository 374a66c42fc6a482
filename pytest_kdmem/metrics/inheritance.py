"""Three memorizations → Inheritance: what the student has from the teacher alone, and what all find easy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import Pairs, mcnemar, proportion, quotient
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.checkpoint import check_same_tokenizer

# Who memorized an example, in the order in which reports draw it.
CELLS = ("teacher", "baseline", "student", "teacher+baseline", "teacher+student", "baseline+student", "all", "none")


@dataclass(frozen=True)
class Membership:
    """For each of n examples, whether one model memorized it: as found, surely, and possibly (each bool ``[n]``)."""

    found: Flags
    sure: Flags
    possible: Flags

    @staticmethod
    def of(memorization: Memorization) -> Membership:
        return Membership(*(memorization.flags(name) for name in ("memorized", "sure", "possible")))

    @staticmethod
    def exactly(found: Flags) -> Membership:
        """Without ambiguous examples."""
        return Membership(found, found, found)

    @property
    def absent_surely(self) -> Flags:
        return ~self.possible

    @property
    def absent_possibly(self) -> Flags:
        return ~self.sure


@dataclass(frozen=True, eq=False)
class Inheritance:
    """T, B and S over the same distinct examples.

    Over everything, the bounds of an estimate are what the ambiguous examples allow at worst and at best.
    """

    teacher: Membership
    baseline: Membership
    student: Membership
    exhaustive: bool
    subject: str = "student"
    confidence: float = 0.95
    example_ids: tuple[int, ...] = ()
    over: Mapping[str, str] = field(default_factory=dict)  # digests of training set, teacher and baseline
    of: str = ""  # digest of the student
    same_model: bool = False  # student and baseline are one: nothing could be inherited, whatever the teacher told

    def __bool__(self) -> bool:
        raise ComparisonError(
            "An inheritance is neither true nor false; compare its ratio or reduction with a threshold."
        )

    def __repr__(self) -> str:
        return f"Inheritance({self.subject}: {self.cells})"

    @cached_property
    def cells(self) -> dict[str, int]:
        """Examples by who memorized them; the cells add up to all."""
        t, b, s = self.teacher.found, self.baseline.found, self.student.found
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
        flags = self.teacher.found & self.student.found & ~self.baseline.found
        return [self.example_ids[at] for at in np.flatnonzero(flags)]

    @property
    def easy(self) -> int:
        """|T ∩ B ∩ S|."""
        return self.cells["all"]

    @property
    def ratio(self) -> Estimate:
        """|T ∩ S \\ B| / |T \\ B|: how much of what is the teacher's alone the student has."""
        t, b, s = self.teacher, self.baseline, self.student
        return self._share(
            "inheritance ratio",
            whole=Membership(t.found & ~b.found, t.sure & b.absent_surely, t.possible & b.absent_possibly),
            part=s,
        )

    @property
    def share(self) -> Estimate:
        """|T ∩ S \\ B| / |S|: how much of what the student recites comes from the teacher alone."""
        t, b = self.teacher, self.baseline
        part = Membership(t.found & ~b.found, t.sure & b.absent_surely, t.possible & b.absent_possibly)
        return self._share("inherited share", whole=self.student, part=part)

    @property
    def easy_share(self) -> Estimate:
        """|T ∩ B ∩ S| / |S|: how much of what the student recites everyone recites."""
        t, b = self.teacher, self.baseline
        part = Membership(t.found & b.found, t.sure & b.sure, t.possible & b.possible)
        return self._share("easy share", whole=self.student, part=part)

    @property
    def reduction(self) -> Estimate:
        """rate(B) / rate(S): how many times less the student recites than a model that was fine-tuned."""
        b, s = self.baseline, self.student
        return quotient(
            "reduction",
            self.subject,
            found=_pairs(b.found, s.found),
            least=_pairs(b.sure, s.possible),
            greatest=_pairs(b.possible, s.sure),
            n=len(b.found),
            ambiguous=int(((b.possible & ~b.sure) | (s.possible & ~s.sure)).sum()),
            exhaustive=self.exhaustive,
            confidence=self.confidence,
        )

    @property
    def p_value(self) -> float:
        """Exact McNemar test of student against baseline, two-sided."""
        pairs = _pairs(self.baseline.found, self.student.found)
        return mcnemar(pairs.only_first, pairs.only_second)

    def _share(self, metric: str, *, whole: Membership, part: Membership) -> Estimate:
        """|whole ∩ part| / |whole|, with the bounds that the ambiguous examples allow.

        The quotient is greatest when each example that may be in both is, and each that may be left out of the whole
        without being in both is left out; least the other way round.
        """
        k, n = int((whole.found & part.found).sum()), int(whole.found.sum())
        if self.same_model:
            return replace(proportion(metric, self.subject, k=k, n=n, exhaustive=self.exhaustive), value=math.nan)
        most = int((whole.possible & part.possible).sum())
        most_of = most + int((whole.sure & part.absent_surely).sum())
        fewest = int((whole.sure & part.sure).sum())
        fewest_of = fewest + int((whole.possible & part.absent_possibly).sum())
        plain = proportion(metric, self.subject, k=k, n=n, exhaustive=self.exhaustive, confidence=self.confidence)
        if (most, most_of) == (fewest, fewest_of) or not n:
            return plain
        at_most, at_least = (
            proportion(metric, self.subject, k=hits, n=of, exhaustive=self.exhaustive, confidence=self.confidence)
            for hits, of in ((most, most_of), (fewest, fewest_of))
        )
        return Estimate(
            metric,
            self.subject,
            plain.value,
            min(plain.low, at_least.low),
            max(plain.high, at_most.high),
            k,
            n,
            int(((whole.possible & ~whole.sure) | (whole.possible & part.possible & ~part.sure)).sum()),
            self.exhaustive,
            self.confidence,
        )


def _pairs(first: Flags, second: Flags) -> Pairs:
    return Pairs(*(int(cell.sum()) for cell in (first & second, first & ~second, ~first & second)))


def inheritance_of(teacher: Memorization, baseline: Memorization, student: Memorization) -> Inheritance:
    """Compare three models over the same examples.

    Raises:
        SpecError: their tokenizers or the examples scored are not the same.
    """
    models = (teacher, baseline, student)
    check_same_tokenizer(
        {f"{m.subject} ({m.scores.model.source})": m.scores.checkpoint.tokenizer_digest for m in models}
    )
    for other in (baseline, student):
        if other.scores.record.digest != teacher.scores.record.digest:
            raise SpecError(
                f"The same examples were expected of {teacher.subject} and {other.subject}; they were scored over"
                f" different ones ({teacher.scores.training_set.source}, {other.scores.training_set.source})."
            )
    return Inheritance(
        Membership.of(teacher),
        Membership.of(baseline),
        Membership.of(student),
        exhaustive=teacher.scores.record.exhaustive,
        subject=student.place,
        confidence=student.confidence,
        example_ids=tuple(teacher.distinct["example_id"].to_pylist()),
        over={
            "training set": teacher.scores.record.digest,
            "teacher": teacher.scores.checkpoint.digest,
            "baseline": baseline.scores.checkpoint.digest,
        },
        of=student.scores.checkpoint.digest,
        same_model=student.scores.checkpoint.digest == baseline.scores.checkpoint.digest,
    )
