"""Models are compared if they read the same examples by the same tokenizer."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.comparable import check_comparable
from tests.metrics.score_tables import memorization_from, row

ROWS = [row("a"), row("b")]
FIRST = memorization_from(ROWS)


def test_models_over_the_same_examples_are_compared() -> None:
    check_comparable([FIRST])
    check_comparable([FIRST, memorization_from(ROWS, subject="teacher")])


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"tokenizer": "other"}, "tokenizer"), ({"shards": ("other",)}, "The same examples were expected of student")],
)
def test_another_tokenizer_or_set_of_any_model_is_refused(change, reason):
    other = memorization_from(ROWS, subject="teacher", **change)
    with pytest.raises(SpecError, match=reason):
        check_comparable([FIRST, memorization_from(ROWS, subject="baseline"), other])
