"""How many canaries are drawn, and of which lengths, as a study or a command names it before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checks import require, whole_number


@dataclass(frozen=True)
class CanaryPlan:
    """How many canaries are drawn, and of which lengths.

    Args:
        prefix_tokens: Number of tokens of the prefix.
        suffix_tokens: Number of tokens of the suffix, the secret.
        copies: Numbers of copies.
        count: Number of canaries for each number of copies.
        twins: Number of twins, which are left out.
        seed: Seed of the draw.

    Raises:
        SpecError: A number is not in its range.
    """

    prefix_tokens: int = 50
    suffix_tokens: int = 50
    copies: tuple[int, ...] = (1, 4, 16)
    count: int = 16
    twins: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        require("prefix-tokens", self.prefix_tokens, whole_number(1))
        require("suffix-tokens", self.suffix_tokens, whole_number(8))
        require("count", self.count, whole_number(1))
        require("twins", self.twins, whole_number(100))
        require("seed", self.seed, whole_number(0))
        if not self.copies or len(set(self.copies)) < len(self.copies) or min(self.copies) < 1:
            raise SpecError("Different numbers of copies of at least 1 were expected (1,4,16); found others.")
