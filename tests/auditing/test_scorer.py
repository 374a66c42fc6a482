"""Figures of two models are compared over the same examples alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.scorer import check_same_examples
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import TrainingSet
from tests.metrics.score_tables import memorization_from, row

SCORES = memorization_from([row("a")]).scores
OTHER_EXAMPLES = replace(SCORES, record=replace(SCORES.record, shards=("other",)))


def test_models_over_the_same_examples_are_compared() -> None:
    check_same_examples(SCORES, [])
    check_same_examples(SCORES, [SCORES, replace(OTHER_EXAMPLES, training_set=TrainingSet("other.jsonl"))])


def test_models_over_other_tokens_of_one_set_are_refused() -> None:
    with pytest.raises(SpecError, match=r"The same examples of .* were expected for .* and they differ"):
        check_same_examples(SCORES, [SCORES, OTHER_EXAMPLES])
