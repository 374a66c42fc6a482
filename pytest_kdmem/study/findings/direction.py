"""Whether measured figures go in the direction that the paper claims. Each seed votes, by a statistical test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from scipy.stats import mannwhitneyu, wilcoxon

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.metrics.bounds import lower_bound, mcnemar, upper_bound

Vote = Literal[1, 0, -1]  # for the claim, undecided, against it
Agreement = Literal["agrees", "does not", "cannot be told at this n"]

LEVEL = 0.05
FEW = 0.10
MOST = 0.50
FEWEST_SEEDS = 3

RULE = (
    "Each seed votes for the study's direction, against it, or not at all. A vote needs a test at the"
    f" {100 * LEVEL:g} % level: two models over the same examples, exact McNemar; the values of one group under two"
    " models, Wilcoxon's signed ranks; of two groups, Mann–Whitney U; a correlation, its t-test. A share is “few” if"
    f" its one-sided {100 * (1 - LEVEL):g} % Clopper–Pearson bound is below {100 * FEW:g} %, “most” if it is above"
    f" {100 * MOST:g} %, and votes against if the other bound is on the wrong side. A figure that each model has but"
    f" once, such as its held-out loss, votes by its side, and only from {FEWEST_SEEDS} seeds on. A claim that two"
    " models are alike can be refuted, never shown. It *agrees* if every seed votes for it, *does not* if some vote"
    " against it and none for it; anything else *cannot be told at this n* of examples and seeds. An undefined figure"
    " does not vote."
)


def agreement(votes: Sequence[Vote]) -> Agreement:
    """The verdict of all seeds together."""
    if votes and all(vote == 1 for vote in votes):
        return "agrees"
    return "does not" if -1 in votes and 1 not in votes else "cannot be told at this n"


def decided(p_value: float, *, right: bool) -> Vote:
    """A vote for or against, or 0 if the test is not significant."""
    if p_value >= LEVEL:
        return 0
    return 1 if right else -1


def fewer(first: Flags, second: Flags) -> Vote:
    """Whether the first model memorized fewer of the same examples ``[n]`` than the second."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return decided(mcnemar(only_first, only_second), right=only_first < only_second)


def alike(first: Flags, second: Flags) -> Vote:
    """Against, if the two models differ in how many they memorized; never for."""
    return 0 if fewer(first, second) == 0 else -1


def few(k: int, n: int) -> Vote:
    """Whether k of n is a share below FEW."""
    return _beside(k, n, FEW)


def most(k: int, n: int) -> Vote:
    """Whether k of n is a share above MOST."""
    return _beside(n - k, n, 1 - MOST)


def _beside(k: int, n: int, limit: float) -> Vote:
    """Whether the share k of n is below the limit."""
    if n == 0:
        return 0
    if upper_bound(k, n, 1 - LEVEL) < limit:
        return 1
    return -1 if lower_bound(k, n, 1 - LEVEL) > limit else 0


def sides(differences: Sequence[float]) -> tuple[Vote, ...]:
    """Whether each seed's difference is at most 0; all undecided below FEWEST_SEEDS."""
    enough = len(differences) >= FEWEST_SEEDS
    votes: list[Vote] = [(1 if each <= 0 else -1) if enough else 0 for each in differences]
    return tuple(votes)


def both(first: Vote, second: Vote) -> Vote:
    """Whether both claims hold: one vote against is enough to refute, both must vote for."""
    return first if first < second else second


def greater(first: Values, second: Values) -> Vote:
    """Whether the first of paired values ``[n]`` are the greater, by Wilcoxon's signed ranks."""
    difference = first - second
    if not difference.any():  # also where there are no pairs
        return 0
    side = float(wilcoxon(difference, alternative="greater").pvalue)
    return decided(float(wilcoxon(difference).pvalue), right=side < 0.5)


def rank_sum(first: Values, second: Values) -> tuple[float, float] | None:
    """Mann–Whitney U of the first group, and its two-sided p-value; None if either group is empty."""
    if not len(first) or not len(second):
        return None
    test = mannwhitneyu(first, second)
    return float(test.statistic), float(test.pvalue)
