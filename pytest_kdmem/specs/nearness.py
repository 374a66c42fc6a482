"""How near a continuation must come to a training suffix to count as a near-verbatim copy of it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.base.text import count
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted


@dataclass(frozen=True)
class Nearness:
    """A continuation of n tokens is near a suffix of n tokens within a share of edits, or by a run of tokens in common.

    The edit distance is Levenshtein's over tokens, divided by n. A tenth is what the technical reports of Gemma call
    approximate memorization (Gemma Team 2024, arXiv 2403.08295), after Ippolito et al. (2023, arXiv 2210.17546), who
    show that counting verbatim copies alone gives a false sense of privacy.

    Attributes:
        delta: Largest normalised edit distance.
        run: Number of consecutive tokens in common, anywhere in both, that suffices as well; None if no run does.

    Raises:
        SpecError: One of them is out of its range.
    """

    delta: float = 0.1
    run: int | None = None

    def __post_init__(self) -> None:
        is_number = isinstance(self.delta, int | float) and not isinstance(self.delta, bool)
        if not is_number or not 0 <= self.delta < 1:
            raise SpecError(
                "A normalised edit distance from 0 to below 1 (0.1 is a tenth of the suffix) was expected as delta;"
                f" found {quoted(self.delta)}."
            )
        is_count = isinstance(self.run, int) and not isinstance(self.run, bool)
        if self.run is not None and (not is_count or self.run < 1):
            raise SpecError(f"A number of tokens from 1 was expected as run; found {quoted(self.run)}.")

    def edits(self, suffix_tokens: int) -> int:
        """The largest number of edits of a suffix of so many tokens."""
        return max(edits for edits in range(suffix_tokens + 1) if edits / suffix_tokens <= self.delta)

    def check_fits(self, suffix_tokens: int) -> None:
        """Check that a suffix of so many tokens can hold the run.

        Raises:
            SpecError: It is shorter.
        """
        if self.run is not None and self.run > suffix_tokens:
            raise SpecError(
                f"A run of at most the {count(suffix_tokens)} tokens of a suffix was expected; found {self.run}: ask"
                " for a shorter one, or set longer --kdmem-suffix-tokens."
            )

    def __str__(self) -> str:
        within = f"within {self.delta:g} edits a token"
        return within if self.run is None else f"{within} or {self.run} tokens in a row"
