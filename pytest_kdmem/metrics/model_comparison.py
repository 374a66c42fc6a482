"""Compares what several models recite of the same examples, each with the first of them, by paired tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_kdmem.metrics.bounds import mcnemar
from pytest_kdmem.metrics.comparable import check_comparable
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags, count_pairs


@dataclass(frozen=True)
class ModelDifference:
    """What a model recites and the first does not, and the other way round, over the same distinct examples.

    Attributes:
        both: Number of examples that both recite.
        lost: Positions in the training set of those that the first model alone recites.
        gained: Positions of those that this model alone recites.
        most_lost: Number of examples lost, if every ambiguous verdict counts as one.
        most_gained: Number of examples gained, if every ambiguous verdict counts as one.
        overlap: Examples that both recite as a share of those that any of the two does (Jaccard); NaN if none does.
        p_value: Two-sided p-value of the exact McNemar test.
        adjusted_p_value: The same, corrected for the number of models by Holm's method.
    """

    both: int
    lost: tuple[int, ...]
    gained: tuple[int, ...]
    most_lost: int
    most_gained: int
    overlap: float
    p_value: float
    adjusted_p_value: float


def compare_models(models: Sequence[Memorization]) -> list[ModelDifference]:
    """Compare each model but the first with the first, in the order given.

    Raises:
        SpecError: Models are of different tokenizers, or were scored over different examples.
    """
    check_comparable(models)
    first = MemorizedFlags.from_memorization(models[0])
    differences = [_difference(models[0], first, MemorizedFlags.from_memorization(model)) for model in models[1:]]
    adjusted = holm([difference.p_value for difference in differences])
    return [
        replace(difference, adjusted_p_value=p_value) for difference, p_value in zip(differences, adjusted, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values of a family of tests, corrected by Holm's method, in the order given."""
    adjusted, greatest = [0.0] * len(p_values), 0.0
    for rank, test in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        greatest = max(greatest, min(1.0, p_values[test] * (len(p_values) - rank)))
        adjusted[test] = greatest
    return adjusted


def _difference(reference: Memorization, first: MemorizedFlags, second: MemorizedFlags) -> ModelDifference:
    lost, gained, counts = first - second, second - first, count_pairs(first.memorized, second.memorized)
    either = counts.both + counts.only_first + counts.only_second
    p_value = mcnemar(counts.only_first, counts.only_second)
    ids = reference.example_ids
    return ModelDifference(
        counts.both,
        tuple(ids[lost.memorized].tolist()),
        tuple(ids[gained.memorized].tolist()),
        int(lost.possible.sum()),
        int(gained.possible.sum()),
        counts.both / either if either else math.nan,
        p_value,
        p_value,
    )
