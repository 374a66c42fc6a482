"""What a model memorized of parts of a training set, each of which has a name."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from numbers import Real
from typing import Protocol, TypeVar

from pytest_kdmem.base.arrays import ExampleIds, Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import listed, quoted, without_commands
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.recorder import record, refused
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.reading_kinds import Stratify

# Parts that do not hold of one comparison of all, and parts that a failed assertion shows.
MOST_NOT_HELD, MOST_SHOWN = 20, 5


@dataclass(frozen=True, eq=False)
class Subset:
    """What a model memorized of m of the distinct examples of a training set.

    Attributes:
        label: Name of the model and of the subset in reports.
        example_ids: Positions in the training set of the m examples, int64 ``[m]``.
        memorized, sure, possible: Verdicts, as in `Memorization.distinct`, bool ``[m]``.
        exhaustive: Whether the whole training set was scored.
        confidence: Confidence level of each one-sided bound.
        model_digest: Digest of the model.
        too_short: Number of rows of the subset that are too short to be scored, as far as they are known.
        short_copies: Greatest number of copies of one of these in the training set; 0 if none stands several times.
        not_shown: Verdict of a comparison that would hold, if it has examples that stand often and were not looked at.
        part: Of which parts of the set it is one; None of a subset of another kind.
        name: Name of the subset alone, in reports.
        set_name: Name of the set that it is a subset of, as `Estimate.set_name`; empty for a training set.
    """

    label: str
    example_ids: ExampleIds
    memorized: Flags
    sure: Flags
    possible: Flags
    exhaustive: bool
    confidence: float
    model_digest: str = ""
    too_short: int = 0
    short_copies: int = 0
    not_shown: Verdict | None = None
    part: Stratify | None = None
    name: str = ""
    set_name: str = ""

    def __bool__(self) -> bool:
        raise ComparisonError("A subset is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Subset({self.label}: {self.rate})"

    @property
    def count(self) -> int:
        """Number of distinct memorized examples."""
        return int(self.memorized.sum())

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the memorized examples, each that of its first copy."""
        ids: list[int] = self.example_ids[self.memorized].tolist()
        return ids

    @property
    def rate(self) -> Estimate:
        """Memorized share of the m examples."""
        counts = Counts(
            k=self.count,
            n=len(self.memorized),
            fewest=int(self.sure.sum()),
            most=int(self.possible.sum()),
            ambiguous=int((self.possible & ~self.sure).sum()),
        )
        rate = estimate_proportion(
            "memorization rate", self.label, counts, exhaustive=self.exhaustive, confidence=self.confidence
        )
        return replace(
            rate,
            model_digest=self.model_digest,
            too_short=self.too_short,
            too_short_copies=self.short_copies,
            not_shown=self.not_shown,
            part=self.part,
            part_name=self.name if self.part is not None else "",
            set_name=self.set_name,
        )


class HasRate(Protocol):
    """What a model memorized of a part of a training set."""

    @property
    def rate(self) -> Estimate: ...


Part = TypeVar("Part")
RatedPart = TypeVar("RatedPart", bound=HasRate)


class Parts(Mapping[str, Part]):
    """Figures of parts of a training set by name.

    Args:
        kind: What messages call a name.
        parts: The figures of each part.
    """

    def __init__(self, kind: str, parts: Mapping[str, Part]) -> None:
        self._kind = kind
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> Part:
        """Return the figures of a part.

        Raises:
            SpecError: There is none of this name, so that no gate over it would show anything.
        """
        if name not in self:
            raise refused(
                SpecError(
                    f"A {self._kind} with an example in it was expected; found {quoted(name)}, and there are"
                    f" {listed(self._parts)}."
                )
            )
        return self._parts[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __bool__(self) -> bool:
        raise ComparisonError(f"Figures by {self._kind} are neither true nor false; compare them with a threshold.")

    def __repr__(self) -> str:
        shown = [without_commands(self._shown(name)) for name in islice(self._parts, MOST_SHOWN)]
        return f"{{{', '.join(shown)}{', …' * (len(self) > MOST_SHOWN)}}}"

    def _shown(self, name: str) -> str:
        return name


class Subsets(Parts[RatedPart]):
    """What a model memorized of parts of a training set.

    ``a <= b`` holds if the rate of every part is shown to be at most that of the same part of ``b``, or at most a
    number: a gate for all parts at once. Nothing is shown of a part of which no example was looked at, so the gate does
    not hold then.
    """

    @property
    def not_looked_at(self) -> tuple[str, ...]:
        """The names of the parts of which no example was looked at."""
        return tuple(name for name, part in self.items() if not part.rate.n)

    @property
    def looked_at(self) -> Subsets[RatedPart]:
        """The other parts, for a gate that leaves out on purpose what holds no example.

        A part in which something stands often that is too short is no such part: whatever is recited of it, is of that.
        """
        rates = {name: part.rate for name, part in self.items()}
        kept = [name for name, rate in rates.items() if rate.n or rate.not_shown is not None]
        return Subsets(self._kind, {name: self[name] for name in kept})

    def __le__(self, other: Subsets[RatedPart] | float) -> bool:
        return self._compare("<=", other)

    def __lt__(self, other: Subsets[RatedPart] | float) -> bool:
        return self._compare("<", other)

    def _compare(self, operator: Operator, other: Subsets[RatedPart] | float) -> bool:
        """Compare part by part, and record one gate of all parts; raises as `as_gate`."""
        comparison = self.as_gate(operator, other)
        record(comparison)
        return comparison.holds

    def as_gate(self, operator: Operator, other: Subsets[RatedPart] | float) -> Comparison:
        """Return the comparison of the worst part, with those of the others that do not hold, without recording it.

        If all hold, the worst is the one closest to its limit.

        Raises:
            ComparisonError: The other side is neither a number nor figures of parts.
            SpecError: There is no part, or the other side has other parts.
        """
        if isinstance(other, Subsets):
            names = set(other)
        elif isinstance(other, Real) and not isinstance(other, bool):
            names = set(self)
        else:
            raise refused(ComparisonError(f"Figures by {self._kind} compare with a number or others by {self._kind}."))
        if not names or set(self) != names:
            raise refused(
                SpecError(
                    f"Figures of the same {self._kind}s, one at least, were expected on both sides; found"
                    f" {listed(self)} and {listed(names)}."
                )
            )
        rates: list[tuple[Estimate, Estimate | float]] = [
            (replace(part.rate, parts=len(self)), other[name].rate if isinstance(other, Subsets) else other)
            for name, part in self.items()
        ]
        not_held = [pair for pair in rates if not pair[0].compare(operator, pair[1]).holds]
        worst = heapq.nlargest(MOST_NOT_HELD if not_held else 1, not_held or rates, key=_badness)
        if not not_held:
            # The gate speaks for all parts, also for those with copies that were not looked at.
            most = max(rate.too_short_copies for rate, _ in rates)
            worst = [(replace(rate, too_short_copies=most), limit) for rate, limit in worst]
        first, *others = (rate.as_gate(operator, limit) for rate, limit in worst)
        return replace(first, further=tuple(others), parts_not_held=len(not_held))

    def _shown(self, name: str) -> str:
        return f"{name}: {self[name].rate}"


def _badness(pair: tuple[Estimate, Estimate | float]) -> tuple[bool, float]:
    """Whether a rate is known at all, and how far its bound lies above its limit."""
    rate, limit = pair
    return bool(rate.n), rate.high - (limit.low if isinstance(limit, Estimate) else limit)
