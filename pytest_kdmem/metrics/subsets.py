"""What a model memorized of parts of a training set, each of which has a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pytest_kdmem.base.arrays import ExampleIds, Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import listed, quoted
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate


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
    """

    label: str
    example_ids: ExampleIds
    memorized: Flags
    sure: Flags
    possible: Flags
    exhaustive: bool
    confidence: float
    model_digest: str = ""

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
        return replace(rate, model_digest=self.model_digest)


class Subsets(Mapping[str, Subset]):
    """Subsets by name, none of which is empty.

    Args:
        kind: What messages call a name.
        subsets: The subsets.
    """

    def __init__(self, kind: str, subsets: Mapping[str, Subset]) -> None:
        self._kind = kind
        self._subsets = dict(subsets)

    def __getitem__(self, name: str) -> Subset:
        """Return a subset.

        Raises:
            SpecError: There is none of this name, so that no gate over it would show anything.
        """
        if name not in self:
            raise SpecError(
                f"A {self._kind} with an example in it was expected; found {quoted(name)}, and there are"
                f" {listed(self._subsets)}."
            )
        return self._subsets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._subsets

    def __iter__(self) -> Iterator[str]:
        return iter(self._subsets)

    def __len__(self) -> int:
        return len(self._subsets)

    def __bool__(self) -> bool:
        raise ComparisonError(f"Rates by {self._kind} are neither true nor false; compare each rate with a threshold.")

    def __repr__(self) -> str:
        rates = ", ".join(f"{name}: {subset.rate}" for name, subset in self._subsets.items())
        return f"{{{rates}}}"
